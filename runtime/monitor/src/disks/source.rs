//! From a mount that is asked for to a tree of mounts that belongs nowhere yet: what is bound of the host is cloned in
//! the namespace of the caller, which for disks is the host's own.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use lxhost_contract::{Mount, MountKind};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use crate::failure::{During, Failure};
use crate::launch::root::Owner;
use crate::launch::stage::{clone_tree, new_mount};
use crate::sys::mounts::{Attributes, set_attributes};

/// What is mounted; `None` for a source that is not there and need not be.
pub(crate) fn tree(mount: &Mount, owner: Owner<'_>) -> Result<Option<OwnedFd>, Failure> {
    match mount.kind {
        MountKind::Bind => bind(mount, owner),
        MountKind::Tmpfs => memory(mount, owner).during(format!("mount {}", mount.target.display())).map(Some),
    }
}

fn bind(mount: &Mount, owner: Owner<'_>) -> Result<Option<OwnedFd>, Failure> {
    let path = mount.source.display();
    let source = match open(&mount.source, mount.no_links) {
        Err(Errno::NOENT) if mount.optional => return Ok(None),
        Err(Errno::LOOP) => return Err(Failure::new(format!("{path}: a symbolic link is on the way"), Errno::LOOP)),
        other => other.during(format!("open {path}"))?,
    };
    if mount.no_links {
        let kind = rustix::fs::fstat(&source).during(format!("open {path}"))?.st_mode;
        if matches!(FileType::from_raw_mode(kind), FileType::BlockDevice | FileType::CharacterDevice) {
            return Err(Failure::new(format!("{path} is a device"), Errno::OPNOTSUPP));
        }
    }
    let tree = clone_tree(source.as_fd(), Path::new(""), mount.recursive).during(format!("bind {path}"))?;
    let change = Attributes {
        set: attributes(mount),
        idmap: mount.idmapped.then_some(owner.ids),
        private: !mount.follows,
        follows: mount.follows,
        recursive: mount.recursive,
    };
    match set_attributes(&tree, change) {
        // Said of file systems whose mounts have no map of ids: nothing else of the call can be wrong.
        Err(Errno::INVAL) if mount.idmapped => {
            let what = "its file system, or one below it, cannot map ids; with shift=false its files belong to nobody inside";
            let what = format!("{path}: {what}");
            Err(Failure::new(what, Errno::OPNOTSUPP))
        }
        Err(Errno::PERM) if mount.idmapped => {
            Err(Failure::new(format!("{path}: it, or a mount below it, maps ids already"), Errno::OPNOTSUPP))
        }
        other => other.during(format!("bind {path}")).map(|()| Some(tree)),
    }
}

/// Paths of users are opened through nothing that one of them may have put there meanwhile.
fn open(path: &Path, no_links: bool) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    if no_links {
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        return openat2(CWD, path, flags, Mode::empty(), resolve);
    }
    openat(CWD, path, flags, Mode::empty())
}

fn attributes(mount: &Mount) -> u64 {
    let mut set = libc::MOUNT_ATTR_NODEV;
    for (wanted, bit) in [
        (mount.read_only, libc::MOUNT_ATTR_RDONLY),
        (mount.no_exec, libc::MOUNT_ATTR_NOEXEC),
        (!mount.suid, libc::MOUNT_ATTR_NOSUID),
    ] {
        if wanted {
            set |= bit;
        }
    }
    set
}

fn memory(mount: &Mount, owner: Owner<'_>) -> Result<OwnedFd, Errno> {
    let mode = format!("{:o}", if mount.mode == 0 { 0o755 } else { mount.mode });
    let size = mount.size.to_string();
    let (uid, gid) = (owner.root.0.to_string(), owner.root.1.to_string());
    let mut options = vec![("mode", mode.as_str()), ("uid", uid.as_str()), ("gid", gid.as_str())];
    if mount.size > 0 {
        options.push(("size", size.as_str()));
    }
    let tree = new_mount("tmpfs", &options, MountAttrFlags::empty())?;
    set_attributes(&tree, Attributes { set: attributes(mount), ..Attributes::default() })?;
    Ok(tree)
}
