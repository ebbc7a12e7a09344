//! Trees that are thin logical volumes, each with an ext4. A note beside a tree says which volume it is, since directories
//! get other names; it is written before the volume is made and goes after it, so that a volume without a note is one that a
//! crash left. Trees are mounted when they are used. Called by `trees`, and by `filesystem` for the volume group.

mod command;
pub(super) mod group;
pub(super) mod mount;
pub(super) mod names;
mod size;
mod volume;

use super::filesystem::mounted::{check_mark, is_mounted};
use super::layout::{ROOT, VOLUMES};
use super::place;
use super::trees::{Place, Trees};
use crate::blocking::blocking;
use async_trait::async_trait;
use lxhost_engine::ports::Usage;
use lxhost_model::{Error, Fingerprint, Kind, Result};
use names::Names;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::Mutex;

/// Name of the driver.
const LVM: &str = "lvm";

/// Refuses a pool on a host without the commands of LVM, before anything is made.
///
/// # Errors
/// `Unsupported`.
pub(super) fn check() -> Result<()> {
    let mut places = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].into_iter();
    match places.any(|dir| Path::new(dir).join("lvcreate").exists()) {
        true => Ok(()),
        false => Err(Error::new(Kind::Unsupported, super::tool::missing("lvcreate"))),
    }
}

/// Trees that are thin volumes.
pub(super) struct ThinVolumes {
    state: PathBuf,
    /// Held while a tree is mounted.
    turn: Mutex<()>,
}

impl ThinVolumes {
    /// Those of pools whose state directory that is.
    pub(super) fn new(state: &Path) -> Self {
        ThinVolumes { state: state.to_owned(), turn: Mutex::new(()) }
    }

    fn names(&self, at: &Place<'_>) -> Names {
        Names::of(&self.state, at.pool)
    }

    /// Removes a directory with a tree, if it is there.
    async fn remove(&self, at: &Place<'_>, path: PathBuf) -> Result<()> {
        let layout = at.layout.clone();
        match blocking("remove the tree", move || place::remove(&layout, &path)).await? {
            Some(bin) => self.discard(at, bin).await,
            None => Ok(()),
        }
    }

    /// Removes volumes that no note names.
    async fn drop_unnoted(&self, at: &Place<'_>, names: &Names) -> Result<()> {
        let all = group::trees(names).await?;
        let source = at.layout.source.clone();
        let noted = blocking("look for trees", move || noted(&source).map_err(|e| Error::io("look for trees", &e))).await?;
        for tree in all.iter().filter(|tree| !noted.contains(*tree)) {
            tracing::info!(pool = %at.pool.name, "volume {tree} was left by a crash and is removed");
            volume::remove(names, tree).await?;
        }
        Ok(())
    }

    /// Has the tree in a directory mounted.
    async fn mounted(&self, at: &Place<'_>, dir: &Path) -> Result<PathBuf> {
        let root = dir.join(ROOT);
        if !is_mounted(&root)? {
            let _turn = self.turn.lock().await;
            if !is_mounted(&root)? {
                let tree = volume::noted(dir)?.ok_or_else(|| Error::failed(format!("{} has no tree", dir.display())))?;
                let device = volume::activate(&self.names(at), &tree).await?;
                mount::mount(&device, &root).await?;
            }
        }
        Ok(root)
    }
}

#[async_trait]
impl Trees for ThinVolumes {
    fn name(&self) -> &'static str {
        LVM
    }

    async fn check(&self, _at: &Place<'_>) -> Result<()> {
        check()
    }

    async fn stage(&self, at: &Place<'_>, image: &Fingerprint) -> Result<PathBuf> {
        let staging = at.layout.staging(image);
        self.remove(at, staging.clone()).await?;
        place::make_dir(&staging, 0o700).map_err(|e| Error::io("unpack the image", &e))?;
        self.make(at, &staging, None).await?;
        Ok(staging.join(ROOT))
    }

    async fn commit(&self, at: &Place<'_>, image: &Fingerprint) -> Result<()> {
        let (staging, tree) = (at.layout.staging(image), at.layout.image(image));
        if tree.is_dir() {
            return self.remove(at, staging).await;
        }
        // What is in it is on the disk when nobody has it mounted any more, and nobody but its copies needs it again.
        mount::unmount(&staging.join(ROOT)).await?;
        let images = at.layout.images();
        blocking("keep the image", move || {
            let renamed = fs::rename(&staging, &tree).and_then(|()| place::sync(&images));
            renamed.map_err(|e| Error::io("keep the image", &e))
        })
        .await
    }

    async fn remove_image(&self, at: &Place<'_>, image: &Fingerprint) -> Result<()> {
        self.remove(at, at.layout.staging(image)).await?;
        self.remove(at, at.layout.image(image)).await
    }

    async fn make(&self, at: &Place<'_>, dir: &Path, image: Option<&Fingerprint>) -> Result<()> {
        if dir.join(ROOT).is_dir() {
            return self.mounted(at, dir).await.map(drop);
        }
        let names = self.names(at);
        volume::has_room(&names).await?;
        // One that was half made.
        if let Some(tree) = volume::noted(dir)? {
            volume::remove(&names, &tree).await?;
        }
        let tree = volume::note(dir)?;
        match image {
            Some(image) => {
                let origin = volume::noted(&at.layout.image(image))?;
                let origin = origin.ok_or_else(|| Error::failed(format!("image {} has no tree", image.short())))?;
                volume::copy(&names, &origin, &tree, true).await?;
            }
            None => volume::make(&names, &tree).await?,
        }
        made(dir)?;
        let root = self.mounted(at, dir).await?;
        if image.is_none() {
            let _ = fs::remove_dir(root.join("lost+found"));
            size::prepare(&root).await?;
        }
        Ok(())
    }

    async fn copy(&self, at: &Place<'_>, from: &Path, to: &Path) -> Result<()> {
        let names = self.names(at);
        volume::has_room(&names).await?;
        let origin = volume::noted(from)?.ok_or_else(|| Error::failed(format!("{} has no tree", from.display())))?;
        let tree = volume::note(to)?;
        volume::copy(&names, &origin, &tree, false).await?;
        made(to)
    }

    async fn discard(&self, at: &Place<'_>, bin: PathBuf) -> Result<()> {
        if let Err(error) = throw_out(&self.names(at), &bin).await {
            tracing::warn!(path = %bin.display(), "something thrown away could not be deleted: {error}");
            return Ok(());
        }
        place::delete(Some(bin)).await;
        Ok(())
    }

    async fn open(&self, at: &Place<'_>, dir: &Path, restarted: bool) -> Result<()> {
        let root = self.mounted(at, dir).await?;
        // An error, as that of a pool that was full, has made it so until it is mounted again.
        if restarted && mount::is_read_only(&root)? {
            mount::unmount(&root).await?;
            self.mounted(at, dir).await?;
        }
        Ok(())
    }

    async fn close(&self, at: &Place<'_>) -> Result<()> {
        mount::unmount_below(&at.layout.source).await
    }

    async fn sweep(&self, at: &Place<'_>) -> Result<()> {
        let (names, trash) = (self.names(at), at.layout.trash());
        // Without the pool there is no note of any tree; the one within it has no mark.
        if at.layout.is_marked() {
            check_mark(&at.layout.source, at.pool.id)?;
            self.drop_unnoted(at, &names).await?;
        }
        let left: Vec<PathBuf> = fs::read_dir(trash).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        let layout = at.layout.clone();
        tokio::spawn(async move {
            for bin in left {
                if let Err(error) = throw_out(&names, &bin).await {
                    tracing::warn!(path = %bin.display(), "something thrown away could not be deleted: {error}");
                }
            }
            place::sweep(&layout);
        });
        Ok(())
    }

    async fn used(&self, at: &Place<'_>, dir: &Path) -> Result<u64> {
        if !dir.join(ROOT).is_dir() {
            return Ok(0);
        }
        let root = self.mounted(at, dir).await?;
        let stat = rustix::fs::statvfs(&root).map_err(|e| Error::io(root.display(), &e.into()))?;
        Ok(stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize))
    }

    async fn limit(&self, at: &Place<'_>, dir: &Path, bytes: Option<u64>, live: bool) -> Result<()> {
        let tree = volume::noted(dir)?.ok_or_else(|| Error::failed(format!("{} has no tree", dir.display())))?;
        let root = self.mounted(at, dir).await?;
        size::limit(&self.names(at).tree(&tree), &root, bytes, live).await
    }

    async fn usage(&self, at: &Place<'_>) -> Result<Usage> {
        let room = volume::room(&self.names(at)).await?;
        Ok(Usage { total: room.total, free: room.free })
    }
}

/// Says that the tree of a directory is whole, durably.
fn made(dir: &Path) -> Result<()> {
    let synced = place::make_dir(&dir.join(ROOT), 0o700).and_then(|()| place::sync(dir));
    let above = dir.parent().unwrap_or(Path::new("/"));
    synced.and_then(|()| place::sync(above)).map_err(|e| Error::io("keep the tree", &e))
}

/// Unmounts and removes the tree of a directory that was thrown away.
async fn throw_out(names: &Names, bin: &Path) -> Result<()> {
    mount::unmount(&bin.join(ROOT)).await?;
    match volume::noted(bin)? {
        Some(tree) => volume::remove(names, &tree).await,
        None => Ok(()),
    }
}

/// Trees that notes in a pool name, wherever these lie.
fn noted(source: &Path) -> io::Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for pool in [source.to_owned(), source.join(VOLUMES)] {
        for place in ["images", "instances", "snapshots", ".trash"] {
            let entries = match fs::read_dir(pool.join(place)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let found = volume::noted(&entry?.path());
                all.extend(found.map_err(|error| io::Error::other(error.message))?);
            }
        }
    }
    Ok(all)
}
