//! The root tree: layers on disk hold unshifted ids, idmapped mounts shift them.
//!
//! An overlay is mounted by host root over idmapped layers (kernel 5.19), by path in the private namespace, with the
//! file-system ids of the container's root: with host root's own ids, which the idmapped upper layer does not know,
//! the kernel mounts it silently read-only.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use lxhost_contract::{Mount, Overlay, Root};
use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, openat};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen};

use crate::disks::source;
use crate::failure::{During, Failure};
use crate::launch::stage::{ROOT, Stage, clone_tree, onto};
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
    for own in ["upper", "work"] {
        // The kernel finds both by path.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&upper, own, flags, Mode::empty()).map(drop).during(step("overlay", &overlay.dir.join(own)))?;
    }
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
    set_attributes(&tree, Attributes { set, idmap: Some(owner.ids), private: true, follows: false, recursive })?;
    Ok(tree)
}

/// Mounts what the configuration adds below the root, in order.
pub(crate) fn mount_extra(stage: &Stage, mounts: &[Mount], owner: Owner<'_>) -> Result<(), Failure> {
    for mount in mounts {
        let Some(tree) = source::tree(mount, owner)? else { continue };
        let file = rustix::fs::fstat(&tree).map(|s| !rustix::fs::FileType::from_raw_mode(s.st_mode).is_dir());
        let file = file.during(step("mount", &mount.target))?;
        let target = stage.make_in_root(&mount.target, owner.root, file).during(step("mount", &mount.target))?;
        onto(&tree, target.as_fd()).during(step("mount", &mount.target))?;
    }
    Ok(())
}

fn step(what: &str, path: &Path) -> String {
    format!("{what} {}", path.display())
}
