//! Pools on btrfs: an image is a read-only subvolume, a root a snapshot of it. Subvolumes are made and
//! removed by the `btrfs` command, since its ioctls have no safe wrapper. Nested subvolumes that a guest
//! made go with its root.

use super::layout::{Layout, ROOT};
use super::{definition, place, prepare, quota, snapshot, source, tool};
use crate::blocking::blocking;
use async_trait::async_trait;
use lxhost_engine::ports::{Defined, Definition, Held, Origin, PoolDriver, RootSpec, Usage};
use lxhost_model::volume::Top;
use lxhost_model::{Error, Fingerprint, Kind, ObjectId, Pool, Result};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// `BTRFS_SUPER_MAGIC` (statfs(2)).
pub(super) const MAGIC: i64 = 0x9123_683e;
/// The tool.
const BTRFS: &str = "btrfs";

/// Whether the `btrfs` command is installed.
pub(super) fn has_tool() -> bool {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].iter().any(|dir| Path::new(dir).join(BTRFS).exists())
}

/// The driver.
pub struct Btrfs {
    state: PathBuf,
}

impl Btrfs {
    /// Pools lie in `pools/` below `state` unless they say otherwise.
    pub fn new(state: &Path) -> Self {
        Btrfs { state: state.to_owned() }
    }

    fn layout(&self, pool: &Pool) -> Layout {
        Layout::new(&self.state, pool)
    }
}

#[async_trait]
impl PoolDriver for Btrfs {
    async fn set_up(&self, pool: &Pool) -> Result<()> {
        source::check(pool, &self.state)?;
        let layout = self.layout(pool);
        blocking("set up the pool", move || {
            check_place(&layout)?;
            place::set_up(&layout)
        })
        .await
    }

    async fn tear_down(&self, pool: &Pool) -> Result<()> {
        let layout = self.layout(pool);
        blocking("remove the pool", move || place::tear_down(&layout)).await
    }

    async fn stage_image(&self, pool: &Pool, image: &Fingerprint) -> Result<PathBuf> {
        let staging = self.layout(pool).staging(image);
        self.discard(pool, staging.clone()).await?;
        btrfs(&["subvolume", "create"], &[&staging]).await?;
        Ok(staging)
    }

    async fn commit_image(&self, pool: &Pool, image: &Fingerprint) -> Result<()> {
        let layout = self.layout(pool);
        let (staging, tree) = (layout.staging(image), layout.image(image));
        if tree.is_dir() {
            return self.discard(pool, staging).await;
        }
        btrfs(&["filesystem", "sync"], &[&staging]).await?;
        // A snapshot appears whole, under its name and read-only.
        btrfs(&["subvolume", "snapshot", "-r"], &[&staging, &tree]).await?;
        btrfs(&["filesystem", "sync"], &[&tree]).await?;
        self.discard(pool, staging).await
    }

    async fn has_image(&self, pool: &Pool, image: &Fingerprint) -> Result<bool> {
        Ok(self.layout(pool).image(image).is_dir())
    }

    async fn remove_image(&self, pool: &Pool, image: &Fingerprint, _used: bool) -> Result<()> {
        let layout = self.layout(pool);
        self.discard(pool, layout.staging(image)).await?;
        self.discard(pool, layout.image(image)).await
    }

    async fn create_root(&self, pool: &Pool, instance: ObjectId, image: Option<&Fingerprint>) -> Result<()> {
        let layout = self.layout(pool);
        let root = make_instance(&layout, instance)?;
        match image {
            _ if root.is_dir() => Ok(()),
            None => btrfs(&["subvolume", "create"], &[&root]).await,
            Some(image) if !layout.image(image).is_dir() => {
                Err(Error::new(Kind::NoSuchImage, format!("image {} is not in the pool", image.short())))
            }
            Some(image) => btrfs(&["subvolume", "snapshot"], &[&layout.image(image), &root]).await,
        }
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
        let layout = self.layout(pool);
        // Taking a snapshot has written what is in it.
        blocking("keep the copy", move || {
            let synced = place::sync_instance(&layout, to);
            synced.and_then(|()| place::sync(&layout.snapshots()).map_err(|e| Error::io("keep the copy", &e)))
        })
        .await
    }

    async fn remove_root(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        let layout = self.layout(pool);
        self.discard(pool, layout.instance(instance).join(ROOT)).await?;
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
        let (layout, exchanged) = (self.layout(pool), self.layout(pool));
        let bin = blocking("restore the root", move || snapshot::restore(&exchanged, instance)).await?;
        self.empty(&layout, bin).await
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
        self.layout(pool).volumes(pool, BTRFS)
    }

    async fn create_volume(&self, volumes: &Pool, volume: ObjectId, top: Top) -> Result<()> {
        let layout = self.layout(volumes);
        place::set_up_volumes(&layout)?;
        self.create_root(volumes, volume, None).await?;
        blocking("make the volume", move || place::finish_volume(&layout, volume, top)).await
    }

    async fn used(&self, pool: &Pool, of: ObjectId) -> Result<u64> {
        place::used(&self.layout(pool).instance(of).join(ROOT)).await
    }

    async fn can_limit(&self, _pool: &Pool) -> Result<()> {
        Ok(())
    }

    async fn limit(&self, pool: &Pool, of: ObjectId, bytes: Option<u64>, _live: bool) -> Result<()> {
        let layout = self.layout(pool);
        let dir = layout.instance(of);
        quota::noted(&dir, bytes, || limit(&layout.source, dir.join(ROOT), bytes)).await
    }

    async fn usage(&self, pool: &Pool) -> Result<Usage> {
        place::usage(&self.layout(pool))
    }
}

impl Btrfs {
    /// Deletes a subvolume: at once by the tool, or moved aside and file by file when a guest has put
    /// subvolumes of its own into it (rmdir(2) removes empty ones, Linux 4.18).
    async fn discard(&self, pool: &Pool, path: PathBuf) -> Result<()> {
        self.discard_from(&self.layout(pool), path).await
    }

    async fn discard_from(&self, layout: &Layout, path: PathBuf) -> Result<()> {
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        let Err(error) = btrfs(&["subvolume", "delete"], &[&path]).await else { return Ok(()) };
        tracing::debug!(%error, "a subvolume is deleted file by file");
        // One that is read-only can neither be moved nor emptied.
        make_writable(&path).await;
        let layout = layout.clone();
        let bin = blocking("remove the subvolume", move || place::throw_away(&layout, &path)).await?;
        place::delete(bin).await;
        Ok(())
    }
}

impl Btrfs {
    /// Takes a snapshot of the root of `source` into a new directory, with the notes about it and the definition of
    /// `defined`. It is writable, so that what a crash leaves of it can be deleted as any tree.
    async fn fill(&self, layout: &Layout, source: &Path, (defined, target): (&Path, &Path)) -> Result<()> {
        self.copy(layout, source, target).await?;
        snapshot::copy_notes(source, defined, target)
    }

    /// Takes a snapshot of the root of `source` into a new directory.
    async fn copy(&self, layout: &Layout, source: &Path, target: &Path) -> Result<()> {
        let (pool, made) = (layout.clone(), target.to_owned());
        let bin = blocking("begin a copy", move || snapshot::begin(&pool, &made)).await?;
        self.empty(layout, bin).await?;
        btrfs(&["subvolume", "snapshot"], &[&source.join(ROOT), &target.join(ROOT)]).await
    }

    /// Removes a directory with a root in it: it is gone at once, its subvolume thereafter.
    async fn remove(&self, layout: &Layout, path: PathBuf) -> Result<()> {
        let pool = layout.clone();
        let bin = blocking("remove the snapshot", move || place::remove(&pool, &path)).await?;
        self.empty(layout, bin).await
    }

    async fn empty(&self, layout: &Layout, bin: Option<PathBuf>) -> Result<()> {
        let Some(bin) = bin else { return Ok(()) };
        self.discard_from(layout, bin.join(ROOT)).await?;
        place::delete(Some(bin)).await;
        Ok(())
    }
}

/// Lets a subvolume be changed. One that is writable, or no subvolume at all, stays as it is.
async fn make_writable(subvolume: &Path) {
    let path = subvolume.to_string_lossy().into_owned();
    let mut command = tokio::process::Command::new(BTRFS);
    command.args(["property", "set", "-t", "subvol", "--", &path, "ro", "false"]);
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
}

/// The instance's directory, made; and where its root goes.
fn make_instance(layout: &Layout, instance: ObjectId) -> Result<PathBuf> {
    let dir = layout.instance(instance);
    place::make_dir(&dir, 0o700).map_err(|e| Error::io("make its root", &e))?;
    Ok(dir.join(ROOT))
}

/// Limits what a subvolume refers to, by its group of quotas. Counting begins with the first limit on the file system.
async fn limit(source: &Path, root: PathBuf, bytes: Option<u64>) -> Result<()> {
    let bytes = bytes.map(|bytes| bytes.to_string());
    let set = async || btrfs(&["qgroup", "limit"], &[Path::new(bytes.as_deref().unwrap_or("none")), &root]).await;
    match set().await {
        Ok(()) => Ok(()),
        // Nothing is counted here any more.
        Err(_) if bytes.is_none() => Ok(()),
        Err(error) => {
            tracing::debug!(%error, "what subvolumes take is not counted yet");
            btrfs(&["quota", "enable"], &[source]).await?;
            btrfs(&["quota", "rescan", "-w"], &[source]).await?;
            set().await
        }
    }
}

/// The pool has to lie on btrfs; the nearest directory that exists tells.
fn check_place(layout: &Layout) -> Result<()> {
    let there = layout.source.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    let stat = rustix::fs::statfs(there).map_err(|e| Error::io(there.display(), &e.into()))?;
    #[allow(clippy::unnecessary_cast)] // The field's type differs between architectures.
    let magic = stat.f_type as i64;
    if magic != MAGIC {
        let instead = "give the pool a file (size=) or a device (source=/dev/…) of its own, or use driver overlay or dir";
        return Err(Error::new(Kind::Unsupported, format!("{} is not on btrfs; {instead}", layout.source.display())));
    }
    if !has_tool() {
        return Err(Error::new(Kind::Unsupported, "the btrfs command is not installed (Debian: apt install btrfs-progs)"));
    }
    Ok(())
}

/// Runs the tool on paths of ours.
async fn btrfs(words: &[&str], paths: &[&Path]) -> Result<()> {
    tool::run(BTRFS, words, paths).await.map(drop)
}
