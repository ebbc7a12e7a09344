//! The driver of pools whose trees can be copied at once: each root, snapshot and volume is such a tree, called `root`, in
//! a directory with the notes about it. What a tree is, a file of its own says (`btrfs`, `lvm`, `zfs`); what becomes of the
//! directories is the same for all and lies here. Called by the engine through its ports.

use super::layout::{Layout, ROOT};
use super::{definition, place, prepare, quota, snapshot, source};
use crate::blocking::blocking;
use async_trait::async_trait;
use lxhost_engine::ports::{Defined, Definition, Held, Origin, PoolDriver, RootSpec, Usage};
use lxhost_model::volume::Top;
use lxhost_model::{Error, Fingerprint, Kind, ObjectId, Pool, Result};
use std::path::{Path, PathBuf};

/// A pool, and where its things lie.
pub(super) struct Place<'a> {
    /// The pool, or the one within it.
    pub(super) pool: &'a Pool,
    /// Its paths.
    pub(super) layout: Layout,
}

/// Trees of one kind. Methods are idempotent.
#[async_trait]
pub(super) trait Trees: Send + Sync {
    /// Name of the driver.
    fn name(&self) -> &'static str;

    /// Refuses a pool that cannot have such trees.
    async fn check(&self, at: &Place<'_>) -> Result<()>;

    /// Where an image is to be unpacked: an empty tree.
    async fn stage(&self, at: &Place<'_>, image: &Fingerprint) -> Result<PathBuf>;

    /// Makes it the image's directory, whole and durably.
    async fn commit(&self, at: &Place<'_>, image: &Fingerprint) -> Result<()>;

    /// Removes the image's tree and the staged one.
    async fn remove_image(&self, at: &Place<'_>, image: &Fingerprint) -> Result<()>;

    /// Makes a tree in a directory, which holds what an image that is there does; `None`: nothing.
    async fn make(&self, at: &Place<'_>, dir: &Path, image: Option<&Fingerprint>) -> Result<()>;

    /// Makes a tree in the empty directory `to` that holds what the one in `from` does in one moment. It is on the disk then.
    async fn copy(&self, at: &Place<'_>, from: &Path, to: &Path) -> Result<()>;

    /// Deletes a directory that was thrown away, with its tree if it has one. The rest may go on behind the caller's back.
    async fn discard(&self, at: &Place<'_>, bin: PathBuf) -> Result<()>;

    /// Has the tree in a directory at hand, under its path. `restarted`: nobody uses it.
    async fn open(&self, _at: &Place<'_>, _dir: &Path, _restarted: bool) -> Result<()> {
        Ok(())
    }

    /// The opposite, for all trees of the pool.
    async fn close(&self, _at: &Place<'_>) -> Result<()> {
        Ok(())
    }

    /// Begins to remove what a crash left.
    async fn sweep(&self, at: &Place<'_>) -> Result<()>;

    /// Bytes that the tree in a directory takes.
    async fn used(&self, at: &Place<'_>, dir: &Path) -> Result<u64>;

    /// Limits them. `live`: the tree is in use.
    async fn limit(&self, at: &Place<'_>, dir: &Path, bytes: Option<u64>, live: bool) -> Result<()>;

    /// Room in the pool.
    async fn usage(&self, at: &Place<'_>) -> Result<Usage>;
}

/// The driver.
pub(super) struct TreeDriver<T> {
    state: PathBuf,
    trees: T,
}

impl<T: Trees> TreeDriver<T> {
    /// Pools lie in `pools/` below `state` unless they say otherwise.
    pub(super) fn new(state: &Path, trees: T) -> Self {
        TreeDriver { state: state.to_owned(), trees }
    }

    fn place<'a>(&self, pool: &'a Pool) -> Place<'a> {
        Place { pool, layout: Layout::new(&self.state, pool) }
    }

    fn layout(&self, pool: &Pool) -> Layout {
        Layout::new(&self.state, pool)
    }

    /// Copies a tree into a new directory, with the notes about it and the definition of `defined`. It can be changed, so
    /// that what a crash leaves of it can be deleted as any tree.
    async fn fill(&self, at: &Place<'_>, source: &Path, (defined, target): (&Path, &Path)) -> Result<()> {
        self.copy(at, source, target).await?;
        snapshot::copy_notes(source, defined, target)
    }

    /// Copies a tree into a new directory.
    async fn copy(&self, at: &Place<'_>, source: &Path, target: &Path) -> Result<()> {
        let (layout, made) = (at.layout.clone(), target.to_owned());
        let bin = blocking("begin a copy", move || snapshot::begin(&layout, &made)).await?;
        self.discard(at, bin).await?;
        self.trees.copy(at, source, target).await
    }

    /// Removes a directory with a tree in it: it is gone at once, and does not come back; its tree goes thereafter.
    async fn remove(&self, at: &Place<'_>, path: PathBuf) -> Result<()> {
        let layout = at.layout.clone();
        let bin = blocking("remove the tree", move || place::remove(&layout, &path)).await?;
        self.discard(at, bin).await
    }

    async fn discard(&self, at: &Place<'_>, bin: Option<PathBuf>) -> Result<()> {
        match bin {
            Some(bin) => self.trees.discard(at, bin).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl<T: Trees> PoolDriver for TreeDriver<T> {
    async fn set_up(&self, pool: &Pool) -> Result<()> {
        source::check(pool, &self.state)?;
        let at = self.place(pool);
        self.trees.check(&at).await?;
        blocking("set up the pool", move || place::set_up(&at.layout)).await
    }

    async fn tear_down(&self, pool: &Pool) -> Result<()> {
        let at = self.place(pool);
        self.trees.close(&at).await?;
        blocking("remove the pool", move || place::tear_down(&at.layout)).await
    }

    async fn stage_image(&self, pool: &Pool, image: &Fingerprint) -> Result<PathBuf> {
        self.trees.stage(&self.place(pool), image).await
    }

    async fn commit_image(&self, pool: &Pool, image: &Fingerprint) -> Result<()> {
        self.trees.commit(&self.place(pool), image).await
    }

    async fn has_image(&self, pool: &Pool, image: &Fingerprint) -> Result<bool> {
        Ok(self.layout(pool).image(image).is_dir())
    }

    async fn remove_image(&self, pool: &Pool, image: &Fingerprint, _used: bool) -> Result<()> {
        self.trees.remove_image(&self.place(pool), image).await
    }

    async fn create_root(&self, pool: &Pool, instance: ObjectId, image: Option<&Fingerprint>) -> Result<()> {
        let at = self.place(pool);
        let dir = at.layout.instance(instance);
        place::make_dir(&dir, 0o700).map_err(|e| Error::io("make its root", &e))?;
        if let Some(image) = image
            && !dir.join(ROOT).is_dir()
            && !at.layout.image(image).is_dir()
        {
            return Err(Error::new(Kind::NoSuchImage, format!("image {} is not in the pool", image.short())));
        }
        self.trees.make(&at, &dir, image).await
    }

    async fn copy_root(&self, pool: &Pool, from: Origin, to: ObjectId) -> Result<()> {
        let at = self.place(pool);
        self.copy(&at, &snapshot::origin(&at.layout, from)?, &at.layout.instance(to)).await
    }

    async fn copy_snapshot(&self, pool: &Pool, from: ObjectId, to: ObjectId) -> Result<()> {
        let at = self.place(pool);
        if at.layout.snapshot(to).is_dir() {
            return Ok(());
        }
        self.copy(&at, &snapshot::existing(&at.layout, from)?, &at.layout.taking(to)).await?;
        snapshot::name(&at.layout, to)
    }

    async fn keep_copy(&self, pool: &Pool, to: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        // Copying a tree has written what is in it.
        blocking("keep the copy", move || {
            let synced = place::sync_instance(&layout, to);
            synced.and_then(|()| place::sync(&layout.snapshots()).map_err(|e| Error::io("keep the copy", &e)))
        })
        .await
    }

    async fn remove_root(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        let at = self.place(pool);
        self.remove(&at, at.layout.instance(instance)).await
    }

    fn root(&self, pool: &Pool, instance: ObjectId, _image: Option<&Fingerprint>) -> RootSpec {
        RootSpec::Tree { path: self.layout(pool).instance(instance).join(ROOT) }
    }

    fn layers(&self, pool: &Pool, held: Held, _image: Option<&Fingerprint>) -> Vec<PathBuf> {
        vec![self.layout(pool).held(held).join(ROOT)]
    }

    async fn open(&self, pool: &Pool, held: Held) -> Result<()> {
        let at = self.place(pool);
        self.trees.open(&at, &at.layout.held(held), false).await
    }

    async fn adopt_snapshot(&self, pool: &Pool, id: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        blocking("keep the snapshot", move || snapshot::adopt(&layout, id)).await
    }

    async fn prepare_root(&self, pool: &Pool, instance: ObjectId, _image: Option<&Fingerprint>, hostname: &str) -> Result<()> {
        let at = self.place(pool);
        let beside = at.layout.instance(instance);
        self.trees.open(&at, &beside, true).await?;
        prepare::run(&beside, &prepare::Root { top: &beside.join(ROOT), below: &[] }, instance, hostname)
    }

    async fn keep_root(&self, pool: &Pool, instance: ObjectId, hostname: &str) -> Result<()> {
        let beside = self.layout(pool).instance(instance);
        prepare::keep(beside.clone(), beside.join(ROOT), hostname).await
    }

    fn snapshots_at_once(&self) -> bool {
        true
    }

    async fn prepared_for(&self, pool: &Pool, held: Held) -> Result<Option<String>> {
        prepare::prepared_for(&self.layout(pool).held(held))
    }

    async fn note_prepared(&self, pool: &Pool, instance: ObjectId, hostname: &str) -> Result<()> {
        prepare::note(&self.layout(pool).instance(instance), hostname)
    }

    async fn take_snapshot(&self, pool: &Pool, instance: ObjectId, id: ObjectId, _live: bool) -> Result<()> {
        let at = self.place(pool);
        let dir = at.layout.instance(instance);
        self.fill(&at, &dir, (&dir, &at.layout.taking(id))).await
    }

    async fn keep_snapshot(&self, pool: &Pool, _instance: ObjectId, id: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        blocking("keep the snapshot", move || snapshot::keep(&layout, id)).await
    }

    async fn undo_snapshot(&self, pool: &Pool, _instance: ObjectId, id: ObjectId) -> Result<()> {
        let at = self.place(pool);
        self.remove(&at, at.layout.taking(id)).await?;
        self.remove(&at, at.layout.snapshot(id)).await
    }

    async fn remove_snapshot(&self, pool: &Pool, id: ObjectId) -> Result<()> {
        let at = self.place(pool);
        self.remove(&at, at.layout.snapshot(id)).await
    }

    async fn stage_restore(&self, pool: &Pool, instance: ObjectId, id: ObjectId) -> Result<()> {
        let at = self.place(pool);
        let staged = at.layout.restoring(instance);
        self.fill(&at, &snapshot::existing(&at.layout, id)?, (&at.layout.instance(instance), &staged)).await?;
        blocking("stage the root", move || snapshot::sync_all(&staged).map_err(|e| Error::io("stage the root", &e))).await
    }

    async fn restore(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        let at = self.place(pool);
        let layout = at.layout.clone();
        let bin = blocking("restore the root", move || snapshot::restore(&layout, instance)).await?;
        self.discard(&at, bin).await
    }

    async fn undo_restore(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        let at = self.place(pool);
        self.remove(&at, at.layout.restoring(instance)).await
    }

    async fn sweep(&self, pool: &Pool) -> Result<()> {
        self.trees.sweep(&self.place(pool)).await
    }

    async fn write_definition(&self, pool: &Pool, of: Defined, yaml: &str) -> Result<()> {
        let (layout, yaml) = (self.layout(pool), yaml.to_owned());
        blocking("write the definition", move || definition::write(&layout, of, &yaml)).await
    }

    async fn definitions(&self, pool: &Pool) -> Result<Vec<Definition>> {
        let layout = self.layout(pool);
        blocking("read the definitions", move || definition::all(&layout)).await
    }

    fn volumes(&self, pool: &Pool) -> Pool {
        self.layout(pool).volumes(pool, self.trees.name())
    }

    async fn create_volume(&self, volumes: &Pool, volume: ObjectId, top: Top) -> Result<()> {
        let layout = self.layout(volumes);
        place::set_up_volumes(&layout)?;
        self.create_root(volumes, volume, None).await?;
        blocking("make the volume", move || place::finish_volume(&layout, volume, top)).await
    }

    async fn used(&self, pool: &Pool, of: ObjectId) -> Result<u64> {
        let at = self.place(pool);
        self.trees.used(&at, &at.layout.instance(of)).await
    }

    async fn can_limit(&self, _pool: &Pool) -> Result<()> {
        Ok(())
    }

    async fn limit(&self, pool: &Pool, of: ObjectId, bytes: Option<u64>, live: bool) -> Result<()> {
        let at = self.place(pool);
        let dir = at.layout.instance(of);
        quota::noted(&dir, bytes, || self.trees.limit(&at, &dir, bytes, live)).await
    }

    async fn usage(&self, pool: &Pool) -> Result<Usage> {
        self.trees.usage(&self.place(pool)).await
    }
}
