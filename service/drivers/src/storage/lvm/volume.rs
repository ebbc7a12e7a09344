//! One thin volume: made, copied, removed. Called by `lvm`.

use super::super::tool;
use super::command::{found, run};
use super::names::{self, Names};
use lxhost_model::{Error, Kind, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Size of a tree when nothing says otherwise: a promise, which takes no room.
const SIZE: &str = "10g";
/// Is there where the kernel knows of quotas.
const QUOTAS: &str = "/proc/sys/fs/quota";
/// How long something may keep a volume open that is to go, and the pause between two tries.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes that have to be free for a new tree, and so many hundredths of the pool's own notes.
const LEAST: u64 = 8 << 20;
const LEAST_NOTES: u64 = 5;
/// Bytes of a sector.
const SECTOR: u64 = 512;

/// Makes an empty tree.
///
/// # Errors
/// `Unsupported`, `NoSpace`, `Failed`.
pub(super) async fn make(names: &Names, tree: &str) -> Result<()> {
    let words = ["-qq", "--yes", "-Wn", "-ky", "-K", "-ay", "--addtag", &names.tag, "-V", SIZE, "-n", tree, "--thin"];
    run("lvcreate", &words, &[names.pool()]).await?;
    let device = names::device(&names.tree(tree));
    // What was never written to reads as zeros.
    let zeros = "nodiscard,lazy_journal_init=1,assume_storage_prezeroed=1";
    let with_quotas = format!("{zeros},quotatype=prjquota");
    let words = match Path::new(QUOTAS).exists() {
        true => vec!["-q", "-F", "-m", "0", "-O", "quota,project", "-E", &with_quotas],
        false => vec!["-q", "-F", "-m", "0", "-E", zeros],
    };
    tool::run("mkfs.ext4", &words, &[device]).await.map(drop)
}

/// Makes a tree that holds what another does in this moment. `active`: it is going to be mounted.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) async fn copy(names: &Names, origin: &str, tree: &str, active: bool) -> Result<()> {
    let active = if active { "-ay" } else { "-an" };
    let words = ["-qq", "--yes", "--snapshot", "-ky", "-K", active, "--addtag", &names.tag, "-n", tree];
    run("lvcreate", &words, &[names.tree(origin)]).await.map(drop)
}

/// Has a tree's device at hand.
///
/// # Errors
/// `Failed`.
pub(super) async fn activate(names: &Names, tree: &str) -> Result<PathBuf> {
    let volume = names.tree(tree);
    let device = names::device(&volume);
    if !device.exists() {
        run("lvchange", &["-qq", "-K", "-ay"], &[&volume]).await?;
    }
    Ok(device)
}

/// Removes a tree; one that is gone is fine.
///
/// # Errors
/// `InUse`, `Failed`.
pub(super) async fn remove(names: &Names, tree: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match found("lvremove", &["-qq", "--force", "--yes"], &[names.tree(tree)]).await {
            // A guest that is being started looks at all mounts for a moment.
            Err(error) if error.kind == Kind::InUse && Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            removed => return removed.map(drop),
        }
    }
}

/// Room in a thin pool.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// All bytes.
    pub(super) total: u64,
    /// Free ones.
    pub(super) free: u64,
    /// Hundredths of its own notes that are free.
    notes: u64,
}

/// That of the pool, as the kernel has it: no metadata is read and no lock is taken.
///
/// # Errors
/// `Failed`.
pub(super) async fn room(names: &Names) -> Result<Room> {
    let status = match status(names).await? {
        Some(status) => status,
        None => {
            run("lvchange", &["-qq", "-K", "-ay"], &[names.pool()]).await?;
            status(names).await?.ok_or_else(|| Error::failed(format!("thin pool {} is not active", names.pool())))?
        }
    };
    room_in(&status).ok_or_else(|| Error::failed(format!("the thin pool says {}", lxhost_model::name::quoted(status.trim()))))
}

/// What the kernel says of it. The device has another name while no volume in it is active.
async fn status(names: &Names) -> Result<Option<String>> {
    for name in names.mapped() {
        if let Some(status) = found("dmsetup", &["status", "--target", "thin-pool"], &[name]).await?
            && !status.trim().is_empty()
        {
            return Ok(Some(status));
        }
    }
    Ok(None)
}

/// A line as `thin-provisioning.txt` of the kernel has it.
fn room_in(status: &str) -> Option<Room> {
    let mut words = status.split_whitespace().skip(1);
    let sectors: u64 = words.next()?.parse().ok()?;
    let mut words = words.skip(2).map(|word| {
        let (used, total) = word.split_once('/')?;
        Some((used.parse::<u64>().ok()?, total.parse::<u64>().ok().filter(|total| *total > 0)?))
    });
    let ((noted, notes), (used, chunks)) = (words.next()??, words.next()??);
    let total = sectors.saturating_mul(SECTOR);
    let free = total / chunks * chunks.saturating_sub(used);
    Some(Room { total, free, notes: notes.saturating_sub(noted).saturating_mul(100) / notes })
}

/// Refuses a tree for which there is no room: a pool that is full breaks the file systems in it.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) async fn has_room(names: &Names) -> Result<()> {
    let room = room(names).await?;
    match room.free >= LEAST && room.notes >= LEAST_NOTES {
        true => Ok(()),
        false => Err(Error::new(Kind::NoSpace, format!("thin pool {} is full", names.pool()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_how_much_is_free() {
        let line = "0 6266880 thin-pool 2 121/1024 985/48960 - rw discard_passdown error_if_no_space - 256 \n";
        let room = room_in(line).unwrap();
        assert_eq!((room.total, room.notes), (6_266_880 * 512, 88));
        assert_eq!(room.free, 65_536 * (48_960 - 985));
        for bad in ["", "0 1 thin-pool Fail", "0 1 linear", "0 8 thin-pool 2 1/0 1/2 -"] {
            assert_eq!(room_in(bad), None, "{bad}");
        }
    }
}
