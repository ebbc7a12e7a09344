//! Paths of the host that a caller shows by a file he holds open: what he may read, and by what path it is reached.

use lxhost_model::{Error, Kind, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statx};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The path of an open directory or file, which leads there through no symbolic link.
///
/// # Errors
/// `InvalidArgs` for what was not opened for reading, is neither, or is not at its path any more.
pub(super) fn path_of(file: &OwnedFd) -> Result<String> {
    let bad = |why: &str| Error::new(Kind::InvalidArgs, format!("a path that is shown: {why}"));
    let flags = rustix::fs::fcntl_getfl(file).map_err(|errno| bad(&errno.to_string()))?;
    // Who opens by O_PATH has shown that he may come by, not that he may read.
    if flags.contains(OFlags::PATH) || flags & OFlags::RWMODE == OFlags::WRONLY {
        return Err(bad("it is not open for reading"));
    }
    let stat = rustix::fs::fstat(file).map_err(|errno| bad(&errno.to_string()))?;
    if !matches!(FileType::from_raw_mode(stat.st_mode), FileType::Directory | FileType::RegularFile) {
        return Err(bad("it is neither a directory nor a file"));
    }
    let own = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let path = std::fs::read_link(own).map_err(|error| bad(&error.to_string()))?;
    let Some(path) = path.to_str().filter(|path| path.starts_with('/')) else {
        return Err(bad("its path is not a plain one of this host"));
    };
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let there = openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
        .map_err(|errno| bad(&format!("{}: {errno}", lxhost_model::name::quoted(path))))?;
    if identity(there.as_fd()) != identity(file.as_fd()) {
        return Err(bad(&format!("{} is another one by now", lxhost_model::name::quoted(path))));
    }
    Ok(path.to_owned())
}

/// Device, inode and mount.
fn identity(file: BorrowedFd<'_>) -> Option<(u32, u32, u64, u64)> {
    let found = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::MNT_ID).ok()?;
    Some((found.stx_dev_major, found.stx_dev_minor, found.stx_ino, found.stx_mnt_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn place(name: &str) -> std::path::PathBuf {
        let place = std::env::temp_dir().join(format!("lxhost-shown-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        place.canonicalize().unwrap()
    }

    #[test]
    fn a_file_is_where_it_is_reached_without_links() {
        let place = place("path");
        std::fs::write(place.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(&place, place.join("link")).unwrap();
        let shown = |path: &str| path_of(&File::open(place.join(path)).unwrap().into());
        assert_eq!(shown("link/file").unwrap(), place.join("file").to_str().unwrap());
        assert_eq!(shown(".").unwrap(), place.to_str().unwrap());
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn what_was_not_read_or_is_not_there_is_refused() {
        let place = place("refused");
        let file = place.join("file");
        let write: OwnedFd = File::create(&file).unwrap().into();
        let passing = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let gone: OwnedFd = File::open(&file).unwrap().into();
        std::fs::rename(&file, place.join("other")).unwrap();
        std::fs::write(&file, "y").unwrap();
        let swapped: OwnedFd = File::open(place.join("other")).unwrap().into();
        assert_eq!(path_of(&swapped).unwrap(), place.join("other").to_str().unwrap());
        std::fs::remove_file(place.join("other")).unwrap();
        for refused in [write, passing, gone, swapped, File::open("/dev/null").unwrap().into(), std::io::pipe().unwrap().0.into()]
        {
            assert_eq!(path_of(&refused).unwrap_err().kind, Kind::InvalidArgs);
        }
        std::fs::remove_dir_all(&place).unwrap();
    }
}
