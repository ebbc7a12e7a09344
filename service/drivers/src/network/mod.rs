//! Networks of every type, one file or folder each, and what they share: the firewall's table.
//! May use `lxhost-netlink` and the engine's ports; reached through the registry only.

mod beside;
pub mod bridge;
pub(crate) mod chains;
mod doctor;
pub(crate) mod firewall;
mod footing;
mod macvlan;
mod made;
mod physical;
pub(crate) mod spoof;
pub(crate) mod sysctl;
mod uplink;
mod watch;

pub(crate) use made::Made;

use async_trait::async_trait;
use lxhost_engine::ports::{NetworkChange, NetworkDriver, NetworkKinds, NetworkRecords, NetworkState, Resolver, Units, Zones};
use lxhost_model::checkpoint::Footing;
use lxhost_model::{Error, Kind, Network, ObjectId, Result};
use lxhost_netlink::{Address, Handle, Link, Mac};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// What every type of network works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Connection to the kernel.
    pub links: Handle,
    /// PID 1.
    pub units: Arc<dyn Units>,
    /// The host's resolver.
    pub resolver: Arc<dyn Resolver>,
    /// The host's firewall of zones.
    pub zones: Arc<dyn Zones>,
    /// `/run/lxhost`.
    pub run_dir: PathBuf,
    /// `/var/lib/lxhost`.
    pub state_dir: PathBuf,
}

impl Surroundings {
    /// Links that were made on this host.
    pub(crate) fn made(&self) -> Made {
        Made::new(self.links.clone(), &self.run_dir)
    }
}

/// An error of netlink, which has names enough in it.
pub(crate) fn from_netlink(error: lxhost_netlink::Error) -> Error {
    use lxhost_netlink::Error as Netlink;
    if error.errno() == Some(Errno::OPNOTSUPP.raw_os_error()) {
        return Error::new(Kind::Unsupported, format!("{error}: this kernel lacks it, or the module that has it"));
    }
    let kind = match &error {
        Netlink::InvalidName(_) | Netlink::InvalidMac(_) | Netlink::InvalidVlan(_) => Kind::InvalidConfig,
        Netlink::Exists(_) | Netlink::NoSuchLink(_) | Netlink::WrongKind { .. } | Netlink::Differs { .. } => Kind::Conflict,
        _ => Kind::Failed,
    };
    Error::new(kind, error.to_string())
}

/// What a link of a network says of itself.
fn described(link: &Link, addresses: &[Address]) -> NetworkState {
    let counters = link.counters;
    NetworkState {
        up: link.up,
        interface: link.name.clone(),
        mac: link.mac.and_then(|bytes| Mac::new(bytes).ok()).map(|mac| mac.to_string()),
        mtu: Some(link.mtu),
        addresses: addresses.iter().filter(|address| address.link == link.index).map(|address| address.net).collect(),
        bytes: (counters.received_bytes, counters.sent_bytes),
        packets: (counters.received_packets, counters.sent_packets),
        ..NetworkState::default()
    }
}

/// Other words for types.
const WORDS: &[(&str, &str)] = &[("overlay", bridge::VXLAN)];

/// All types of network there are.
pub struct Networks {
    bridge: Arc<bridge::BridgeNetworks>,
    macvlan: Arc<macvlan::MacvlanNetworks>,
    physical: Arc<physical::PhysicalNetworks>,
    links: Handle,
    seen: tokio::sync::Mutex<watch::Seen>,
    leases: tokio::sync::Mutex<bridge::notice::Notice>,
}

impl Networks {
    /// The types, working in `surroundings`.
    pub fn new(surroundings: Surroundings) -> Self {
        Networks {
            links: surroundings.links.clone(),
            seen: Default::default(),
            leases: bridge::notice::Notice::new(surroundings.state_dir.join("dnsmasq")).into(),
            bridge: Arc::new(bridge::BridgeNetworks::new(surroundings.clone())),
            macvlan: Arc::new(macvlan::MacvlanNetworks::new(surroundings.clone())),
            physical: Arc::new(physical::PhysicalNetworks::new(surroundings)),
        }
    }
}

#[async_trait]
impl NetworkKinds for Networks {
    fn driver(&self, name: &str) -> Result<Arc<dyn NetworkDriver>> {
        match name {
            kind if bridge::KINDS.contains(&kind) => Ok(self.bridge.clone()),
            "macvlan" => Ok(self.macvlan.clone()),
            physical::KIND => Ok(self.physical.clone()),
            other => Err(Error::new(
                Kind::Unsupported,
                format!("network type {} is unknown; one of {}", lxhost_model::name::quoted(other), self.names().join(", ")),
            )),
        }
    }

    fn resolve(&self, word: &str) -> Result<&'static str> {
        let word = WORDS.iter().find(|(other, _)| *other == word).map_or(word, |(_, kind)| kind);
        self.driver(word)?;
        self.names().into_iter().find(|name| *name == word).ok_or_else(|| Error::failed("the registry of networks lacks a name"))
    }

    async fn next_change(&self) -> Option<NetworkChange> {
        Some(self.seen.lock().await.next(&self.links).await)
    }

    async fn next_leases(&self) -> Option<String> {
        Some(self.leases.lock().await.next().await)
    }

    fn names(&self) -> Vec<&'static str> {
        bridge::KINDS.into_iter().chain(["macvlan", physical::KIND]).collect()
    }

    async fn firewall(&self, all: &NetworkRecords) -> Result<()> {
        self.bridge.firewall(all).await
    }

    async fn footing(&self, interfaces: &BTreeSet<String>) -> Result<Vec<Footing>> {
        footing::of(&self.links, interfaces).await
    }

    async fn regain(&self, links: &[Footing]) -> Result<()> {
        footing::regain(&self.links, links).await
    }

    async fn overlaps(&self, networks: &[Arc<Network>]) -> Result<BTreeMap<ObjectId, Vec<String>>> {
        self.bridge.all_overlaps(networks).await
    }

    async fn restore_firewall(&self, all: &NetworkRecords) -> Result<()> {
        self.bridge.restore_firewall(all).await
    }
}

#[cfg(test)]
mod tests;
