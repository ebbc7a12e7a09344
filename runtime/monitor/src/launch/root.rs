//! The root tree: layers on disk hold unshifted ids, idmapped mounts shift them.
//!
//! An overlay is mounted by host root over idmapped layers (kernel 5.19), by path in the private namespace, with the
//! file-system ids of the container's root: with host root's own ids, which the idmapped upper layer does not know,
//! the kernel mounts it silently read-only.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use lxhost_contract::{Mount, MountKind, Overlay, Root};
use rustix::fs::{CWD, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen};

use crate::failure::{During, Failure};
use crate::launch::stage::{ROOT, Stage, clone_tree, new_mount, onto};
use crate::sys::identity::with_fs_ids;
use crate::sys::mounts::{Attributes, set_attributes};

/// fsconfig(2) takes strings of up to 255 bytes; a layer costs up to four.
const MOST_LAYERS: usize = 60;

/// Whose the tree will be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// Host ids of the container's root.
    pub(crate) root: (u32, u32),
    /// A user namespace with the container's id maps.
    pub(crate) ids: BorrowedFd<'a>,
}

/// Mounts the root on the stage. Device nodes that an image may hold never work there.
pub(crate) fn mount_root(stage: &Stage, root: &Root, name: &str, owner: Owner<'_>) -> Result<(), Failure> {
    let mount = match root {
        Root::Tree(path) => idmapped(path, owner, libc::MOUNT_ATTR_NODEV, false).during(step("root", path))?,
        Root::Overlay(overlay) => mount_overlay(stage, overlay, name, owner)?,
    };
    stage.attach(&mount, ROOT).during("root")
}

fn mount_overlay(stage: &Stage, overlay: &Overlay, name: &str, owner: Owner<'_>) -> Result<OwnedFd, Failure> {
    if overlay.lowers.is_empty() || overlay.lowers.len() > MOST_LAYERS {
        return Err(Failure::new("overlay: number of layers", Errno::INVAL));
    }
    let mut lowers = String::new();
    for (n, path) in overlay.lowers.iter().enumerate() {
        let layer = idmapped(path, owner, libc::MOUNT_ATTR_RDONLY, false).during(step("overlay layer", path))?;
        let place = format!("l{n}");
        stage.attach(layer, &place).during(step("overlay layer", path))?;
        if n > 0 {
            lowers.push(':');
        }
        lowers.push_str(&place);
    }
    let upper = idmapped(&overlay.dir, owner, 0, false).during(step("overlay", &overlay.dir))?;
    stage.attach(upper, "u").during(step("overlay", &overlay.dir))?;
    let mount = join(&lowers, name, owner).during(step("overlay", &overlay.dir))?;
    // What the layers are made of is not needed by path any more; the overlay holds on to it.
    let flags = rustix::fs::fstatvfs(&mount).during("overlay")?.f_flag;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Err(Failure::new(step("overlay came out read-only", &overlay.dir), why_read_only(&overlay.dir)));
    }
    Ok(mount)
}

/// The kernel makes an overlay read-only, and says no more, when it cannot make its scratch directory.
fn why_read_only(dir: &Path) -> Errno {
    match rustix::fs::statvfs(dir) {
        Ok(disk) if disk.f_bavail == 0 || (disk.f_files > 0 && disk.f_favail == 0) => Errno::NOSPC,
        _ => Errno::ROFS,
    }
}

fn join(lowers: &str, name: &str, owner: Owner<'_>) -> Result<OwnedFd, Errno> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in [("source", name), ("lowerdir", lowers), ("upperdir", "u/upper"), ("workdir", "u/work")] {
        fsconfig_set_string(context.as_fd(), key, value)?;
    }
    with_fs_ids(owner.root.0, owner.root.1, || fsconfig_create(context.as_fd()))??;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NODEV)
}

fn idmapped(path: &Path, owner: Owner<'_>, set: u64, recursive: bool) -> Result<OwnedFd, Errno> {
    let tree = clone_tree(CWD, path, recursive)?;
    set_attributes(&tree, Attributes { set, idmap: Some(owner.ids), private: true, recursive })?;
    Ok(tree)
}

/// Mounts what the configuration adds below the root, in order.
pub(crate) fn mount_extra(stage: &Stage, mounts: &[Mount], owner: Owner<'_>) -> Result<(), Failure> {
    for mount in mounts {
        let made = match mount.kind {
            MountKind::Bind => bind(mount, owner),
            MountKind::Tmpfs => memory(mount, owner),
        };
        let tree = match made {
            Err(Errno::NOENT) if mount.optional => continue,
            other => other.during(step("mount", &mount.target))?,
        };
        let file = rustix::fs::fstat(&tree).map(|s| !rustix::fs::FileType::from_raw_mode(s.st_mode).is_dir());
        let file = file.during(step("mount", &mount.target))?;
        let target = stage.make_in_root(&mount.target, owner.root, file).during(step("mount", &mount.target))?;
        onto(&tree, target.as_fd()).during(step("mount", &mount.target))?;
    }
    Ok(())
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

fn bind(mount: &Mount, owner: Owner<'_>) -> Result<OwnedFd, Errno> {
    if mount.idmapped {
        return idmapped(&mount.source, owner, attributes(mount), mount.recursive);
    }
    let tree = clone_tree(CWD, &mount.source, mount.recursive)?;
    let change = Attributes { set: attributes(mount), idmap: None, private: true, recursive: mount.recursive };
    set_attributes(&tree, change)?;
    Ok(tree)
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

fn step(what: &str, path: &Path) -> String {
    format!("{what} {}", path.display())
}
