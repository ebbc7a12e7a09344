//! Networks of every type, one file or folder each, and what they share: the firewall's table.
//! May use `lxhost-netlink` and the engine's ports; reached through the registry only.

pub mod bridge;
pub(crate) mod docker;
pub(crate) mod firewall;
mod sysctl;

use lxhost_engine::ports::{NetworkDriver, NetworkKinds, Units};
use lxhost_model::{Error, Kind, Result};
use lxhost_netlink::Handle;
use std::path::PathBuf;
use std::sync::Arc;

/// What every type of network works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Connection to the kernel.
    pub links: Handle,
    /// PID 1.
    pub units: Arc<dyn Units>,
    /// `/run/lxhost`.
    pub run_dir: PathBuf,
    /// `/var/lib/lxhost`.
    pub state_dir: PathBuf,
}

/// All types of network there are.
pub struct Networks {
    bridge: Arc<bridge::BridgeNetworks>,
}

impl Networks {
    /// The types, working in `surroundings`.
    pub fn new(surroundings: Surroundings) -> Self {
        Networks { bridge: Arc::new(bridge::BridgeNetworks::new(surroundings)) }
    }
}

impl NetworkKinds for Networks {
    fn driver(&self, name: &str) -> Result<Arc<dyn NetworkDriver>> {
        match name {
            "bridge" => Ok(self.bridge.clone()),
            other => Err(Error::new(
                Kind::Unsupported,
                format!("network type {} is unknown; one of {}", lxhost_model::name::quoted(other), self.names().join(", ")),
            )),
        }
    }

    fn names(&self) -> Vec<&'static str> {
        vec!["bridge"]
    }
}
