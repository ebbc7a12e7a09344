//! Pools where a root is a plain tree: copied from the image's, sharing blocks where the file system
//! can (XFS, btrfs, bcachefs). For file systems that cannot carry an overlay, and for nesting.

use super::layout::{Layout, ROOT};
use super::overlay::commit_tree;
use super::{definition, place, prepare, quota, snapshot, source};
use crate::blocking::blocking;
use async_trait::async_trait;
use lxhost_engine::ports::{Defined, Definition, Held, Origin, PoolDriver, RootSpec, Usage};
use lxhost_model::volume::Top;
use lxhost_model::{Error, Fingerprint, Kind, ObjectId, Pool, Result};
use lxhost_safefs::Dir;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The driver.
pub struct Directory {
    state: PathBuf,
}

impl Directory {
    /// Pools lie in `pools/` below `state` unless they say otherwise.
    pub fn new(state: &Path) -> Self {
        Directory { state: state.to_owned() }
    }

    fn layout(&self, pool: &Pool) -> Layout {
        Layout::new(&self.state, pool)
    }
}

#[async_trait]
impl PoolDriver for Directory {
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
        let bin = blocking("stage the image", move || {
            let bin = place::throw_away(&layout, &target)?;
            place::make_dir(&target, 0o755).map_err(|e| Error::io("stage the image", &e))?;
            Ok(bin)
        })
        .await?;
        place::delete(bin).await;
        Ok(staging)
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

    async fn remove_image(&self, pool: &Pool, image: &Fingerprint, _used: bool) -> Result<()> {
        let (layout, image) = (self.layout(pool), image.clone());
        let bins = blocking("remove the image's tree", move || {
            Ok([place::throw_away(&layout, &layout.staging(&image))?, place::remove(&layout, &layout.image(&image))?])
        })
        .await?;
        for bin in bins {
            place::delete(bin).await;
        }
        Ok(())
    }

    async fn create_root(&self, pool: &Pool, instance: ObjectId, image: Option<&Fingerprint>) -> Result<()> {
        let layout = self.layout(pool);
        let failed = |e: io::Error| Error::io("make its root", &e);
        place::make_dir(&layout.instance(instance), 0o700).map_err(failed)?;
        let root = layout.instance(instance).join(ROOT);
        match image {
            None => place::make_dir(&root, 0o755).map_err(failed)?,
            Some(image) if !layout.image(image).is_dir() => {
                return Err(Error::new(Kind::NoSuchImage, format!("image {} is not in the pool", image.short())));
            }
            Some(image) => copy_tree(&layout, &layout.image(image), &root).await?,
        }
        blocking("make the root", move || place::sync_instance(&layout, instance)).await
    }

    async fn copy_root(&self, pool: &Pool, from: Origin, to: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        self.copy(&layout, &snapshot::origin(&layout, from)?, &layout.instance(to)).await
    }

    async fn copy_snapshot(&self, pool: &Pool, from: ObjectId, to: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        if layout.snapshot(to).is_dir() {
            return Ok(());
        }
        self.copy(&layout, &snapshot::existing(&layout, from)?, &layout.taking(to)).await?;
        snapshot::name(&layout, to)
    }

    async fn keep_copy(&self, pool: &Pool, to: ObjectId) -> Result<()> {
        let root = self.layout(pool).instance(to);
        blocking("keep the copy", move || snapshot::sync_all(&root).map_err(|e| Error::io("keep the copy", &e))).await
    }

    async fn remove_root(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        let bin = blocking("remove the root", move || place::remove(&layout, &layout.instance(instance))).await?;
        place::delete(bin).await;
        Ok(())
    }

    fn root(&self, pool: &Pool, instance: ObjectId, _image: Option<&Fingerprint>) -> RootSpec {
        RootSpec::Tree { path: self.layout(pool).instance(instance).join(ROOT) }
    }

    fn layers(&self, pool: &Pool, held: Held, _image: Option<&Fingerprint>) -> Vec<PathBuf> {
        vec![self.layout(pool).held(held).join(ROOT)]
    }

    async fn adopt_snapshot(&self, pool: &Pool, id: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        blocking("keep the snapshot", move || snapshot::adopt(&layout, id)).await
    }

    async fn prepare_root(&self, pool: &Pool, instance: ObjectId, _image: Option<&Fingerprint>, hostname: &str) -> Result<()> {
        let beside = self.layout(pool).instance(instance);
        prepare::run(&beside, &prepare::Root { top: &beside.join(ROOT), below: &[] }, instance, hostname)
    }

    async fn keep_root(&self, pool: &Pool, instance: ObjectId, hostname: &str) -> Result<()> {
        let beside = self.layout(pool).instance(instance);
        prepare::keep(beside.clone(), beside.join(ROOT), hostname).await
    }

    async fn prepared_for(&self, pool: &Pool, held: Held) -> Result<Option<String>> {
        prepare::prepared_for(&self.layout(pool).held(held))
    }

    async fn note_prepared(&self, pool: &Pool, instance: ObjectId, hostname: &str) -> Result<()> {
        prepare::note(&self.layout(pool).instance(instance), hostname)
    }

    async fn take_snapshot(&self, pool: &Pool, instance: ObjectId, id: ObjectId, _live: bool) -> Result<()> {
        let layout = self.layout(pool);
        self.fill(&layout, &layout.instance(instance), (&layout.instance(instance), &layout.taking(id))).await
    }

    async fn keep_snapshot(&self, pool: &Pool, _instance: ObjectId, id: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        blocking("keep the snapshot", move || snapshot::keep(&layout, id)).await
    }

    async fn undo_snapshot(&self, pool: &Pool, _instance: ObjectId, id: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        self.remove(&layout, layout.taking(id)).await?;
        self.remove(&layout, layout.snapshot(id)).await
    }

    async fn remove_snapshot(&self, pool: &Pool, id: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        self.remove(&layout, layout.snapshot(id)).await
    }

    async fn stage_restore(&self, pool: &Pool, instance: ObjectId, id: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        let staged = layout.restoring(instance);
        self.fill(&layout, &snapshot::existing(&layout, id)?, (&layout.instance(instance), &staged)).await?;
        blocking("stage the root", move || snapshot::sync_all(&staged).map_err(|e| Error::io("stage the root", &e))).await
    }

    async fn restore(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        let bin = blocking("restore the root", move || snapshot::restore(&layout, instance)).await?;
        place::delete(bin).await;
        Ok(())
    }

    async fn undo_restore(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        self.remove(&layout, layout.restoring(instance)).await
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

    fn volumes(&self, pool: &Pool) -> Pool {
        self.layout(pool).volumes(pool, "dir")
    }

    async fn create_volume(&self, volumes: &Pool, volume: ObjectId, top: Top) -> Result<()> {
        let layout = self.layout(volumes);
        blocking("make the volume", move || {
            place::set_up_volumes(&layout)?;
            let made = place::make_dir(&layout.instance(volume), 0o700);
            let made = made.and_then(|()| place::make_dir(&layout.instance(volume).join(ROOT), 0o700));
            made.map_err(|e| Error::io("make its directory", &e))?;
            place::finish_volume(&layout, volume, top)
        })
        .await
    }

    async fn used(&self, pool: &Pool, of: ObjectId) -> Result<u64> {
        place::used(&self.layout(pool).instance(of).join(ROOT)).await
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

impl Directory {
    /// Copies the root of `source` into a new directory, with the notes about it and the definition of `defined`.
    async fn fill(&self, layout: &Layout, source: &Path, (defined, target): (&Path, &Path)) -> Result<()> {
        self.copy(layout, source, target).await?;
        snapshot::copy_notes(source, defined, target)
    }

    /// Copies the root of `source` into a new directory.
    async fn copy(&self, layout: &Layout, source: &Path, target: &Path) -> Result<()> {
        let (pool, made) = (layout.clone(), target.to_owned());
        let bin = blocking("begin a copy", move || snapshot::begin(&pool, &made)).await?;
        copy_now(&source.join(ROOT), &target.join(ROOT)).await?;
        place::delete(bin).await;
        Ok(())
    }

    async fn remove(&self, layout: &Layout, path: PathBuf) -> Result<()> {
        let layout = layout.clone();
        let bin = blocking("remove the snapshot", move || place::remove(&layout, &path)).await?;
        place::delete(bin).await;
        Ok(())
    }
}

/// Copies a tree with everything about it, whiteouts and attributes included, to a name that appears
/// when it is whole and on the disk. `to` being there is fine: it was made so before.
///
/// # Errors
/// `NoSpace`, `Failed` with `cp`'s last words; nothing is left.
pub(super) async fn copy_tree(layout: &Layout, from: &Path, to: &Path) -> Result<()> {
    let what = format!("copy {}", from.display());
    if to.is_dir() {
        return Ok(());
    }
    let failed = |e: io::Error| Error::io(&what, &e);
    let bin = tempfile::Builder::new().prefix("copy-").rand_bytes(12).tempdir_in(layout.trash()).map_err(failed)?;
    let copy = bin.path().join("it");
    copy_now(from, &copy).await?;
    let to = to.to_owned();
    blocking("keep the copy", move || {
        let failed = |e: io::Error| Error::io(&what, &e);
        // Every file of it, before its name can be seen.
        let whole = Dir::open(&copy).and_then(|dir| dir.readable()).map_err(failed)?;
        rustix::fs::syncfs(&whole).map_err(|e| failed(e.into()))?;
        std::fs::rename(&copy, &to).map_err(failed)
    })
    .await
}

/// Copies a tree with everything about it. What there is of it when it fails is left to the caller.
///
/// # Errors
/// `NoSpace`, `Failed` with `cp`'s last words.
pub(super) async fn copy_now(from: &Path, to: &Path) -> Result<()> {
    let what = format!("copy {}", from.display());
    let mut command = tokio::process::Command::new("cp");
    command.args(["--archive", "--reflink=auto", "--sparse=auto", "--no-target-directory", "--"]).arg(from).arg(to);
    command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = command.output().await.map_err(|e| Error::io(&what, &e))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: String = said.lines().last().unwrap_or("cp failed").chars().filter(|c| !c.is_control()).take(300).collect();
    let kind = if last.ends_with("No space left on device") { Kind::NoSpace } else { Kind::Failed };
    Err(Error::new(kind, format!("{what}: {last}")))
}
