//! Where something is mounted: a path below a root, whatever symbolic links that has, made where it is missing.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// Opens a path below `root` without ever leaving it.
pub(crate) fn open(root: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// As `open`; missing directories (and at the end a file, if `file`) are made within `rights`.
pub(crate) fn make(
    root: &OwnedFd,
    path: &Path,
    file: bool,
    rights: impl Fn(&dyn Fn() -> Result<(), Errno>) -> Result<(), Errno>,
) -> Result<OwnedFd, Errno> {
    let mut at = open(root, Path::new("."))?;
    let name = |part| if let Component::Normal(name) = part { Some(name) } else { None };
    let parts: Vec<&OsStr> = path.components().filter_map(name).collect();
    let mut walked = PathBuf::new();
    for (n, name) in parts.iter().enumerate() {
        walked.push(name);
        at = match open(root, &walked) {
            Err(Errno::NOENT) => {
                let last = file && n + 1 == parts.len();
                rights(&|| make_one(at.as_fd(), name, last))?;
                open(root, &walked)?
            }
            other => other?,
        };
    }
    Ok(at)
}

fn make_one(dir: BorrowedFd<'_>, name: &OsStr, file: bool) -> Result<(), Errno> {
    // O_PATH descriptors serve as directories of the *at calls; what is not a directory is refused here by name.
    if !FileType::from_raw_mode(rustix::fs::fstat(dir)?.st_mode).is_dir() {
        return Err(Errno::NOTDIR);
    }
    let made = if file {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        openat(dir, name, flags, Mode::from_raw_mode(0o644)).map(drop)
    } else {
        rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755))
    };
    match made {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}
