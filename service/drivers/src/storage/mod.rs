//! Pools: one file per driver or kind of trees, one registry. Depends on safefs for everything below a tree that an
//! image or a guest fills. Called by the engine through its ports.

mod apart;
mod below;
mod btrfs;
mod copy;
pub(crate) mod definition;
pub mod dir;
mod filesystem;
mod layout;
mod lvm;
pub mod overlay;
mod place;
pub(crate) mod prepare;
mod quota;
mod skeleton;
mod snapshot;
mod source;
mod tool;
mod trees;
mod upper;
mod zfs;

pub use filesystem::PoolFilesystems;

use crate::blocking::blocking;
use async_trait::async_trait;
use lxhost_engine::ports::{Lying, PoolDriver, PoolKinds};
use lxhost_model::{Error, Kind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Magic numbers of file systems whose trees cannot be the upper layer of an overlay (statfs(2)).
const NO_UPPER: &[i64] = &[
    0x794c_7630, // overlayfs
    0x6969,      // NFS
    0x6573_5546, // FUSE
    0x0102_1997, // 9p
    0x4d44,      // FAT
];

/// Every driver.
pub struct Pools {
    state: PathBuf,
    drivers: Vec<(&'static str, Arc<dyn PoolDriver>)>,
}

impl Pools {
    /// Drivers whose pools lie in `pools/` below `state` unless they say otherwise.
    pub fn new(state: &Path) -> Self {
        let drivers: Vec<(&'static str, Arc<dyn PoolDriver>)> = vec![
            ("overlay", Arc::new(overlay::Overlay::new(state))),
            ("btrfs", Arc::new(trees::TreeDriver::new(state, btrfs::Subvolumes))),
            ("lvm", Arc::new(trees::TreeDriver::new(state, apart::ApartTrees::new(lvm::ThinVolumes::new(state))))),
            ("zfs", Arc::new(trees::TreeDriver::new(state, apart::ApartTrees::new(zfs::Datasets::new(state))))),
            ("dir", Arc::new(dir::Directory::new(state))),
        ];
        Pools { state: state.to_owned(), drivers }
    }
}

#[async_trait]
impl PoolKinds for Pools {
    fn driver(&self, name: &str) -> Result<Arc<dyn PoolDriver>> {
        self.drivers.iter().find(|(known, _)| *known == name).map(|(_, driver)| driver.clone()).ok_or_else(|| {
            let (shown, there) = (lxhost_model::name::quoted(name), self.names().join(", "));
            Error::new(Kind::Unsupported, format!("pool driver {shown} is not known; there are {there}"))
        })
    }

    async fn lying(&self, sources: &[PathBuf]) -> Result<Vec<Lying>> {
        let (pools, sources) = (self.state.join("pools"), sources.to_vec());
        blocking("look for pools", move || definition::lying(&pools, &sources)).await
    }

    async fn default_driver(&self) -> Result<&'static str> {
        let stat = rustix::fs::statfs(&self.state).map_err(|e| Error::io(self.state.display(), &e.into()))?;
        #[allow(clippy::unnecessary_cast)] // The field's type differs between architectures.
        let magic = stat.f_type as i64;
        Ok(match magic {
            btrfs::MAGIC if btrfs::has_tool() => "btrfs",
            magic if NO_UPPER.contains(&magic) => "dir",
            _ => "overlay",
        })
    }

    fn names(&self) -> Vec<&'static str> {
        self.drivers.iter().map(|(name, _)| *name).collect()
    }
}

#[cfg(test)]
mod tests;
