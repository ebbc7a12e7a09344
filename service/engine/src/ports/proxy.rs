//! Proxies of instances: what is asked for, and who makes it. On a real host: `drivers/device/proxy`, with the
//! processes that relay in units of their own (`Relays`, in `host/relay`).

use async_trait::async_trait;
use lxhost_model::device::Proxy;
use lxhost_model::name::DeviceName;
use lxhost_model::{ObjectId, Result};
use std::net::IpAddr;
use std::path::PathBuf;

/// A proxy that a running instance wants.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProxyPlan {
    /// The instance.
    pub instance: ObjectId,
    /// Its name towards machined and units.
    pub machine: String,
    /// The device.
    pub device: DeviceName,
    /// What the device says.
    pub proxy: Proxy,
    /// Where packets are sent to, when they are translated.
    pub target: Option<ProxyTarget>,
}

/// Where packets are sent to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProxyTarget {
    /// A fixed address of the instance.
    pub address: IpAddr,
    /// Name inside of the interface that has it.
    pub nic: String,
    /// Name of the host's end of that, if it was chosen.
    pub host_name: Option<String>,
}

/// Makes proxies.
#[async_trait]
pub trait Proxies: Send + Sync {
    /// Makes a proxy of the running instance whose init has that process id on the host; one of the same device is
    /// replaced. Done when it listens. On failure nothing of it is left.
    ///
    /// # Errors
    /// `Conflict` for a place that is taken, naming who has it; `InvalidConfig` for one that is not to be had.
    async fn open(&self, plan: &ProxyPlan, leader: u32) -> Result<()>;

    /// Removes it. Idempotent, also when the instance does not run.
    async fn close(&self, plan: &ProxyPlan) -> Result<()>;

    /// Whether it is there.
    async fn is_open(&self, plan: &ProxyPlan) -> Result<bool>;

    /// Removes what is left of an instance's proxies that nobody remembers: its profiles may have changed while it ran.
    /// Relays end with its scope.
    async fn sweep(&self, instance: ObjectId) -> Result<()>;
}

/// A process that relays, in a unit of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelaySpec {
    /// Name of the unit.
    pub unit: String,
    /// What it is, for people.
    pub description: String,
    /// The instance's name towards units: the relay ends with its scope.
    pub machine: String,
    /// Arguments after `lxhost-runtime`.
    pub arguments: Vec<String>,
    /// Directory of the host in which it makes a socket.
    pub writable: Option<PathBuf>,
    /// Whether it needs rights over files of the host.
    pub owns_files: bool,
}

/// What became of the start of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayStart {
    /// It listens.
    Listens,
    /// It does not, and has said why.
    Refused {
        /// What it was doing: `listen tcp:0.0.0.0:80`, `enter the instance`.
        step: String,
        /// The kernel's number.
        errno: i32,
    },
}

/// Units of relays. They outlive the daemon, and end with their instance.
#[async_trait]
pub trait Relays: Send + Sync {
    /// Starts a relay and waits until it listens, or has said why not; then nothing of it is left.
    ///
    /// # Errors
    /// `Failed`, when it has said nothing.
    async fn start(&self, spec: &RelaySpec) -> Result<RelayStart>;

    /// Stops a relay. One that is not there has stopped.
    async fn stop(&self, unit: &str) -> Result<()>;

    /// Whether it runs, or is being started again.
    async fn is_active(&self, unit: &str) -> Result<bool>;
}
