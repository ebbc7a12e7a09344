//! Access to directory trees that somebody else fills: images and roots of instances.
//!
//! Everything goes from a directory's file descriptor through openat2(2) (Linux 5.6) and never through
//! a joined path, so that links planted in the tree lead nowhere. Depends on rustix only; called by
//! the drivers and by the program that unpacks images.

mod remove;
mod replace;
pub mod tree;

pub use replace::Durability;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How names below a directory are resolved: beneath it, through no link, onto no other mount.
const CONFINED: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);

/// A directory, held open by an `O_PATH` descriptor.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
}

impl Dir {
    /// Opens a directory by a path that is ours (the last component may not be a link).
    ///
    /// # Errors
    /// As open(2); `NotADirectory` for a link.
    pub fn open(path: &Path) -> io::Result<Dir> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Dir { fd: rustix::fs::openat(CWD, path, flags, Mode::empty())? })
    }

    /// Opens the directory `below`, a relative path of any length.
    ///
    /// # Errors
    /// As openat2(2): `ELOOP` where a link lies on the way, `EXDEV` where the path leaves.
    pub fn open_dir(&self, below: impl AsRef<OsStr>) -> io::Result<Dir> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = retry(|| rustix::fs::openat2(&self.fd, below.as_ref(), flags, Mode::empty(), CONFINED))?;
        Ok(Dir { fd })
    }

    /// What `name` is, links not followed; `None` when there is nothing.
    ///
    /// # Errors
    /// As fstatat(2); `InvalidInput` for a name with a slash.
    pub fn stat(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        check_name(name)?;
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes the directory `name` with exactly this mode and opens it.
    ///
    /// # Errors
    /// As mkdirat(2).
    pub fn make_dir(&self, name: &OsStr, mode: u32) -> io::Result<Dir> {
        check_name(name)?;
        rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode & 0o7777))?;
        let dir = self.open_dir(name)?;
        // The umask took bits away; an O_PATH descriptor cannot be changed itself.
        rustix::fs::fchmod(dir.readable()?, Mode::from_raw_mode(mode & 0o7777))?;
        Ok(dir)
    }

    /// Reads the regular file `name` of at most `cap` bytes. `None` when it is not there or is
    /// anything but a regular file (a link, a pipe, a device).
    ///
    /// # Errors
    /// `FileTooLarge` above the cap; as openat2(2) and read(2).
    pub fn read_file(&self, name: &OsStr, cap: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(cap + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > cap {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(bytes))
    }

    /// Makes the regular file `name` durable; anything else, or nothing, is left alone.
    ///
    /// # Errors
    /// As openat2(2) and fsync(2).
    pub fn sync_file(&self, name: &OsStr) -> io::Result<()> {
        self.open_file(name)?.map_or(Ok(()), |file| file.sync_all())
    }

    /// The regular file `name`, to read. `None` when it is not there or anything else.
    ///
    /// # Errors
    /// As openat2(2).
    pub fn open_file(&self, name: &OsStr) -> io::Result<Option<std::fs::File>> {
        check_name(name)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // A device node would act on being opened: look before.
        match self.stat(name)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {}
            _ => return Ok(None),
        }
        let file = match retry(|| rustix::fs::openat2(&self.fd, name, flags, Mode::empty(), CONFINED)) {
            Ok(fd) => std::fs::File::from(fd),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        Ok(file.metadata()?.is_file().then_some(file))
    }

    /// The regular file `name`, to read and write; a new one with exactly this mode where there is none.
    ///
    /// # Errors
    /// As openat2(2); `InvalidInput` for anything but a regular file.
    pub fn open_or_make(&self, name: &OsStr, mode: u32) -> io::Result<std::fs::File> {
        if self.stat(name)?.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o777);
        let file = std::fs::File::from(retry(|| rustix::fs::openat2(&self.fd, name, flags, mode, CONFINED))?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Renames `from` in this directory to `to` in another; replaces what is there, as renameat(2).
    ///
    /// # Errors
    /// As renameat(2).
    pub fn rename(&self, from: &OsStr, into: &Dir, to: &OsStr) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        Ok(rustix::fs::renameat(&self.fd, from, &into.fd, to)?)
    }

    /// Makes the directory's entries durable.
    ///
    /// # Errors
    /// As fsync(2).
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.readable()?)?)
    }

    /// The same directory, open for reading.
    ///
    /// # Errors
    /// As openat(2).
    pub fn readable(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.fd, ".", flags, Mode::empty())?)
    }
}

impl From<OwnedFd> for Dir {
    /// A directory that is open, by `O_PATH` or for reading.
    fn from(fd: OwnedFd) -> Dir {
        Dir { fd }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// openat2 gives `EAGAIN` when a rename elsewhere in the system races with a confined lookup.
fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    for _ in 0..64 {
        match call() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    call()
}

/// A name is one component: not empty, not `.` or `..`, without a slash.
fn check_name(name: &OsStr) -> io::Result<()> {
    match name.as_bytes() {
        b"" | b"." | b".." => Err(io::ErrorKind::InvalidInput.into()),
        bytes if bytes.contains(&b'/') => Err(io::ErrorKind::InvalidInput.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_on_the_way_is_not_followed() {
        let tree = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(outside.path().join("etc")).unwrap();
        symlink(outside.path(), tree.path().join("out")).unwrap();
        fs::create_dir(tree.path().join("in")).unwrap();
        let dir = Dir::open(tree.path()).unwrap();
        assert!(dir.open_dir("in").is_ok());
        for escape in ["out", "out/etc", "..", "in/../..", "/etc"] {
            assert!(dir.open_dir(escape).is_err(), "{escape}");
        }
    }

    #[test]
    fn only_regular_files_are_read_and_only_up_to_the_cap() {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("file"), "12345").unwrap();
        symlink("file", tree.path().join("link")).unwrap();
        rustix::fs::mknodat(CWD, tree.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let dir = Dir::open(tree.path()).unwrap();
        let read = |name: &str, cap| dir.read_file(OsStr::new(name), cap);
        assert_eq!(read("file", 5).unwrap().unwrap(), b"12345");
        assert_eq!(read("file", 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        for nothing in ["link", "pipe", "missing"] {
            assert!(read(nothing, 100).unwrap().is_none(), "{nothing}");
        }
        assert!(read("../x", 1).is_err());
    }
}
