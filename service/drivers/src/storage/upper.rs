//! Snapshots of overlays. At rest the upper layer itself becomes the snapshot's, and the instance gets an empty one
//! over it: that takes a moment however much is in it. A layer in use cannot be taken away from under its overlay, so
//! that of a running instance is copied; so is one that would make the pile too high. Called by `overlay`.

use super::below::{self, DEEPEST, UPPER};
use super::dir::copy_now;
use super::layout::{IMAGE, Layout};
use super::overlay::{EMPTY, PLAIN, WORK, link};
use super::{place, snapshot};
use crate::blocking::blocking;
use lxhost_model::{Error, ObjectId, Result};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Takes what is in an instance's layers for a snapshot.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) async fn take(layout: &Layout, instance: ObjectId, id: ObjectId, live: bool) -> Result<()> {
    let (source, target) = (layout.instance(instance), layout.taking(id));
    let bin = begin(layout, &target).await?;
    let failed = |e: io::Error| Error::io(format!("take snapshot {id}"), &e);
    if live || below::layers(layout, &source).len() + 1 >= DEEPEST {
        copy_layers(&source, &target).await?;
        place::delete(bin).await;
        return snapshot::copy_notes(&source, &source, &target);
    }
    // What is made here is the instance's next directory; the one it has becomes the snapshot.
    empty_over(&source, &target).map_err(failed)?;
    below::set_below(&target, id).map_err(failed)?;
    snapshot::copy_notes(&source, &source, &target)?;
    copy_plain(&source, &target).await?;
    place::delete(bin).await;
    Ok(())
}

/// Gives what was taken its name.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) fn keep(layout: &Layout, instance: ObjectId, id: ObjectId) -> Result<()> {
    let taken = layout.taking(id);
    if below::below(&taken) == Some(id) {
        let failed = |e: io::Error| Error::io(format!("keep snapshot {id}"), &e);
        // The layer is on its way to the disk since it was written; the new directory is small.
        snapshot::sync_all(&taken).map_err(failed)?;
        snapshot::exchange(layout, instance, &taken)?;
    }
    snapshot::keep(layout, id)
}

/// Gives the instance its layer back, if the snapshot had it; throws away what was made.
///
/// # Errors
/// `Failed`.
pub(super) async fn undo(layout: &Layout, instance: ObjectId, id: ObjectId) -> Result<()> {
    let layout = layout.clone();
    let bins = blocking("undo the snapshot", move || {
        let places = [layout.snapshot(id), layout.taking(id)];
        if below::below(&layout.instance(instance)) == Some(id)
            && let Some(has_it) = places.iter().find(|place| place.is_dir())
        {
            snapshot::exchange(&layout, instance, has_it)?;
        }
        places.iter().map(|place| place::remove(&layout, place)).collect::<Result<Vec<_>>>()
    })
    .await?;
    for bin in bins {
        place::delete(bin).await;
    }
    Ok(())
}

/// Makes what is going to be an instance's directory out of a snapshot.
///
/// # Errors
/// `NoSuchSnapshot`, `NoSpace`, `Failed`.
pub(super) async fn stage(layout: &Layout, instance: ObjectId, id: ObjectId) -> Result<()> {
    let (source, target) = (snapshot::existing(layout, id)?, layout.restoring(instance));
    let bin = begin(layout, &target).await?;
    let failed = |e: io::Error| Error::io(format!("restore snapshot {id}"), &e);
    if below::layers(layout, &source).len() + 1 >= DEEPEST {
        copy_layers(&source, &target).await?;
    } else {
        empty_over(&source, &target).map_err(failed)?;
        below::set_below(&target, id).map_err(failed)?;
        copy_plain(&source, &target).await?;
    }
    place::make_dir(&target.join(WORK), 0o700).map_err(failed)?;
    snapshot::copy_notes(&source, &layout.instance(instance), &target)?;
    place::delete(bin).await;
    blocking("stage the root", move || snapshot::sync_all(&target).map_err(|e| Error::io("stage the root", &e))).await
}

/// Makes an empty directory for layers. The bin holds what was in its place.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) async fn begin(layout: &Layout, target: &Path) -> Result<Option<std::path::PathBuf>> {
    let (layout, target) = (layout.clone(), target.to_owned());
    blocking("begin a snapshot", move || snapshot::begin(&layout, &target)).await
}

/// Copies the upper layer, and says what lies under it.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) async fn copy_layers(source: &Path, target: &Path) -> Result<()> {
    let failed = |e: io::Error| Error::io(format!("copy the layers of {}", source.display()), &e);
    bottom(source, target).map_err(failed)?;
    if let Some(under) = below::below(source) {
        below::set_below(target, under).map_err(failed)?;
    }
    copy_now(&source.join(UPPER), &target.join(UPPER)).await?;
    copy_plain(source, target).await
}

/// An empty upper layer that looks like that of `source` from above, with its scratch directory.
pub(super) fn empty_over(source: &Path, target: &Path) -> io::Result<()> {
    bottom(source, target)?;
    place::make_dir(&target.join(WORK), 0o700)?;
    let (old, new) = (source.join(UPPER), target.join(UPPER));
    place::make_dir(&new, 0o755)?;
    let found = fs::symlink_metadata(&old)?;
    // The merged root has the upper directory's owner, mode and attributes.
    std::os::unix::fs::chown(&new, Some(found.uid()), Some(found.gid()))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(found.permissions().mode() & 0o7777))?;
    copy_attributes(&old, &new)
}

/// What lies under all layers: the link to the image, or an empty directory.
fn bottom(source: &Path, target: &Path) -> io::Result<()> {
    match fs::read_link(source.join(IMAGE)) {
        Ok(image) => link(&image, &target.join(IMAGE)),
        Err(_) => place::make_dir(&target.join(EMPTY), 0o755),
    }
}

/// Copies the directories that are not under the overlay.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) async fn copy_plain(source: &Path, target: &Path) -> Result<()> {
    match source.join(PLAIN).is_dir() {
        true => copy_now(&source.join(PLAIN), &target.join(PLAIN)).await,
        false => Ok(()),
    }
}

/// Extended attributes of a directory of ours, but for overlayfs' own notes.
fn copy_attributes(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = vec![0u8; 64 << 10];
    let length = match rustix::fs::llistxattr(from, &mut names) {
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        listed => listed?,
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = vec![0u8; 64 << 10];
        let size = rustix::fs::lgetxattr(from, name, &mut value)?;
        rustix::fs::lsetxattr(to, name, &value[..size], rustix::fs::XattrFlags::empty())?;
    }
    Ok(())
}
