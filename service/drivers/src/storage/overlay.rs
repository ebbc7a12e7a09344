//! Pools on any file system: images are unpacked once, instances are a writable layer over them. A
//! root costs four system calls. Trees hold unshifted ids; the monitor maps and mounts them.

use super::below::{self, UPPER};
use super::dir::Directory;
use super::layout::{IMAGE, Layout, RETIRED};
use super::{copy, definition, place, prepare, quota, snapshot, source, upper};
use crate::blocking::blocking;
use async_trait::async_trait;
use lxhost_engine::ports::{Defined, Definition, Held, MountSpec, Origin, PoolDriver, RootSpec, Usage};
use lxhost_model::volume::Top;
use lxhost_model::{Error, Fingerprint, Kind, ObjectId, Pool, Result};
use lxhost_safefs::Dir;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The scratch directory of an overlay.
pub(super) const WORK: &str = "work";
/// What lies under the layers of a root without an image.
pub(super) const EMPTY: &str = "empty";
/// Directories of the instance that are not under an overlay: one cannot lie over another.
pub(super) const PLAIN: &str = "plain";

/// The driver.
pub struct Overlay {
    state: PathBuf,
    /// Held while directories of layers get other names, and while they are looked at for layers that nothing lies over.
    moving: tokio::sync::Mutex<()>,
}

impl Overlay {
    /// Pools lie in `pools/` below `state` unless they say otherwise.
    pub fn new(state: &Path) -> Self {
        Overlay { state: state.to_owned(), moving: tokio::sync::Mutex::default() }
    }

    fn layout(&self, pool: &Pool) -> Layout {
        Layout::new(&self.state, pool)
    }
}

#[async_trait]
impl PoolDriver for Overlay {
    async fn set_up(&self, pool: &Pool) -> Result<()> {
        source::check(pool, &self.state)?;
        let layout = self.layout(pool);
        blocking("set up the pool", move || place::set_up(&layout)).await
    }

    async fn tear_down(&self, pool: &Pool) -> Result<()> {
        let layout = self.layout(pool);
        blocking("remove the pool", move || place::tear_down(&layout)).await
    }

    async fn stage_image(&self, pool: &Pool, image: &Fingerprint) -> Result<PathBuf> {
        let (layout, staging) = (self.layout(pool), self.layout(pool).staging(image));
        let target = staging.clone();
        let (bin, target) = blocking("stage the image", move || {
            let bin = place::throw_away(&layout, &target)?;
            place::make_dir(&target, 0o755).map_err(|e| Error::io("stage the image", &e))?;
            Ok((bin, target))
        })
        .await?;
        place::delete(bin).await;
        Ok(target)
    }

    async fn commit_image(&self, pool: &Pool, image: &Fingerprint) -> Result<()> {
        let (layout, image) = (self.layout(pool), image.clone());
        let bin = blocking("keep the image's tree", move || commit_tree(&layout, &image)).await?;
        place::delete(bin).await;
        Ok(())
    }

    async fn has_image(&self, pool: &Pool, image: &Fingerprint) -> Result<bool> {
        Ok(self.layout(pool).image(image).is_dir())
    }

    async fn remove_image(&self, pool: &Pool, image: &Fingerprint, used: bool) -> Result<()> {
        let (layout, image) = (self.layout(pool), image.clone());
        let bins = blocking("remove the image's tree", move || {
            let staged = place::throw_away(&layout, &layout.staging(&image))?;
            if used || is_used(&layout, &image) {
                if layout.image(&image).exists() {
                    fs::write(layout.retired(&image), "").map_err(|e| Error::io("retire the image", &e))?;
                }
                return Ok([staged, None]);
            }
            let tree = place::remove(&layout, &layout.image(&image))?;
            let _ = fs::remove_file(layout.retired(&image));
            Ok([staged, tree])
        })
        .await?;
        for bin in bins {
            place::delete(bin).await;
        }
        Ok(())
    }

    async fn create_root(&self, pool: &Pool, instance: ObjectId, image: Option<&Fingerprint>) -> Result<()> {
        let (layout, image) = (self.layout(pool), image.cloned());
        blocking("make the root", move || make_root(&layout, instance, image.as_ref())).await
    }

    async fn copy_root(&self, pool: &Pool, from: Origin, to: ObjectId) -> Result<()> {
        copy::root(&self.layout(pool), &self.moving, from, to).await
    }

    async fn undo_copy(&self, pool: &Pool, from: Origin, to: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        let _moving = self.moving.lock().await;
        for bin in blocking("undo the copy", move || copy::undo(&layout, from, to)).await? {
            place::delete(bin).await;
        }
        Ok(())
    }

    async fn copy_snapshot(&self, pool: &Pool, from: ObjectId, to: ObjectId) -> Result<()> {
        copy::snapshot(&self.layout(pool), &self.moving, from, to).await
    }

    async fn keep_copy(&self, pool: &Pool, to: ObjectId) -> Result<()> {
        let root = self.layout(pool).instance(to);
        blocking("keep the copy", move || snapshot::sync_all(&root).map_err(|e| Error::io("keep the copy", &e))).await
    }

    async fn remove_root(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        let _moving = self.moving.lock().await;
        let bins = blocking("remove the root", move || {
            let root = place::remove(&layout, &layout.instance(instance))?;
            Ok([vec![root], below::forget_retired(&layout)?, forget_retired(&layout)?].concat())
        })
        .await?;
        for bin in bins {
            place::delete(bin).await;
        }
        Ok(())
    }

    fn root(&self, pool: &Pool, instance: ObjectId, image: Option<&Fingerprint>) -> RootSpec {
        let layout = self.layout(pool);
        let dir = layout.instance(instance);
        RootSpec::Overlay { lowers: lowers(&layout, &dir, image), dir }
    }

    fn layers(&self, pool: &Pool, held: Held, image: Option<&Fingerprint>) -> Vec<PathBuf> {
        let layout = self.layout(pool);
        let dir = layout.held(held);
        [vec![dir.join(UPPER)], lowers(&layout, &dir, image)].concat()
    }

    async fn adopt_snapshot(&self, pool: &Pool, id: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        blocking("keep the snapshot", move || snapshot::adopt(&layout, id)).await
    }

    async fn prepare_root(&self, pool: &Pool, instance: ObjectId, image: Option<&Fingerprint>, hostname: &str) -> Result<()> {
        let layout = self.layout(pool);
        let beside = layout.instance(instance);
        let (top, below) = (beside.join(UPPER), lowers(&layout, &beside, image));
        prepare::run(&beside, &prepare::Root { top: &top, below: &below }, instance, hostname)
    }

    async fn layer_dirs(&self, pool: &Pool, instance: ObjectId, places: &[&str]) -> Result<Vec<MountSpec>> {
        let plain = self.layout(pool).instance(instance).join(PLAIN);
        let failed = |e: io::Error| Error::io(format!("make the layer directories of instance {instance}"), &e);
        place::make_dir(&plain, 0o755).map_err(failed)?;
        let make = |place: &&str| {
            let dir = layer_dir(&plain, place);
            place::make_dir(&dir.source, 0o711).map_err(failed)?;
            Ok(dir)
        };
        places.iter().map(make).collect()
    }

    fn kept_layer_dirs(&self, pool: &Pool, held: Held, places: &[&str]) -> Vec<MountSpec> {
        let plain = self.layout(pool).held(held).join(PLAIN);
        places.iter().map(|place| layer_dir(&plain, place)).filter(|dir| dir.source.is_dir()).collect()
    }

    async fn keep_root(&self, pool: &Pool, instance: ObjectId, hostname: &str) -> Result<()> {
        let beside = self.layout(pool).instance(instance);
        prepare::keep(beside.clone(), beside.join(UPPER), hostname).await
    }

    async fn prepared_for(&self, pool: &Pool, held: Held) -> Result<Option<String>> {
        prepare::prepared_for(&self.layout(pool).held(held))
    }

    async fn note_prepared(&self, pool: &Pool, instance: ObjectId, hostname: &str) -> Result<()> {
        prepare::note(&self.layout(pool).instance(instance), hostname)
    }

    async fn take_snapshot(&self, pool: &Pool, instance: ObjectId, id: ObjectId, live: bool) -> Result<()> {
        upper::take(&self.layout(pool), instance, id, live).await
    }

    async fn keep_snapshot(&self, pool: &Pool, instance: ObjectId, id: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        let _moving = self.moving.lock().await;
        blocking("keep the snapshot", move || upper::keep(&layout, instance, id)).await
    }

    async fn undo_snapshot(&self, pool: &Pool, instance: ObjectId, id: ObjectId) -> Result<()> {
        let _moving = self.moving.lock().await;
        upper::undo(&self.layout(pool), instance, id).await
    }

    async fn remove_snapshot(&self, pool: &Pool, id: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        let _moving = self.moving.lock().await;
        let bins =
            blocking("remove the snapshot", move || Ok([below::remove(&layout, id)?, forget_retired(&layout)?].concat())).await?;
        for bin in bins {
            place::delete(bin).await;
        }
        Ok(())
    }

    async fn stage_restore(&self, pool: &Pool, instance: ObjectId, id: ObjectId) -> Result<()> {
        upper::stage(&self.layout(pool), instance, id).await
    }

    async fn restore(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        let _moving = self.moving.lock().await;
        let bins = blocking("restore the root", move || {
            Ok([vec![snapshot::restore(&layout, instance)?], below::forget_retired(&layout)?].concat())
        })
        .await?;
        for bin in bins {
            place::delete(bin).await;
        }
        Ok(())
    }

    async fn undo_restore(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        let bin = blocking("undo the restore", move || place::remove(&layout, &layout.restoring(instance))).await?;
        place::delete(bin).await;
        Ok(())
    }

    async fn sweep(&self, pool: &Pool) -> Result<()> {
        place::sweep(&self.layout(pool));
        Ok(())
    }

    async fn write_definition(&self, pool: &Pool, of: Defined, yaml: &str) -> Result<()> {
        let (layout, yaml) = (self.layout(pool), yaml.to_owned());
        blocking("write the definition", move || definition::write(&layout, of, &yaml)).await
    }

    async fn definitions(&self, pool: &Pool) -> Result<Vec<Definition>> {
        let layout = self.layout(pool);
        blocking("read the definitions", move || definition::all(&layout)).await
    }

    /// Layers are for roots that begin alike; a volume begins empty, and may be where containers keep layers.
    fn volumes(&self, pool: &Pool) -> Pool {
        self.layout(pool).volumes(pool, "dir")
    }

    async fn create_volume(&self, volumes: &Pool, volume: ObjectId, top: Top) -> Result<()> {
        Directory::new(&self.state).create_volume(volumes, volume, top).await
    }

    async fn used(&self, pool: &Pool, of: ObjectId) -> Result<u64> {
        place::used(&self.layout(pool).instance(of)).await
    }

    async fn can_limit(&self, pool: &Pool) -> Result<()> {
        quota::can_limit(&self.layout(pool).source)
    }

    async fn limit(&self, pool: &Pool, of: ObjectId, bytes: Option<u64>, live: bool) -> Result<()> {
        quota::limit(&self.layout(pool).instance(of), of, bytes, live).await
    }

    async fn usage(&self, pool: &Pool) -> Result<Usage> {
        place::usage(&self.layout(pool))
    }
}

/// Gives a staged tree its name, durably. The bin holds a staged tree that was not needed.
pub(super) fn commit_tree(layout: &Layout, image: &Fingerprint) -> Result<Option<PathBuf>> {
    let failed = |e: io::Error| Error::io(format!("keep the tree of image {}", image.short()), &e);
    let (staging, tree) = (layout.staging(image), layout.image(image));
    if tree.is_dir() {
        return place::throw_away(layout, &staging);
    }
    let staged = Dir::open(&staging).and_then(|dir| dir.readable()).map_err(failed)?;
    // Every file of the tree, before its name can be seen.
    rustix::fs::syncfs(&staged).map_err(|e| failed(e.into()))?;
    fs::rename(&staging, &tree).map_err(failed)?;
    place::sync(&layout.images()).map_err(failed)?;
    Ok(None)
}

/// Makes the layers of a root, durably: one commit of the file system.
fn make_root(layout: &Layout, instance: ObjectId, image: Option<&Fingerprint>) -> Result<()> {
    let dir = layout.instance(instance);
    let failed = |e: io::Error| Error::io("make its root", &e);
    place::make_dir(&dir, 0o700).map_err(failed)?;
    let mode = match image {
        Some(image) => {
            let tree = layout.image(image);
            let found = fs::symlink_metadata(&tree).map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => Error::new(Kind::NoSuchImage, format!("image {} is not in the pool", image.short())),
                _ => failed(e),
            })?;
            link(&tree, &dir.join(IMAGE)).map_err(failed)?;
            let _ = fs::remove_file(layout.retired(image));
            found.permissions().mode() & 0o7777
        }
        None => {
            place::make_dir(&dir.join(EMPTY), 0o755).map_err(failed)?;
            0o755
        }
    };
    // The merged root has the upper directory's mode.
    place::make_dir(&dir.join(UPPER), 0o755).map_err(failed)?;
    fs::set_permissions(dir.join(UPPER), fs::Permissions::from_mode(mode)).map_err(failed)?;
    place::make_dir(&dir.join(WORK), 0o700).map_err(failed)?;
    place::sync_instance(layout, instance)
}

/// Where layers of containers within an instance lie.
fn layer_dir(plain: &Path, place: &str) -> MountSpec {
    let source = plain.join(place.trim_start_matches('/').replace('/', "-"));
    MountSpec { source, target: place.to_owned(), read_only: false }
}

/// What lies under the upper layer of a directory, the topmost first.
fn lowers(layout: &Layout, dir: &Path, image: Option<&Fingerprint>) -> Vec<PathBuf> {
    let mut lowers = below::layers(layout, dir);
    lowers.push(image.map_or_else(|| dir.join(EMPTY), |image| layout.image(image)));
    lowers
}

pub(super) fn link(target: &Path, name: &Path) -> io::Result<()> {
    match symlink(target, name) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Whether a root or a snapshot lies over the image's tree.
fn is_used(layout: &Layout, image: &Fingerprint) -> bool {
    let tree = layout.image(image);
    below::directories(layout).any(|dir| fs::read_link(dir.join(IMAGE)).is_ok_and(|target| target == tree))
}

/// Throws away retired trees that no root needs any more.
fn forget_retired(layout: &Layout) -> Result<Vec<Option<PathBuf>>> {
    let mut bins = Vec::new();
    for entry in fs::read_dir(layout.images()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let retired =
            name.to_str().and_then(|name| name.strip_prefix(RETIRED)).and_then(|image| image.parse::<Fingerprint>().ok());
        if let Some(image) = retired.filter(|image| !is_used(layout, image)) {
            bins.push(place::remove(layout, &layout.image(&image))?);
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(bins)
}
