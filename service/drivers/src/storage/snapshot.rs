//! What every driver does alike with snapshots: a directory like an instance's is filled aside, gets its name when it
//! is whole and on the disk, and changes places with the instance's when it is restored. Called by the drivers.

use super::layout::{DEFINITION, Layout, PREPARED, QUOTA};
use super::place;
use lxhost_engine::ports::Origin;
use lxhost_model::{Error, Kind, ObjectId, Result};
use lxhost_safefs::Dir;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Makes an empty directory for a snapshot or a restored root. The bin holds what was in its place.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) fn begin(layout: &Layout, target: &Path) -> Result<Option<PathBuf>> {
    // Pools that are older than snapshots have no place for them.
    let failed = |e: io::Error| Error::io(target.display(), &e);
    if !layout.snapshots().is_dir() {
        place::make_dir(&layout.snapshots(), 0o700).and_then(|()| place::sync(&layout.source)).map_err(failed)?;
    }
    let bin = place::throw_away(layout, target)?;
    place::make_dir(target, 0o700).map_err(failed)?;
    Ok(bin)
}

/// Gives a snapshot its name, durably: every file of it is on the disk before.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) fn keep(layout: &Layout, snapshot: ObjectId) -> Result<()> {
    let (taken, target) = (layout.taking(snapshot), layout.snapshot(snapshot));
    let failed = |e: io::Error| Error::io(format!("keep snapshot {snapshot}"), &e);
    if target.is_dir() {
        return Ok(());
    }
    sync_all(&taken).map_err(failed)?;
    fs::rename(&taken, &target).map_err(failed)?;
    place::sync(&layout.snapshots()).map_err(failed)
}

/// Gives a directory that was made as an instance's, and is on the disk, to a snapshot.
///
/// # Errors
/// `Failed`.
pub(super) fn adopt(layout: &Layout, snapshot: ObjectId) -> Result<()> {
    let (made, target) = (layout.instance(snapshot), layout.snapshot(snapshot));
    let failed = |e: io::Error| Error::io(format!("keep snapshot {snapshot}"), &e);
    if target.is_dir() {
        return Ok(());
    }
    if !layout.snapshots().is_dir() {
        place::make_dir(&layout.snapshots(), 0o700).and_then(|()| place::sync(&layout.source)).map_err(failed)?;
    }
    fs::rename(&made, &target).map_err(failed)?;
    let synced = place::sync(&layout.instances()).and_then(|()| place::sync(&layout.snapshots()));
    synced.map_err(failed)
}

/// Writes everything of the file system that `path` lies on to the disk.
pub(super) fn sync_all(path: &Path) -> io::Result<()> {
    let dir = Dir::open(path)?.readable()?;
    Ok(rustix::fs::syncfs(&dir)?)
}

/// Gives `to` the notes that lie beside a root: those of `root` about the root, the definition of `defined`, and that this
/// was limited.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) fn copy_notes(root: &Path, defined: &Path, to: &Path) -> Result<()> {
    for (from, name) in [(root, PREPARED), (defined, DEFINITION), (defined, QUOTA)] {
        // Both are replaced whole and never written to.
        match fs::hard_link(from.join(name), to.join(name)) {
            Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
                return Err(Error::io(format!("copy {name} of {}", from.display()), &e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The directory of a snapshot that is there.
///
/// # Errors
/// `NoSuchSnapshot`.
pub(super) fn existing(layout: &Layout, snapshot: ObjectId) -> Result<PathBuf> {
    let dir = layout.snapshot(snapshot);
    match dir.is_dir() {
        true => Ok(dir),
        false => Err(Error::new(Kind::NoSuchSnapshot, format!("snapshot {snapshot} is not in the pool"))),
    }
}

/// The directory of what is copied.
///
/// # Errors
/// `NoSuchSnapshot`.
pub(super) fn origin(layout: &Layout, from: Origin) -> Result<PathBuf> {
    match from {
        Origin::Root { instance, .. } => Ok(layout.instance(instance)),
        Origin::Snapshot(id) => existing(layout, id),
    }
}

/// Gives a snapshot that was copied its name. What makes it durable makes the copy durable.
///
/// # Errors
/// `Failed`.
pub(super) fn name(layout: &Layout, snapshot: ObjectId) -> Result<()> {
    let named = fs::rename(layout.taking(snapshot), layout.snapshot(snapshot));
    named.map_err(|e| Error::io(format!("copy a snapshot to {snapshot}"), &e))
}

/// Lets an instance's directory and another change places, durably: at no time is there none.
///
/// # Errors
/// `Failed`.
pub(super) fn exchange(layout: &Layout, instance: ObjectId, other: &Path) -> Result<()> {
    let failed = |e: io::Error| Error::io(format!("exchange the root of instance {instance}"), &e);
    let dir = layout.instance(instance);
    renameat_with(CWD, &dir, CWD, other, RenameFlags::EXCHANGE).map_err(|e| failed(e.into()))?;
    let synced = place::sync(&layout.instances()).and_then(|()| place::sync(&layout.snapshots()));
    synced.map_err(failed)
}

/// Puts a staged root into the place of an instance's. The bin holds the old one.
///
/// # Errors
/// `Failed`.
pub(super) fn restore(layout: &Layout, instance: ObjectId) -> Result<Option<PathBuf>> {
    let staged = layout.restoring(instance);
    exchange(layout, instance, &staged)?;
    place::remove(layout, &staged)
}
