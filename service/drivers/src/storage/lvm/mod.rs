//! Trees that are thin logical volumes, each with an ext4. Called by `apart`, and by `filesystem` for the volume group.

mod command;
pub(super) mod group;
mod mount;
pub(super) mod names;
mod size;
mod volume;

use super::apart::Apart;
use async_trait::async_trait;
use lxhost_engine::ports::Usage;
use lxhost_model::{Error, Kind, Pool, Result};
use names::Names;
use std::fs;
use std::path::{Path, PathBuf};

/// Name of the driver.
pub(super) const LVM: &str = "lvm";

/// Refuses a pool on a host without the commands of LVM, before anything is made.
///
/// # Errors
/// `Unsupported`.
pub(super) fn check() -> Result<()> {
    match super::tool::is_there("lvcreate") {
        true => Ok(()),
        false => Err(Error::new(Kind::Unsupported, super::tool::missing("lvcreate"))),
    }
}

/// Trees that are thin volumes.
pub(super) struct ThinVolumes {
    state: PathBuf,
}

impl ThinVolumes {
    /// Those of pools whose state directory that is.
    pub(super) fn new(state: &Path) -> Self {
        ThinVolumes { state: state.to_owned() }
    }

    fn names(&self, pool: &Pool) -> Names {
        Names::of(&self.state, pool)
    }
}

#[async_trait]
impl Apart for ThinVolumes {
    fn name(&self) -> &'static str {
        LVM
    }

    fn check(&self) -> Result<()> {
        check()
    }

    async fn has_room(&self, pool: &Pool) -> Result<()> {
        volume::has_room(&self.names(pool)).await
    }

    async fn make(&self, pool: &Pool, tree: &str) -> Result<()> {
        volume::make(&self.names(pool), tree).await
    }

    async fn prepare(&self, at: &Path) -> Result<()> {
        let _ = fs::remove_dir(at.join("lost+found"));
        size::prepare(at).await
    }

    async fn copy(&self, pool: &Pool, origin: &str, tree: &str, mounted: bool) -> Result<()> {
        volume::copy(&self.names(pool), origin, tree, mounted).await
    }

    async fn remove(&self, pool: &Pool, tree: &str) -> Result<()> {
        volume::remove(&self.names(pool), tree).await
    }

    async fn all(&self, pool: &Pool) -> Result<Vec<String>> {
        group::trees(&self.names(pool)).await
    }

    async fn mount(&self, pool: &Pool, tree: &str, at: &Path) -> Result<()> {
        let device = volume::activate(&self.names(pool), tree).await?;
        mount::mount(&device, at).await
    }

    /// An error, as that of a pool that was full, has made it read-only until it is mounted again.
    fn is_broken(&self, at: &Path) -> Result<bool> {
        mount::is_read_only(at)
    }

    async fn used(&self, _pool: &Pool, _tree: &str, at: &Path) -> Result<u64> {
        let stat = rustix::fs::statvfs(at).map_err(|e| Error::io(at.display(), &e.into()))?;
        Ok(stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize))
    }

    async fn limit(&self, pool: &Pool, tree: &str, at: &Path, (bytes, live): (Option<u64>, bool)) -> Result<()> {
        size::limit(&self.names(pool).tree(tree), at, bytes, live).await
    }

    async fn usage(&self, pool: &Pool) -> Result<Usage> {
        let room = volume::room(&self.names(pool)).await?;
        Ok(Usage { total: room.total, free: room.free })
    }
}
