//! Mounts of trees. The daemon makes them itself: there is one for each tree in use, they move when a directory gets
//! another name, which units of PID 1 cannot, and a container has a mount of its own. Called by `apart`, and by `filesystem`
//! for what a pool still has mounted.

use super::super::layout::ROOT;
use crate::blocking::blocking;
use lxhost_model::{Error, Kind, Result};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long something may keep a mount busy that is to go, and the pause between two tries.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// Unmounts what is mounted there; nothing is fine.
///
/// # Errors
/// `InUse`, `Failed`.
pub(super) async fn unmount(at: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let place = at.to_owned();
        let gone = blocking("unmount a tree", move || Ok(rustix::mount::unmount(&place, UnmountFlags::NOFOLLOW))).await?;
        match gone {
            // Not a mount point, or not there.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            Err(Errno::BUSY) => return Err(Error::new(Kind::InUse, format!("something uses {}", at.display()))),
            Err(e) => return Err(Error::io(at.display(), &e.into())),
        }
    }
}

/// Unmounts every tree below a pool's directory.
///
/// # Errors
/// `InUse`, `Failed`.
pub(in super::super) async fn unmount_below(source: &Path) -> Result<()> {
    let Ok(source) = std::fs::canonicalize(source) else { return Ok(()) };
    let table = std::fs::read("/proc/self/mountinfo").map_err(|e| Error::io("/proc/self/mountinfo", &e))?;
    for at in below(&table, &source) {
        unmount(&at).await?;
    }
    Ok(())
}

/// Trees that are mounted below a directory, the last first.
fn below(table: &[u8], source: &Path) -> Vec<PathBuf> {
    let place = |line: &[u8]| {
        let field = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(OsString::from_vec(super::super::quota::unescaped(field))))
    };
    let ours = |at: &PathBuf| at != source && at.starts_with(source) && at.file_name().is_some_and(|name| name == ROOT);
    table.split(|byte| *byte == b'\n').rev().filter_map(place).filter(ours).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_trees_below_a_pool_are_found_the_last_first() {
        let table = b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            30 21 7:0 / /pools/p rw - ext4 /dev/a rw\n\
            31 30 7:1 / /pools/p/instances/1/root rw - ext4 /dev/b rw\n\
            32 30 7:1 / /pools/p/volumes/instances/2/root rw - ext4 /dev/b rw\n\
            33 30 7:1 / /pools/p/.trash/some\\040where rw - ext4 /dev/b rw\n\
            34 21 7:2 / /pools/p2/instances/1/root rw - ext4 /dev/c rw\n";
        let found = below(table, Path::new("/pools/p"));
        assert_eq!(found, ["/pools/p/volumes/instances/2/root", "/pools/p/instances/1/root"].map(PathBuf::from));
    }

    #[tokio::test]
    async fn what_is_not_mounted_is_unmounted() {
        let place = tempfile::tempdir().unwrap();
        unmount(place.path()).await.unwrap();
        unmount(&place.path().join("missing")).await.unwrap();
    }
}
