//! Layers under the upper one of an overlay: those of snapshots, each with a link to the next, and the image's tree
//! at the bottom. A snapshot that is removed while a layer lies over it stays until none does. Called by `overlay`.

use super::layout::{Layout, RETIRED};
use super::place;
use lxhost_model::{Error, ObjectId, Result};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// What an overlay writes to; in a snapshot, what it wrote.
pub(super) const UPPER: &str = "upper";
/// Link to the snapshot whose layer is the next one: its id.
pub(super) const BELOW: &str = "below";
/// Most layers of snapshots in a root, its own among them. One that has as many is copied instead of being put under
/// another.
pub(super) const DEEPEST: usize = 32;

/// The snapshot under a directory's upper layer.
pub(super) fn below(dir: &Path) -> Option<ObjectId> {
    fs::read_link(dir.join(BELOW)).ok()?.to_str()?.parse().ok()
}

/// Says which snapshot lies under a directory's upper layer.
pub(super) fn set_below(dir: &Path, snapshot: ObjectId) -> io::Result<()> {
    match symlink(snapshot.to_string(), dir.join(BELOW)) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && below(dir) == Some(snapshot) => Ok(()),
        made => made,
    }
}

/// Upper layers of the snapshots under a directory's own, the topmost first.
pub(super) fn layers(layout: &Layout, dir: &Path) -> Vec<PathBuf> {
    let mut layers = Vec::new();
    let mut next = below(dir);
    // What is deeper was not made by us; the mount says that a layer is missing.
    while let Some(snapshot) = next.filter(|_| layers.len() <= DEEPEST) {
        let dir = place_of(layout, snapshot);
        layers.push(dir.join(UPPER));
        next = below(&dir);
    }
    layers
}

/// Where a snapshot's layer is, be it retired or not.
fn place_of(layout: &Layout, snapshot: ObjectId) -> PathBuf {
    let dir = layout.snapshot(snapshot);
    if dir.is_dir() { dir } else { layout.retired_snapshot(snapshot) }
}

/// Everything that has layers: instances, snapshots, and what is being made of either.
pub(super) fn directories(layout: &Layout) -> impl Iterator<Item = PathBuf> {
    let all = [layout.instances(), layout.snapshots()].into_iter().filter_map(|place| fs::read_dir(place).ok());
    all.flatten().flatten().map(|entry| entry.path())
}

/// Removes a snapshot, or retires it while a layer lies over it. The bins hold it, and those that it was the last to
/// need.
///
/// # Errors
/// `Failed`.
pub(super) fn remove(layout: &Layout, snapshot: ObjectId) -> Result<Vec<Option<PathBuf>>> {
    let dir = layout.snapshot(snapshot);
    if directories(layout).any(|other| below(&other) == Some(snapshot)) {
        let retired = layout.retired_snapshot(snapshot);
        let failed = |e: io::Error| Error::io(format!("retire snapshot {snapshot}"), &e);
        match fs::rename(&dir, &retired) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.and_then(|()| place::sync(&layout.snapshots())).map_err(failed)?,
        }
        return Ok(vec![]);
    }
    let bin = place::remove(layout, &dir)?;
    Ok([vec![bin], forget_retired(layout)?].concat())
}

/// Throws away retired snapshots that nothing lies over any more.
///
/// # Errors
/// `Failed`.
pub(super) fn forget_retired(layout: &Layout) -> Result<Vec<Option<PathBuf>>> {
    let mut bins = Vec::new();
    loop {
        let all: Vec<PathBuf> = directories(layout).collect();
        let used: Vec<ObjectId> = all.iter().filter_map(|dir| below(dir)).collect();
        let retired = |dir: &&PathBuf| {
            let name = dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(RETIRED));
            name.and_then(|id| id.parse().ok()).is_some_and(|id: ObjectId| !used.contains(&id))
        };
        let idle: Vec<&PathBuf> = all.iter().filter(|dir| dir.parent() == Some(&layout.snapshots())).filter(retired).collect();
        if idle.is_empty() {
            return Ok(bins);
        }
        for dir in idle {
            bins.push(place::remove(layout, dir)?);
        }
    }
}
