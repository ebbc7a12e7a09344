//! Copies of overlays. Nothing is copied of what stands still: the upper layer of the original is put under two empty
//! ones, its own and the copy's. A layer in use cannot be taken away from under its overlay, so that of a running
//! instance is copied; so is one that would make the pile too high. Called by `overlay`, which holds `moving` meanwhile.

use super::below::{self, DEEPEST, UPPER};
use super::layout::Layout;
use super::overlay::{PLAIN, WORK};
use super::upper::{begin, copy_layers, copy_plain, empty_over};
use super::{place, snapshot};
use crate::blocking::blocking;
use lxhost_engine::ports::Origin;
use lxhost_model::{Error, ObjectId, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::Mutex;

/// Makes the layers of `to`.
///
/// # Errors
/// `NoSuchSnapshot`, `NoSpace`, `Failed`.
pub(super) async fn root(layout: &Layout, moving: &Mutex<()>, from: Origin, to: ObjectId) -> Result<()> {
    let target = layout.instance(to);
    let bin = begin(layout, &target).await?;
    match from {
        Origin::Snapshot(id) => over(layout, moving, &snapshot::existing(layout, id)?, Some(id), &target).await?,
        Origin::Root { instance, live } => {
            let source = layout.instance(instance);
            if live || source.join(PLAIN).is_dir() {
                copy_layers(&source, &target).await?;
            } else {
                part(layout, moving, instance, to).await?;
                over(layout, moving, &source, None, &target).await?;
            }
        }
    }
    place::make_dir(&target.join(WORK), 0o700).map_err(|e| Error::io("copy its root", &e))?;
    place::delete(bin).await;
    Ok(())
}

/// Makes a snapshot that holds what `from` does.
///
/// # Errors
/// `NoSuchSnapshot`, `NoSpace`, `Failed`.
pub(super) async fn snapshot(layout: &Layout, moving: &Mutex<()>, from: ObjectId, to: ObjectId) -> Result<()> {
    let target = layout.taking(to);
    if layout.snapshot(to).is_dir() {
        return Ok(());
    }
    let source = snapshot::existing(layout, from)?;
    let bin = begin(layout, &target).await?;
    over(layout, moving, &source, Some(from), &target).await?;
    place::delete(bin).await;
    snapshot::name(layout, to)
}

/// Removes what was made for `to`. A layer that the original lies over by now is its own as ever.
///
/// # Errors
/// `Failed`.
pub(super) fn undo(layout: &Layout, from: Origin, to: ObjectId) -> Result<Vec<Option<PathBuf>>> {
    let root = place::remove(layout, &layout.instance(to))?;
    let layer = layout.taking(to);
    let parted = matches!(from, Origin::Root { instance, .. } if below::below(&layout.instance(instance)) == Some(to));
    let taken = match parted && layer.is_dir() {
        true => {
            retire(layout, to)?;
            None
        }
        false => place::remove(layout, &layer)?,
    };
    Ok([vec![root, taken], below::forget_retired(layout)?].concat())
}

/// Puts an empty layer over that of an instance at rest, which nobody writes to any more from then on.
async fn part(layout: &Layout, moving: &Mutex<()>, instance: ObjectId, to: ObjectId) -> Result<()> {
    let _moving = moving.lock().await;
    let (source, layer) = (layout.instance(instance), layout.taking(to));
    let failed = |e: io::Error| Error::io(format!("copy the layers of {instance}"), &e);
    if below::below(&source) == Some(to) {
        return if layer.is_dir() { retire(layout, to) } else { Ok(()) };
    }
    if is_empty(&source).map_err(failed)? || is_high(layout, &source) {
        return Ok(());
    }
    let bin = begin(layout, &layer).await?;
    place::delete(bin).await;
    empty_over(&source, &layer).map_err(failed)?;
    below::set_below(&layer, to).map_err(failed)?;
    snapshot::copy_notes(&source, &source, &layer)?;
    let layout = layout.clone();
    blocking("copy the layers", move || {
        snapshot::sync_all(&layer).map_err(|e| Error::io("copy the layers", &e))?;
        snapshot::exchange(&layout, instance, &layer)?;
        retire(&layout, to)
    })
    .await
}

/// Gives the layer made for `to` the name of one that goes with the last that lies over it.
fn retire(layout: &Layout, to: ObjectId) -> Result<()> {
    let renamed = fs::rename(layout.taking(to), layout.retired_snapshot(to)).and_then(|()| place::sync(&layout.snapshots()));
    renamed.map_err(|e| Error::io(format!("keep the layer {to}"), &e))
}

/// Makes a directory that holds what `source` does: over its layer, if that is called `id` and stays as it is, or over
/// what lies under one to which nothing was written; else its layer is copied.
async fn over(layout: &Layout, moving: &Mutex<()>, source: &Path, id: Option<ObjectId>, target: &Path) -> Result<()> {
    let failed = |e: io::Error| Error::io(format!("copy the layers of {}", source.display()), &e);
    let moved = moving.lock().await;
    let under = match is_empty(source).map_err(failed)? {
        true => below::below(source),
        false if id.is_none() || is_high(layout, source) => {
            drop(moved);
            return copy_layers(source, target).await;
        }
        false => id,
    };
    empty_over(source, target).map_err(failed)?;
    if let Some(under) = under {
        below::set_below(target, under).map_err(failed)?;
    }
    drop(moved);
    copy_plain(source, target).await
}

/// Whether nothing was written to a directory's upper layer.
fn is_empty(dir: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(dir.join(UPPER))?.next().is_none())
}

/// Whether no layer may be put over that of a directory.
fn is_high(layout: &Layout, dir: &Path) -> bool {
    below::layers(layout, dir).len() + 1 >= DEEPEST
}
