//! The private mount namespace in which a root is put together, owned by the host's user namespace.
//!
//! Everything mounted here is copied later into a namespace of the container's user namespace, which locks it: the
//! container can neither take it away nor make it writable (mount_namespaces(7), "restrictions on mount namespaces").

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount, mount_change, move_mount, open_tree,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::disks::target;
use crate::failure::{During, Failure};
use crate::sys::identity::with_fs_ids;
use crate::sys::mounts::{Attributes, set_attributes};

/// Directory of the stage that becomes the root.
pub(crate) const ROOT: &str = "root";
/// Directory of the stage that becomes `/run/host`.
pub(crate) const HOST: &str = "host";
const EMPTY_FILE: &str = "empty-file";
const EMPTY_DIR: &str = "empty-dir";

/// The stage: a tmpfs that is the working directory while it is used.
#[derive(Debug)]
pub(crate) struct Stage {
    dir: OwnedFd,
    host: OwnedFd,
}

impl Stage {
    /// Leaves the host's mount namespace for a private copy and mounts an empty stage over `place`.
    pub(crate) fn set_up(place: &Path) -> Result<Self, Failure> {
        let host = openat(CWD, "/proc/self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).during("stage")?;
        crate::sys::birth::unshare(UnshareFlags::NEWNS).during("stage")?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).during("stage")?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("lxhost", place, "tmpfs", flags, c"mode=0755,size=1m,nr_inodes=1k").during("stage")?;
        let dir = openat(CWD, place, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).during("stage")?;
        rustix::process::fchdir(&dir).during("stage")?;
        rustix::fs::mkdirat(&dir, EMPTY_DIR, Mode::empty()).during("stage")?;
        openat(&dir, EMPTY_FILE, OFlags::CREATE | OFlags::CLOEXEC, Mode::empty()).during("stage")?;
        let stage = Self { dir, host };
        for name in [ROOT, HOST] {
            stage.make(name).during("stage")?;
        }
        Ok(stage)
    }

    /// Goes back to the mount namespace of the host: a private copy kept for years would pin every mount of it.
    pub(crate) fn leave(self) -> Result<(), Failure> {
        move_into_link_name_space(self.host.as_fd(), Some(LinkNameSpaceType::Mount)).during("leave the stage")?;
        rustix::process::chdir("/").during("leave the stage")
    }

    /// Puts a detached mount on a directory or file of the stage, making a directory where there is none.
    pub(crate) fn attach(&self, mount: impl AsFd, name: &str) -> Result<(), Errno> {
        match rustix::fs::mkdirat(&self.dir, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        move_mount(mount.as_fd(), "", self.dir.as_fd(), name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
    }

    /// Makes a directory of the stage.
    pub(crate) fn make(&self, name: &str) -> Result<(), Errno> {
        rustix::fs::mkdirat(&self.dir, name, Mode::from_raw_mode(0o755))
    }

    /// Makes a directory of the stage a read-only mount of its own, which the copy into the container locks.
    pub(crate) fn seal(&self, name: &str) -> Result<(), Errno> {
        self.attach(self.detached(name)?, name)
    }

    /// A directory of the stage.
    pub(crate) fn open(&self, name: &str) -> Result<OwnedFd, Errno> {
        openat(&self.dir, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
    }

    /// A read-only mount, made from a directory of the stage with what is mounted in it, that belongs nowhere yet.
    pub(crate) fn detached(&self, name: &str) -> Result<OwnedFd, Errno> {
        let tree = clone_tree(self.dir.as_fd(), Path::new(name), true)?;
        set_attributes(&tree, Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() })?;
        Ok(tree)
    }

    /// Puts a detached mount on a new directory or file of the stage.
    pub(crate) fn place(&self, mount: impl AsFd, name: &str) -> Result<(), Errno> {
        if FileType::from_raw_mode(rustix::fs::fstat(&mount)?.st_mode).is_dir() {
            return self.attach(mount, name);
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        drop(openat(&self.dir, name, flags, Mode::from_raw_mode(0o600))?);
        onto(mount, self.open(name)?.as_fd())
    }

    /// Opens a path of the future root without ever leaving it, whatever symbolic links it has.
    pub(crate) fn in_root(&self, path: &Path) -> Result<OwnedFd, Errno> {
        target::open(self.open(ROOT)?, path)
    }

    /// As `in_root`, making missing directories (and at the end a file, if `file`) as the container's root.
    pub(crate) fn make_in_root(&self, path: &Path, owner: (u32, u32), file: bool) -> Result<OwnedFd, Errno> {
        target::make(&self.open(ROOT)?, path, file, |make| with_fs_ids(owner.0, owner.1, make)?)
    }

    /// Covers a path of the future root with something empty that nobody may open. Paths that are not there are left.
    pub(crate) fn mask(&self, path: &Path) -> Result<(), Errno> {
        let target = match self.in_root(path) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other?,
        };
        let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&target)?.st_mode);
        let cover = if kind.is_dir() { EMPTY_DIR } else { EMPTY_FILE };
        onto(self.detached(cover)?, target.as_fd())
    }

    /// Makes a path of the future root read-only.
    pub(crate) fn read_only(&self, path: &Path) -> Result<(), Errno> {
        let target = match self.in_root(path) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other?,
        };
        let tree = clone_tree(target.as_fd(), Path::new(""), true)?;
        set_attributes(&tree, Attributes { set: libc::MOUNT_ATTR_RDONLY, recursive: true, ..Attributes::default() })?;
        onto(tree, target.as_fd())
    }
}

/// Puts a detached mount on an open directory or file.
pub(crate) fn onto(mount: impl AsFd, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount.as_fd(), "", target, "", flags)
}

/// A detached copy of the mount at a path, or of the whole tree of mounts there. The end of the path is no link.
pub(crate) fn clone_tree(dir: BorrowedFd<'_>, path: &Path, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    flags |= OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    open_tree(dir, path, flags)
}

/// A new instance of a file system, mounted nowhere yet.
pub(crate) fn new_mount(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(context.as_fd(), *key, *value)?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}
