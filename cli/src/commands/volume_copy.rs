//! `storage volume copy` and `storage volume move`: a volume as `POOL/VOLUME`, which is LXD's way, or as two words.

use crate::args::CopyVolume;
use crate::bus::Session;
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use crate::reference;
use lxhost_dbus::Options;
use lxhost_model::Kind;
use lxhost_model::name::VolumeName;

/// Where a volume lies, or a snapshot of it.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    pool: &'a str,
    volume: &'a str,
    snapshot: Option<&'a str>,
}

/// Copies a volume or a snapshot.
pub(crate) async fn copy(session: &Session, args: &CopyVolume) -> Result<(), Failure> {
    let (from, to) = places(&args.words)?;
    to.volume.parse::<VolumeName>()?;
    let (original, pool) = (session.volume(from.pool, from.volume).await?, reference::local(to.pool)?);
    let mut options = Options::new();
    if let Some(snapshot) = from.snapshot {
        options.insert("snapshot", snapshot.into());
    }
    if args.volume_only {
        options.insert("volume-only", true.into());
    }
    if args.refresh {
        match session.volume(to.pool, to.volume).await {
            Ok(copy) => {
                let job = session.allowed(|| copy.refresh(original.inner().path(), &options)).await?;
                progress::wait(session, &job, &format!("Refreshing volume {}", to.volume), OnInterrupt::Cancel).await?;
                return session.name_or(to.volume, format!("Storage volume {pool}/{} is as {} is", to.volume, from.volume));
            }
            // It is made.
            Err(failure) if failure.kind == Some(Kind::NoSuchVolume) => {}
            Err(failure) => return Err(failure),
        }
    }
    options.insert("pool", pool.into());
    let (_, job) = session.allowed(|| original.copy(to.volume, &options)).await?;
    progress::wait(session, &job, &format!("Copying volume {}", from.volume), OnInterrupt::Cancel).await?;
    session.name_or(to.volume, format!("Storage volume {} copied to {pool}/{}", from.volume, to.volume))
}

/// Moves a volume to another pool, or gives it another name.
pub(crate) async fn relocate(session: &Session, words: &[String]) -> Result<(), Failure> {
    let (from, to) = places(words)?;
    if from.snapshot.is_some() {
        return Err(Failure::usage("a snapshot stays with its volume").hint("copy it: lxctl storage volume copy"));
    }
    to.volume.parse::<VolumeName>()?;
    let (volume, pool) = (session.volume(from.pool, from.volume).await?, reference::local(to.pool)?);
    let job = if reference::local(from.pool)? == pool {
        let none = Options::new();
        session.allowed(|| volume.rename(to.volume, &none)).await?
    } else {
        let name = Options::from([("name", to.volume.into())]);
        session.allowed(|| volume.move_to(pool, &name)).await?
    };
    progress::wait(session, &job, &format!("Moving volume {}", from.volume), OnInterrupt::Cancel).await?;
    session.say(format!("Storage volume {} moved to {pool}/{}", from.volume, to.volume));
    Ok(())
}

/// From where to where: two words of LXD's, or three or four without a slash in the first.
fn places(words: &[String]) -> Result<(Place<'_>, Place<'_>), Failure> {
    let bad = || Failure::usage("from where to where?").hint("POOL/VOLUME POOL/VOLUME, or POOL VOLUME POOL VOLUME");
    let (from, to) = match words {
        [from, to] => (place(from).ok_or_else(bad)?, place(to).ok_or_else(bad)?),
        [pool, volume, new] if !pool.contains('/') => (of(pool, volume), of(pool, new)),
        [pool, volume, other, new] if !pool.contains('/') => (of(pool, volume), of(other, new)),
        _ => return Err(bad()),
    };
    match to.snapshot {
        None => Ok((from, to)),
        Some(_) => Err(Failure::usage("what is made is a volume, and no snapshot")),
    }
}

fn place(word: &str) -> Option<Place<'_>> {
    let (pool, rest) = word.split_once('/')?;
    Some(of(pool, rest))
}

fn of<'a>(pool: &'a str, rest: &'a str) -> Place<'a> {
    let rest = rest.strip_prefix("custom/").unwrap_or(rest);
    match super::snapshot::parts(rest) {
        Some((volume, snapshot)) => Place { pool, volume, snapshot: Some(snapshot) },
        None => Place { pool, volume: rest, snapshot: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> Option<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (from, to) = places(&words).ok()?;
        let snapshot = from.snapshot.map(|name| format!("@{name}")).unwrap_or_default();
        Some(format!("{}:{}{snapshot} {}:{}", from.pool, from.volume, to.pool, to.volume))
    }

    #[test]
    fn a_volume_is_one_word_or_two() {
        for (line, means) in [
            ("default/data fast/copy", "default:data fast:copy"),
            ("default/data/snap0 default/old", "default:data@snap0 default:old"),
            ("local:default/custom/data fast/data", "local:default:data fast:data"),
            ("default data copy", "default:data default:copy"),
            ("default data fast copy", "default:data fast:copy"),
            ("default data/snap0 fast copy", "default:data@snap0 fast:copy"),
        ] {
            assert_eq!(shown(line).as_deref(), Some(means), "{line}");
        }
        for line in ["default data", "default/data copy", "default/data fast copy", "a/b c/d e/f", "a/b c/d/e", "a b c d/e"] {
            assert_eq!(shown(line), None, "{line}");
        }
    }
}
