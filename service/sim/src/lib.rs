//! A machine that is not there: every port of the engine in memory, for `lxhostd --sim` and for
//! tests of the engine and its skins. No root, no namespaces, no network. Depends on the engine.
//!
//! What the simulation does is real where it can be (images are hashed and kept in a directory of
//! the caller's, commands are run as plain processes if that is allowed) and says so where it is
//! not. Nothing has canned answers. Tests of the engine that use this crate belong into
//! `engine/tests/`: within the engine's own unit tests the traits would be another crate's.

mod authority;
mod backups;
mod definitions;
mod faults;
mod files;
mod filesystems;
mod host;
mod images;
mod launcher;
mod networks;
mod nics;
#[cfg(feature = "faults")]
pub mod points;
mod pools;
mod proxies;
mod source;
mod store;

pub use authority::{Asked, Ruling, SimAuthority};
pub use backups::SimBackups;
pub use definitions::SimDefinitions;
pub use faults::Faults;
pub use files::SimFiles;
pub use filesystems::{SimFilesystem, SimFilesystems};
pub use host::SimHost;
pub use images::SimImages;
pub use launcher::SimLauncher;
pub use networks::SimNetworks;
pub use nics::SimNics;
pub use pools::{SimPools, UNCOUNTED};
pub use proxies::SimProxies;
pub use source::SimSource;
pub use store::SimStore;

use lxhost_engine::Ports;
use lxhost_model::Result;
use std::path::Path;
use std::sync::Arc;

/// A simulated machine, part by part, so that a test can reach behind the ports.
#[derive(Debug, Clone)]
pub struct Sim {
    /// What fails next, and what was called.
    pub faults: Arc<Faults>,
    /// Records.
    pub store: Arc<SimStore>,
    /// Containers.
    pub launcher: Arc<SimLauncher>,
    /// Storage.
    pub pools: Arc<SimPools>,
    /// File systems that pools bring with them.
    pub filesystems: Arc<SimFilesystems>,
    /// Networks.
    pub networks: Arc<SimNetworks>,
    /// Interfaces without a network.
    pub nics: Arc<SimNics>,
    /// Proxies.
    pub proxies: Arc<SimProxies>,
    /// Backups.
    pub backups: Arc<SimBackups>,
    /// Definitions of what has no disk.
    pub definitions: Arc<SimDefinitions>,
    /// Files of volumes.
    pub files: Arc<SimFiles>,
    /// Files of images.
    pub images: Arc<SimImages>,
    /// The remote `sim:`.
    pub source: Arc<SimSource>,
    /// Who may do what.
    pub authority: Arc<SimAuthority>,
    /// The machine.
    pub host: Arc<SimHost>,
}

impl Sim {
    /// A machine that keeps images' files below `state_dir`, which must exist. With `run_commands`,
    /// exec runs what it is given on this machine, as the user of this process.
    pub fn new(state_dir: &Path, run_commands: bool) -> Sim {
        let faults = Arc::new(Faults::default());
        let networks = Arc::new(SimNetworks::new(Arc::clone(&faults)));
        let images = Arc::new(SimImages::new(state_dir, Arc::clone(&faults)));
        Sim {
            store: Arc::new(SimStore::new(Arc::clone(&faults))),
            launcher: Arc::new(SimLauncher::new(Arc::clone(&networks), run_commands, Arc::clone(&faults))),
            pools: Arc::new(SimPools::new(state_dir, Arc::clone(&images), Arc::clone(&faults))),
            filesystems: Arc::new(SimFilesystems::new(state_dir, Arc::clone(&faults))),
            source: Arc::new(SimSource::new(Arc::clone(&faults))),
            authority: Arc::default(),
            host: Arc::new(SimHost::new(state_dir)),
            nics: Arc::new(SimNics::new(Arc::clone(&faults))),
            proxies: Arc::new(SimProxies::new(Arc::clone(&faults))),
            backups: Arc::new(SimBackups::new(Arc::clone(&faults))),
            definitions: Arc::new(SimDefinitions::new(Arc::clone(&faults))),
            files: Arc::new(SimFiles::new(Arc::clone(&faults))),
            networks,
            images,
            faults,
        }
    }

    /// This machine after its records were lost.
    pub fn without_records(&self) -> Sim {
        Sim { store: Arc::new(SimStore::new(Arc::clone(&self.faults))), ..self.clone() }
    }

    /// The ports of this machine.
    pub fn ports(&self) -> Ports {
        Ports {
            store: self.store.clone(),
            launcher: self.launcher.clone(),
            pools: self.pools.clone(),
            filesystems: self.filesystems.clone(),
            networks: self.networks.clone(),
            nics: self.nics.clone(),
            proxies: self.proxies.clone(),
            images: self.images.clone(),
            backups: self.backups.clone(),
            definitions: self.definitions.clone(),
            files: self.files.clone(),
            sources: vec![self.source.clone()],
            authority: self.authority.clone(),
            host: self.host.clone(),
        }
    }
}

/// The ports of a new machine for `lxhostd --sim`: commands are run, everybody may do everything.
///
/// # Errors
/// `Failed` when `state_dir` cannot be made.
pub fn ports(state_dir: &Path) -> Result<Ports> {
    std::fs::create_dir_all(state_dir).map_err(|e| lxhost_model::Error::io(format!("make {}", state_dir.display()), &e))?;
    Ok(Sim::new(state_dir, true).ports())
}

/// A lock whose holder may have panicked: the data is still whole, every change is one assignment.
fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
