//! The zpool of a pool: one that the pool brings on a device or in a file, or somebody else's, in which it has one dataset
//! with everything below it. A zpool that was brought is in no cache file: nobody but the daemon imports it. Called by
//! `filesystem`.

use super::super::filesystem::device;
use super::super::source::{SIZE, Source};
use super::command::{found, patiently, run};
use super::dataset;
use super::names::{self, Names, OWNER};
use lxhost_model::size::parse_bytes;
use lxhost_model::{Error, Kind, Pool, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// What every dataset of a pool is like: nothing is mounted but by the daemon, and attributes lie where they are read.
const LIKE: [&str; 7] =
    ["mountpoint=none", "canmount=off", "compression=on", "xattr=sa", "acltype=posixacl", "relatime=on", "devices=off"];
/// Least and most bytes that are kept for the pool's directory. With less than 32 MiB a full pool lets nothing be renamed:
/// what a change may take is reckoned 24 times as large as it is.
const DIRECTORY: (u64, u64) = (48 << 20, 1 << 30);
/// So many times as large is the pool.
const PART: u64 = 64;
/// Nothing else remembers it.
const NO_CACHE: &str = "cachefile=none";

/// Makes the pool's datasets, in a zpool that is made unless `source` names one, on `what`. Gives the dataset for the pool's
/// directory. A zpool in a file is not imported any more then.
///
/// # Errors
/// `Conflict` for a name that somebody else has; `InvalidConfig`, `InUse`, `Unsupported`, `NoSpace`, `Failed`.
pub(in super::super) async fn make(names: &Names, pool: &Pool, source: &Source, what: &Path, wipe: bool) -> Result<PathBuf> {
    let all = match source {
        Source::Group(above) => beside(names, pool, above).await?,
        _ => {
            bring(names, source, what, wipe).await?;
            dataset::room(names).await?.total
        }
    };
    let kept = format!("refreservation={}", part(all));
    run("zfs", &["create", "-o", "mountpoint=legacy", "-o", &kept, &names.directory()]).await?;
    if let Source::File(_) = source {
        // The file gets another name, and a zpool knows its files by their names.
        patiently("zpool", &["export", &names.zpool]).await?;
    }
    Ok(names.directory().into())
}

/// Makes the zpool.
async fn bring(names: &Names, source: &Source, what: &Path, wipe: bool) -> Result<()> {
    if found("zpool", &["list", "-H", "-o", "name", &names.zpool]).await?.is_some() {
        let what = format!("there is a zpool {} already; {} names another", names.zpool, names::ZPOOL);
        return Err(Error::new(Kind::Conflict, what));
    }
    let owner = format!("{OWNER}={}", names.id);
    let mut words = vec!["create", "-o", NO_CACHE, "-O", &owner];
    match source {
        // What is deleted is free in the file, too.
        Source::File(_) => words.extend(["-o", "autotrim=on"]),
        _ => device::clear(what, wipe).await?,
    }
    LIKE.iter().for_each(|like| words.extend(["-O", like]));
    let path = text(what)?;
    // It makes a directory of the zpool's name unless told not to.
    words.extend(["-f", "-m", "none", &names.zpool, path]);
    run("zpool", &words).await.map(drop)
}

/// Makes the pool's dataset in somebody else's zpool, which is imported when it has to be; gives the bytes it can have.
async fn beside(names: &Names, pool: &Pool, above: &str) -> Result<u64> {
    let imported = import(names, &Source::Group(above.to_owned())).await?;
    let made = below(names, pool, above).await;
    if imported && made.is_err() {
        // As it was.
        found("zpool", &["export", &names.zpool]).await?;
    }
    made
}

/// Makes the pool's dataset below another.
async fn below(names: &Names, pool: &Pool, above: &str) -> Result<u64> {
    let none = || Error::new(Kind::InvalidConfig, format!("there is no dataset {above}"));
    let said = found("zfs", &["list", "-H", "-p", "-t", "filesystem", "-o", "available", above]).await?.ok_or_else(none)?;
    let free: u64 = said.trim().parse().map_err(|_| none())?;
    if found("zfs", &["list", "-H", "-o", "name", &names.base]).await?.is_some() {
        let what = match owner(&names.base).await? {
            Some(_) => "is another pool's; lxctl recover takes in what no record knows",
            None => "is there already; give the pool another name",
        };
        return Err(Error::new(Kind::Conflict, format!("dataset {} {what}", names.base)));
    }
    let owner = format!("{OWNER}={}", names.id);
    let mut words = vec!["create", "-o", &owner];
    LIKE.iter().for_each(|like| words.extend(["-o", like]));
    let wanted = pool.config.get(SIZE).map(|size| parse_bytes(size)).transpose()?;
    let quota = wanted.map(|bytes| format!("quota={bytes}"));
    if let Some(bytes) = wanted.filter(|bytes| *bytes > free) {
        return Err(Error::new(Kind::NoSpace, format!("{above} has {free} bytes free, which is less than {bytes}")));
    }
    words.extend(quota.iter().flat_map(|quota| ["-o", quota]));
    words.push(&names.base);
    run("zfs", &words).await?;
    Ok(wanted.unwrap_or(free))
}

/// Has the pool's datasets at hand; gives the one with its directory. `None`: there is none.
///
/// # Errors
/// `Unsupported`, `Failed`.
pub(in super::super) async fn find(names: &Names, source: &Source) -> Result<Option<PathBuf>> {
    match source {
        // Half made, whatever is imported.
        Source::File(path) if !path.is_file() => return Ok(None),
        _ => {}
    }
    if !is_ours(names).await? {
        let imported = import(names, source).await?;
        if !is_ours(names).await? {
            // Somebody else's, without anything of ours.
            if imported {
                found("zpool", &["export", &names.zpool]).await?;
            }
            return Ok(None);
        }
    }
    let there = found("zfs", &["list", "-H", "-o", "name", &names.directory()]).await?;
    Ok(there.map(|_| names.directory().into()))
}

/// Whether what has the name of the pool's dataset is the pool's.
async fn is_ours(names: &Names) -> Result<bool> {
    Ok(owner(&names.base).await?.as_deref() == Some(&names.id))
}

/// Imports the zpool, unless it is there; says whether it has done so.
async fn import(names: &Names, source: &Source) -> Result<bool> {
    if found("zpool", &["list", "-H", "-o", "name", &names.zpool]).await?.is_some() {
        return Ok(false);
    }
    match source {
        // A file of the daemon's is used by nobody else, whichever host it says it was used by.
        Source::File(path) if path.is_file() => {
            found("zpool", &["import", "-f", "-N", "-o", NO_CACHE, "-d", text(path)?, &names.zpool]).await
        }
        Source::File(_) => Ok(None),
        Source::Group(_) => found("zpool", &["import", "-N", &names.zpool]).await,
        _ => found("zpool", &["import", "-N", "-o", NO_CACHE, &names.zpool]).await,
    }
    .map(|said| said.is_some())
}

/// The dataset with the directory of the pool that lies in a file, and nobody may know.
///
/// # Errors
/// `Failed` when there is none.
pub(in super::super) async fn in_file(path: &Path) -> Result<PathBuf> {
    let none = || Error::failed("there is no pool in its zpool");
    let zpool = device::label(path).await?.filter(|name| names::check("", name, false).is_ok()).ok_or_else(none)?;
    if found("zpool", &["list", "-H", "-o", "name", &zpool]).await?.is_none() {
        run("zpool", &["import", "-f", "-N", "-o", NO_CACHE, "-d", text(path)?, &zpool]).await?;
    }
    owner(&zpool).await?.ok_or_else(none)?;
    Ok(names::directory(&zpool).into())
}

/// Has the pool grow to the size in its record.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(in super::super) async fn grow(names: &Names, source: &Source, bytes: u64) -> Result<()> {
    let kept = format!("refreservation={}", part(bytes));
    match source {
        Source::File(path) => run("zpool", &["online", "-e", &names.zpool, text(path)?]).await?,
        _ => run("zfs", &["set", &format!("quota={bytes}"), &names.base]).await?,
    };
    run("zfs", &["set", &kept, &names.directory()]).await.map(drop)
}

/// Removes what the pool has, and the zpool if the pool has brought it. What somebody else has stays. Says whether the file
/// was the pool's.
///
/// # Errors
/// `InUse` while something uses a dataset, or somebody else has datasets there; `Failed`.
pub(in super::super) async fn remove(names: &Names, source: &Source) -> Result<bool> {
    // It has to be imported to be looked at.
    find(names, source).await?;
    if !is_ours(names).await? {
        return Ok(false);
    }
    let disks = match source {
        Source::Device(path) => {
            let said = run("zpool", &["list", "-v", "-H", "-P", "-o", "name", &names.zpool]).await?;
            disks(&said, path)
        }
        _ => vec![],
    };
    drop_datasets(names).await?;
    for disk in disks {
        device::wipe(&disk).await?;
    }
    Ok(true)
}

/// Devices of a zpool, and the whole disk of which it has got a partition.
fn disks(said: &str, source: &Path) -> Vec<PathBuf> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut disks: Vec<PathBuf> = said.split_whitespace().filter(|word| word.starts_with("/dev/")).map(PathBuf::from).collect();
    let whole = real(source);
    let is_part = |disk: &PathBuf| {
        let rest = real(disk).to_string_lossy().strip_prefix(&*whole.to_string_lossy()).map(str::to_owned);
        rest.is_some_and(|rest| !rest.is_empty() && rest.trim_start_matches('p').chars().all(|c| c.is_ascii_digit()))
    };
    if disks.iter().any(is_part) {
        disks.push(whole);
    }
    disks
}

/// Removes the pool's datasets, and the zpool if it is the pool's.
///
/// # Errors
/// As `remove`.
pub(in super::super) async fn drop_datasets(names: &Names) -> Result<()> {
    if !is_ours(names).await? {
        return Ok(());
    }
    let ours = |name: &str| name == names.directory() || dataset::tree_of(names, name).is_some();
    let said = run("zfs", &["list", "-H", "-t", "filesystem,volume", "-o", "name", "-r", &names.base]).await?;
    if let Some(other) = said.lines().find(|name| *name != names.base && !ours(name)) {
        return Err(Error::new(Kind::InUse, format!("{} holds a dataset {other} of somebody else's", names.base)));
    }
    match names.is_brought() {
        true => patiently("zpool", &["destroy", &names.zpool]).await,
        false => patiently("zfs", &["destroy", "-r", &names.base]).await,
    }
}

/// Id of the pool that a dataset is of; `None`: it is nobody's, or not there.
async fn owner(dataset: &str) -> Result<Option<String>> {
    let said = found("zfs", &["get", "-H", "-p", "-o", "value", "-s", "local", OWNER, dataset]).await?;
    Ok(said.map(|said| said.trim().to_owned()).filter(|id| !id.is_empty()))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::failed(format!("{} is no text", path.display())))
}

/// What is kept for the directory of a pool of that size.
fn part(bytes: u64) -> u64 {
    (bytes / PART).clamp(DIRECTORY.0, DIRECTORY.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_parts_of_large_pools_are_bounded() {
        assert_eq!(part(300 << 20), 48 << 20);
        assert_eq!(part(30 << 30), 480 << 20);
        assert_eq!(part(1 << 50), 1 << 30);
    }

    #[test]
    fn a_whole_disk_is_told_from_another_with_such_a_name() {
        let all = |said: &str, source: &str| disks(said, Path::new(source));
        assert_eq!(all("own\t1G\n\t/dev/nothing1\t1G\n", "/dev/nothing"), ["/dev/nothing1", "/dev/nothing"].map(PathBuf::from));
        assert_eq!(all("own\n\t/dev/nothing0p1\n", "/dev/nothing0"), ["/dev/nothing0p1", "/dev/nothing0"].map(PathBuf::from));
        for source in ["/dev/nothing1", "/dev/other", "/dev/noth"] {
            assert_eq!(all("own\n\t/dev/nothing1\n", source), ["/dev/nothing1"].map(PathBuf::from), "{source}");
        }
    }
}
