//! Trees that lie apart from the pool's directory, in a thin pool of LVM or as datasets of ZFS, and are mounted at `root` when
//! they are used. What is the same for all of them is here: the notes, the mounts, what a crash leaves. What such a tree is, a
//! file of its own says. Called by `trees`.

pub(super) mod mount;
pub(super) mod note;

use super::filesystem::mounted::{check_mark, is_mounted};
use super::layout::ROOT;
use super::place;
use super::trees::{Place, Trees};
use crate::blocking::blocking;
use async_trait::async_trait;
use lxhost_engine::ports::Usage;
use lxhost_model::{Error, Fingerprint, Pool, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// How trees of one kind are made, called by the names that notes have. `pool` is the pool or the one within it: both have
/// their trees in one place.
#[async_trait]
pub(super) trait Apart: Send + Sync + 'static {
    /// Name of the driver.
    fn name(&self) -> &'static str;

    /// Refuses a pool on a host without the commands for it, before anything is made.
    fn check(&self) -> Result<()>;

    /// Refuses a tree for which there is no room.
    async fn has_room(&self, pool: &Pool) -> Result<()>;

    /// Makes an empty tree.
    async fn make(&self, pool: &Pool, tree: &str) -> Result<()>;

    /// Makes what comes into an empty tree, which is mounted there, countable.
    async fn prepare(&self, _at: &Path) -> Result<()> {
        Ok(())
    }

    /// Makes a tree that holds what another does in this moment. `mounted`: it is going to be.
    async fn copy(&self, pool: &Pool, origin: &str, tree: &str, mounted: bool) -> Result<()>;

    /// Removes a tree that is not mounted; one that is gone is fine. Others that share blocks with it stay.
    async fn remove(&self, pool: &Pool, tree: &str) -> Result<()>;

    /// All trees that the pool has, whoever knows them.
    async fn all(&self, pool: &Pool) -> Result<Vec<String>>;

    /// Removes what else a crash left, while nothing is made.
    async fn tidy(&self, _pool: &Pool) -> Result<()> {
        Ok(())
    }

    /// Mounts a tree.
    async fn mount(&self, pool: &Pool, tree: &str, at: &Path) -> Result<()>;

    /// Whether what is mounted there has to be mounted anew before it can be used.
    fn is_broken(&self, _at: &Path) -> Result<bool> {
        Ok(false)
    }

    /// Bytes that a tree takes, which is mounted there.
    async fn used(&self, pool: &Pool, tree: &str, at: &Path) -> Result<u64>;

    /// Limits them. `live`: the tree is in use.
    async fn limit(&self, pool: &Pool, tree: &str, at: &Path, limit: (Option<u64>, bool)) -> Result<()>;

    /// Room in the pool.
    async fn usage(&self, pool: &Pool) -> Result<Usage>;
}

/// Such trees, as the driver of pools wants them.
pub(super) struct ApartTrees<T> {
    kind: Arc<T>,
    /// Held while a tree is mounted.
    turn: Mutex<()>,
}

impl<T: Apart> ApartTrees<T> {
    /// Trees of that kind.
    pub(super) fn new(kind: T) -> Self {
        ApartTrees { kind: Arc::new(kind), turn: Mutex::new(()) }
    }

    /// Removes a directory with a tree, if it is there.
    async fn remove(&self, at: &Place<'_>, path: PathBuf) -> Result<()> {
        let layout = at.layout.clone();
        match blocking("remove the tree", move || place::remove(&layout, &path)).await? {
            Some(bin) => self.discard(at, bin).await,
            None => Ok(()),
        }
    }

    /// Removes trees that no note names.
    async fn drop_unnoted(&self, at: &Place<'_>) -> Result<()> {
        let all = self.kind.all(at.pool).await?;
        let source = at.layout.source.clone();
        let noted = blocking("look for trees", move || note::all(&source).map_err(|e| Error::io("look for trees", &e))).await?;
        for tree in all.iter().filter(|tree| !noted.contains(*tree)) {
            tracing::info!(pool = %at.pool.name, "{tree} was left by a crash and is removed");
            self.kind.remove(at.pool, tree).await?;
        }
        self.kind.tidy(at.pool).await
    }

    /// Has the tree in a directory mounted.
    async fn mounted(&self, at: &Place<'_>, dir: &Path) -> Result<PathBuf> {
        let root = dir.join(ROOT);
        if !is_mounted(&root)? {
            let _turn = self.turn.lock().await;
            if !is_mounted(&root)? {
                self.kind.mount(at.pool, &noted(dir)?, &root).await?;
            }
        }
        Ok(root)
    }
}

#[async_trait]
impl<T: Apart> Trees for ApartTrees<T> {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    async fn check(&self, _at: &Place<'_>) -> Result<()> {
        self.kind.check()
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
        self.kind.has_room(at.pool).await?;
        // One that was half made.
        if let Some(tree) = note::noted(dir)? {
            self.kind.remove(at.pool, &tree).await?;
        }
        let tree = note::note(dir)?;
        match image {
            Some(image) => {
                let origin = note::noted(&at.layout.image(image))?;
                let origin = origin.ok_or_else(|| Error::failed(format!("image {} has no tree", image.short())))?;
                self.kind.copy(at.pool, &origin, &tree, true).await?;
            }
            None => self.kind.make(at.pool, &tree).await?,
        }
        note::made(dir)?;
        let root = self.mounted(at, dir).await?;
        match image {
            Some(_) => Ok(()),
            None => self.kind.prepare(&root).await,
        }
    }

    async fn copy(&self, at: &Place<'_>, from: &Path, to: &Path) -> Result<()> {
        self.kind.has_room(at.pool).await?;
        let origin = noted(from)?;
        let tree = note::note(to)?;
        self.kind.copy(at.pool, &origin, &tree, false).await?;
        note::made(to)
    }

    async fn discard(&self, at: &Place<'_>, bin: PathBuf) -> Result<()> {
        if let Err(error) = throw_out(self.kind.as_ref(), at.pool, &bin).await {
            tracing::warn!(path = %bin.display(), "something thrown away could not be deleted: {error}");
            return Ok(());
        }
        place::delete(Some(bin)).await;
        Ok(())
    }

    async fn open(&self, at: &Place<'_>, dir: &Path, restarted: bool) -> Result<()> {
        let root = self.mounted(at, dir).await?;
        if restarted && self.kind.is_broken(&root)? {
            mount::unmount(&root).await?;
            self.mounted(at, dir).await?;
        }
        Ok(())
    }

    async fn close(&self, at: &Place<'_>) -> Result<()> {
        mount::unmount_below(&at.layout.source).await
    }

    async fn sweep(&self, at: &Place<'_>) -> Result<()> {
        // Without the pool there is no note of any tree; the one within it has no mark.
        if at.layout.is_marked() {
            check_mark(&at.layout.source, at.pool.id)?;
            self.drop_unnoted(at).await?;
        }
        let left: Vec<PathBuf> =
            fs::read_dir(at.layout.trash()).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        let (kind, pool, layout) = (self.kind.clone(), at.pool.clone(), at.layout.clone());
        tokio::spawn(async move {
            for bin in left {
                if let Err(error) = throw_out(kind.as_ref(), &pool, &bin).await {
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
        self.kind.used(at.pool, &noted(dir)?, &root).await
    }

    async fn limit(&self, at: &Place<'_>, dir: &Path, bytes: Option<u64>, live: bool) -> Result<()> {
        let root = self.mounted(at, dir).await?;
        self.kind.limit(at.pool, &noted(dir)?, &root, (bytes, live)).await
    }

    async fn usage(&self, at: &Place<'_>) -> Result<Usage> {
        self.kind.usage(at.pool).await
    }
}

/// The tree that a directory has to have.
fn noted(dir: &Path) -> Result<String> {
    note::noted(dir)?.ok_or_else(|| Error::failed(format!("{} has no tree", dir.display())))
}

/// Unmounts and removes the tree of a directory that was thrown away.
async fn throw_out<T: Apart>(kind: &T, pool: &Pool, bin: &Path) -> Result<()> {
    mount::unmount(&bin.join(ROOT)).await?;
    match note::noted(bin)? {
        Some(tree) => kind.remove(pool, &tree).await,
        None => Ok(()),
    }
}
