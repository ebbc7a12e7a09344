//! Puts a file into a directory that a guest may have prepared: whole or not at all, and never
//! through a link. Called by the drivers before a start and for definitions beside the disk.

use crate::{CONFINED, Dir, check_name, retry};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};

/// What the name of a file begins with while it is written.
const PREFIX: &str = ".lxhost-";

/// How durable a new file is on return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Whole in memory; after a power cut the old or the new file, or an empty one.
    Memory,
    /// On disk, with its name.
    Disk,
}

impl Dir {
    /// Makes `name` a regular file with these contents and mode, owned by the caller. A link, pipe,
    /// device or whiteout of that name is replaced, not followed.
    ///
    /// # Errors
    /// `IsADirectory` when `name` is a directory (nothing changed); as openat2(2), write(2).
    pub fn replace_file(&self, name: &OsStr, contents: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
        check_name(name)?;
        let (fd, temporary) = self.temporary()?;
        let written = self.fill_and_rename(fd, &temporary, name, contents, mode, durability);
        if written.is_err() {
            let _ = rustix::fs::unlinkat(self, temporary.as_str(), AtFlags::empty());
        }
        written
    }

    /// Removes files that a writer which died had begun to write here. Nobody may be writing.
    ///
    /// # Errors
    /// As openat2(2), unlinkat(2).
    pub fn remove_unfinished(&self) -> io::Result<()> {
        let listed = self.readable()?;
        for entry in std::fs::read_dir(format!("/proc/self/fd/{}", listed.as_raw_fd()))? {
            let entry = entry?;
            if entry.file_type()?.is_file() && is_temporary(entry.file_name().as_encoded_bytes()) {
                rustix::fs::unlinkat(self, entry.file_name(), AtFlags::empty())?;
            }
        }
        Ok(())
    }

    fn fill_and_rename(
        &self,
        fd: OwnedFd,
        temporary: &str,
        name: &OsStr,
        contents: &[u8],
        mode: u32,
        durability: Durability,
    ) -> io::Result<()> {
        let mut file = std::fs::File::from(fd);
        file.write_all(contents)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777))?;
        if durability == Durability::Disk {
            file.sync_data()?;
        }
        rustix::fs::renameat(self, temporary, self, name)?;
        if durability == Durability::Disk {
            self.sync()?;
        }
        Ok(())
    }

    /// A new file under a name that nobody has taken.
    fn temporary(&self) -> io::Result<(OwnedFd, String)> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..16 {
            let name = format!("{PREFIX}{:016x}", random());
            match retry(|| rustix::fs::openat2(self, name.as_str(), flags, Mode::RUSR | Mode::WUSR, CONFINED)) {
                Ok(fd) => return Ok((fd, name)),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// Whether it is a name that `temporary` gives: others of ours begin alike.
fn is_temporary(name: &[u8]) -> bool {
    name.strip_prefix(PREFIX.as_bytes()).is_some_and(|end| end.len() == 16 && end.iter().all(u8::is_ascii_hexdigit))
}

/// Eight random bytes: std's hasher keys come from getrandom(2).
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_planted_link_is_replaced_and_its_target_left_alone() {
        let tree = tempfile::tempdir().unwrap();
        let canary = tempfile::NamedTempFile::new().unwrap();
        fs::write(canary.path(), "canary").unwrap();
        symlink(canary.path(), tree.path().join("hostname")).unwrap();
        let dir = Dir::open(tree.path()).unwrap();
        dir.replace_file(OsStr::new("hostname"), b"c1\n", 0o644, Durability::Memory).unwrap();
        assert_eq!(fs::read_to_string(canary.path()).unwrap(), "canary");
        let made = tree.path().join("hostname");
        assert!(fs::symlink_metadata(&made).unwrap().is_file());
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::read_dir(tree.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_writer_left_is_removed_and_nothing_else() {
        let tree = tempfile::tempdir().unwrap();
        for name in ["kept", ".lxhost-pool", ".lxhost-12345678", ".lxhost-12345678901234567"] {
            fs::write(tree.path().join(name), "").unwrap();
        }
        let dir = Dir::open(tree.path()).unwrap();
        drop(dir.temporary().unwrap());
        assert_eq!(fs::read_dir(tree.path()).unwrap().count(), 5);
        dir.remove_unfinished().unwrap();
        assert_eq!(fs::read_dir(tree.path()).unwrap().count(), 4);
    }

    #[test]
    fn a_directory_in_the_way_is_an_error_that_leaves_nothing_behind() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("hosts")).unwrap();
        let dir = Dir::open(tree.path()).unwrap();
        assert!(dir.replace_file(OsStr::new("hosts"), b"x", 0o644, Durability::Disk).is_err());
        assert_eq!(fs::read_dir(tree.path()).unwrap().count(), 1);
    }
}
