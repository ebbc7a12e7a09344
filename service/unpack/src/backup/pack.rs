//! Packs a backup or an image: what it says about itself, then trees, into one compressed archive on standard output. A
//! tree of several layers is put together by the kernel (overlayfs), so that whiteouts, opaque directories and redirects
//! are its business. Depends on `write` and `tree`. Called by main.

use super::tree::Trees;
use super::write::Encoder;
use super::{INDEX, index, volume};
use crate::error::{Error, Result};
use crate::metadata;
use lxhost_model::backup::{About, Request};
use lxhost_safefs::Dir;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

/// Most bytes of a request.
const REQUEST: u64 = 64 << 20;
/// The definition once more, beside the tree: where LXD and Incus look for it when they have unpacked a backup.
const CONFIG: &str = "backup/container/backup.yaml";

/// Packs what the request on `input` says into `output`.
///
/// # Errors
/// `Usage` for a request that is none; `Limit`, `Entry`, `Io`.
pub(crate) fn run(input: impl Read, output: File, report: impl Fn(u64)) -> Result<()> {
    let mut text = String::new();
    input.take(REQUEST).read_to_string(&mut text).map_err(|e| Error::io("read the request", e))?;
    let request: Request = serde_json::from_str(&text).map_err(|e| Error::Usage(format!("the request: {e}")))?;
    let encoder = Encoder::new(output, request.compression).map_err(|e| Error::io("start compressing", e))?;
    let mut trees = Trees::new(encoder, report);
    match &request.about {
        About::Backup(backup) => {
            let (index, config) = index::render(backup)?;
            trees.text(INDEX, &index)?;
            trees.text(CONFIG, &config)?;
        }
        About::Volume(backup) => trees.text(INDEX, &volume::render(backup)?)?,
        About::Image(image) => trees.text(metadata::NAME, &metadata::render(image)?)?,
    }
    for tree in &request.trees {
        let root = open(&tree.layers).map_err(|e| Error::io(format!("open the tree {}", tree.name), e))?;
        trees.tree(root, &tree.name)?;
    }
    trees.finish()?.finish().map_err(|e| Error::io("write the archive", e))
}

/// The tree that `layers` make.
fn open(layers: &[PathBuf]) -> io::Result<Dir> {
    match layers {
        [] => Err(io::ErrorKind::InvalidInput.into()),
        [only] => Dir::open(only),
        more => Ok(overlay(more)?.into()),
    }
}

/// Mounts the layers over each other, to be read only and seen by nobody else.
fn overlay(layers: &[PathBuf]) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |layer: &PathBuf| rustix::fs::openat(CWD, layer, flags, Mode::empty());
    let open = layers.iter().map(open).collect::<rustix::io::Result<Vec<OwnedFd>>>()?;
    // The kernel takes 256 bytes for all of them: their descriptors have the shortest names.
    rustix::process::chdir("/proc/self/fd")?;
    let names: Vec<String> = open.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", "lxhost-backup")?;
    fsconfig_set_string(context.as_fd(), "lowerdir", names.join(":"))?;
    fsconfig_set_flag(context.as_fd(), "ro")?;
    fsconfig_create(context.as_fd())?;
    let quiet = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOATIME;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, quiet)?)
}
