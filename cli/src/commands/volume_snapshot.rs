//! `storage volume snapshot`: as `snapshot`, of what lies on a pool.

use super::snapshot::{self, kept, list, shown, take};
use crate::args::{OneVolumeSnapshot, VolumeName, VolumeSnapshot as Args, VolumeSnapshotVerb as Verb};
use crate::bus::Session;
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use crate::render;
use lxhost_dbus::Options;
use lxhost_dbus::proxy::SnapshotsProxy;
use zbus::wire::OwnedObjectPath;

/// Runs a verb of `storage volume snapshot`; without one, takes a snapshot.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match (&args.verb, &args.create) {
        (Some(Verb::Create(new)), _) | (None, Some(new)) => {
            let volume = VolumeName { pool: new.pool.clone(), name: new.volume.clone() };
            let name = (new.volume.as_str(), new.name.as_deref());
            let expiry = if new.no_expiry { Some("") } else { new.expiry.as_deref() };
            let options = kept(new.comment.as_deref(), expiry, new.reuse);
            take(session, &of(session, &volume).await?, name, &options).await
        }
        (Some(Verb::List { volume, format }), _) => list(session, &path(session, volume).await?, format.format).await,
        (Some(Verb::Show { volume, snapshot, format }), _) => {
            let (volume, name) = named(volume, snapshot.as_deref())?;
            let data = shown(session, &of(session, &volume).await?, &name).await?;
            render::document(format.format, &data)
        }
        (Some(Verb::Rename { snapshot, new }), _) => {
            let (snapshots, none) = (of(session, &snapshot.volume).await?, Options::new());
            session.allowed(|| snapshots.rename(&snapshot.snapshot, new, &none)).await
        }
        (Some(Verb::Restore(snapshot)), _) => restore(session, snapshot).await,
        (Some(Verb::Delete { volume, names, at_once }), _) => {
            let snapshots = of(session, volume).await?;
            for name in names {
                let options = at_once.options();
                let job = session.allowed(|| snapshots.delete(name, &options)).await?;
                progress::wait(session, &job, &format!("Deleting {}/{name}", volume.name), OnInterrupt::Leave).await?;
            }
            Ok(())
        }
        (None, None) => Err(Failure::usage("which volume?").hint("lxctl storage volume snapshot --help shows what it takes")),
    }
}

async fn restore(session: &Session, snapshot: &OneVolumeSnapshot) -> Result<(), Failure> {
    let (snapshots, none) = (of(session, &snapshot.volume).await?, Options::new());
    let job = session.allowed(|| snapshots.restore(&snapshot.snapshot, &none)).await?;
    progress::wait(session, &job, &format!("Restoring {}", snapshot.volume.name), OnInterrupt::Leave).await.map(drop)
}

async fn path(session: &Session, volume: &VolumeName) -> Result<OwnedObjectPath, Failure> {
    let proxy = session.volume(&volume.pool, &volume.name).await?;
    Ok(proxy.inner().path().to_owned().into())
}

async fn of(session: &Session, volume: &VolumeName) -> Result<SnapshotsProxy<'static>, Failure> {
    session.object(&path(session, volume).await?).await
}

/// A volume and a snapshot, which may be one word.
fn named(volume: &VolumeName, snapshot: Option<&str>) -> Result<(VolumeName, String), Failure> {
    if let Some(snapshot) = snapshot {
        return Ok((volume.clone(), snapshot.to_owned()));
    }
    let plain = volume.name.strip_prefix("custom/").unwrap_or(&volume.name);
    match snapshot::parts(plain) {
        Some((name, snapshot)) => Ok((VolumeName { name: name.to_owned(), ..volume.clone() }, snapshot.to_owned())),
        None => Err(Failure::usage("which snapshot?").hint("lxctl storage volume snapshot show --help shows what it takes")),
    }
}
