//! What is mounted where a pool lies. Called by `filesystem`.

use super::super::layout::MARK;
use super::{device, uuid_of};
use lxhost_model::{Error, Kind, ObjectId, Result};
use lxhost_safefs::Dir;
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Whether something is mounted at a directory.
///
/// # Errors
/// `Failed`.
pub(in super::super) fn is_mounted(at: &Path) -> Result<bool> {
    match statx(CWD, at, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS) {
        Ok(found) => Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(e) => Err(Error::io(at.display(), &e.into())),
    }
}

/// Refuses what has the mark of another pool. The pool's own has none before it is set up and after it is torn down.
///
/// # Errors
/// `Conflict`, `Failed`.
pub(in super::super) fn check_mark(at: &Path, id: ObjectId) -> Result<()> {
    let mark = Dir::open(at).and_then(|dir| dir.read_file(OsStr::new(MARK), 64));
    match mark.map_err(|e| Error::io(at.display(), &e))? {
        Some(mark) if mark != id.to_string().as_bytes() => {
            Err(Error::new(Kind::Conflict, format!("another pool is mounted at {}", at.display())))
        }
        _ => Ok(()),
    }
}

/// Whether what is mounted carries that id.
///
/// # Errors
/// `Failed`.
pub(super) async fn is_of(at: &Path, id: ObjectId) -> Result<bool> {
    let at = fs::canonicalize(at).map_err(|e| Error::io(at.display(), &e))?;
    let table = fs::read_to_string("/proc/self/mountinfo").map_err(|e| Error::io("/proc/self/mountinfo", &e))?;
    match source(&table, &at) {
        Some(device) if device.exists() => Ok(device::uuid(&device).await?.as_deref() == Some(&uuid_of(id))),
        // The mark says it, if anything can be read at all.
        _ => Ok(check_mark(&at, id).is_ok()),
    }
}

/// The device that is mounted at a path, topmost.
fn source(table: &str, at: &Path) -> Option<PathBuf> {
    let row = |line: &str| {
        let (place, rest) = line.split_once(" - ")?;
        // Blanks, tabs, line breaks and backslashes are written in octal.
        let plain = |text: &str| text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\");
        let place = PathBuf::from(plain(place.split(' ').nth(4)?));
        Some((place, PathBuf::from(plain(rest.split(' ').nth(1)?))))
    };
    table.lines().rev().filter_map(row).find(|(place, _)| place == at).map(|(_, source)| source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topmost_mount_at_a_path_is_found() {
        let table = "21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
                     30 21 7:0 / /var/lib/lxhost/pools/p rw,nodev shared:2 - ext4 /dev/loop0 rw\n\
                     31 30 0:40 / /var/lib/lxhost/pools/p rw,nodev shared:3 - btrfs /dev/loop1 rw\n\
                     32 21 7:2 / /srv/a\\040b rw - ext4 /dev/loop2 rw\n";
        assert_eq!(source(table, Path::new("/var/lib/lxhost/pools/p")), Some("/dev/loop1".into()));
        assert_eq!(source(table, Path::new("/srv/a b")), Some("/dev/loop2".into()));
        assert_eq!(source(table, Path::new("/srv")), None);
    }

    #[test]
    fn a_directory_is_not_a_mount() {
        let place = tempfile::tempdir().unwrap();
        assert!(!is_mounted(place.path()).unwrap());
        assert!(!is_mounted(&place.path().join("missing")).unwrap());
        assert!(is_mounted(Path::new("/proc")).unwrap());
    }
}
