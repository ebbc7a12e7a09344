//! Trees that are datasets of ZFS, made and mounted by nobody but the daemon. Called by `apart`, and by `filesystem` for the
//! zpool.

mod command;
mod dataset;
pub(super) mod names;
pub(super) mod zpool;

use super::apart::Apart;
use super::tool;
use async_trait::async_trait;
use lxhost_engine::ports::Usage;
use lxhost_model::{Error, Kind, Pool, Result};
use names::Names;
use std::path::{Path, PathBuf};

/// Name of the driver.
pub(super) const ZFS: &str = "zfs";
/// Is there while the kernel knows of ZFS. Its device node is made at boot wherever there is a module for it.
const LOADED: &str = "/sys/module/zfs";

/// Refuses a pool on a host without the commands of ZFS or the kernel's part of it, before anything is made.
///
/// # Errors
/// `Unsupported`.
pub(super) fn check() -> Result<()> {
    if !tool::is_there("zpool") {
        return Err(Error::new(Kind::Unsupported, tool::missing("zpool")));
    }
    match Path::new(LOADED).exists() || is_loadable() {
        true => Ok(()),
        false => Err(Error::new(Kind::Unsupported, command::NO_MODULE)),
    }
}

/// Whether there is a module for the kernel that runs.
fn is_loadable() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let modules = Path::new("/usr/lib/modules").join(release).join("modules.dep");
    let listed = std::fs::read_to_string(modules).unwrap_or_default();
    listed.lines().filter_map(|line| line.split_once(':')).any(|(file, _)| {
        let name = file.rsplit('/').next().unwrap_or_default();
        name.split_once('.').is_some_and(|(name, end)| name == "zfs" && end.starts_with("ko"))
    })
}

/// Trees that are datasets.
pub(super) struct Datasets {
    state: PathBuf,
}

impl Datasets {
    /// Those of pools whose state directory that is.
    pub(super) fn new(state: &Path) -> Self {
        Datasets { state: state.to_owned() }
    }

    fn names(&self, pool: &Pool) -> Names {
        Names::of(&self.state, pool)
    }
}

#[async_trait]
impl Apart for Datasets {
    fn name(&self) -> &'static str {
        ZFS
    }

    fn check(&self) -> Result<()> {
        check()
    }

    async fn has_room(&self, pool: &Pool) -> Result<()> {
        dataset::has_room(&self.names(pool)).await
    }

    async fn make(&self, pool: &Pool, tree: &str) -> Result<()> {
        dataset::make(&self.names(pool), tree).await
    }

    async fn copy(&self, pool: &Pool, origin: &str, tree: &str, _mounted: bool) -> Result<()> {
        dataset::copy(&self.names(pool), origin, tree).await
    }

    async fn remove(&self, pool: &Pool, tree: &str) -> Result<()> {
        dataset::remove(&self.names(pool), tree).await
    }

    async fn all(&self, pool: &Pool) -> Result<Vec<String>> {
        dataset::all(&self.names(pool)).await
    }

    async fn tidy(&self, pool: &Pool) -> Result<()> {
        dataset::tidy(&self.names(pool)).await
    }

    async fn mount(&self, pool: &Pool, tree: &str, at: &Path) -> Result<()> {
        dataset::mount(&self.names(pool), tree, at).await
    }

    async fn used(&self, pool: &Pool, tree: &str, _at: &Path) -> Result<u64> {
        dataset::used(&self.names(pool), tree).await
    }

    async fn limit(&self, pool: &Pool, tree: &str, _at: &Path, (bytes, _live): (Option<u64>, bool)) -> Result<()> {
        dataset::limit(&self.names(pool), tree, bytes).await
    }

    async fn usage(&self, pool: &Pool) -> Result<Usage> {
        dataset::room(&self.names(pool)).await
    }
}
