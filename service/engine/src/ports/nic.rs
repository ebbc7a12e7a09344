//! Interfaces of instances: what is asked for, how it is made, and who decides that for interfaces
//! that join no managed network. One implementation per `nictype`, in `drivers/device`.

use async_trait::async_trait;
use ipnet::IpNet;
use lxhost_model::device::NicType;
use lxhost_model::device::nic::{Nic, Rates, Vlans};
use lxhost_model::{ObjectId, Result};
use std::net::IpAddr;
use std::sync::Arc;

/// An interface that an instance wants.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NicPlan {
    /// The instance.
    pub instance: ObjectId,
    /// Its host name, which DNS shall answer.
    pub hostname: String,
    /// Interface name inside.
    pub name: String,
    /// Hardware address.
    pub mac: String,
    /// Fixed IPv4 address, if one is wanted of the network.
    pub ipv4: Option<std::net::Ipv4Addr>,
    /// Fixed IPv6 address, if one is wanted of the network.
    pub ipv6: Option<std::net::Ipv6Addr>,
    /// MTU, if not the network's.
    pub mtu: Option<u32>,
    /// Everything else that the device says.
    pub nic: Nic,
}

/// A network interface of the container, as it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicSpec {
    /// Name inside.
    pub name: String,
    /// Hardware address inside, `aa:bb:cc:dd:ee:ff`; `None`: that of its parent.
    pub mac: Option<String>,
    /// MTU, if not that of what it joins.
    pub mtu: Option<u32>,
    /// What it is.
    pub kind: NicKind,
    /// What it has inside without anybody inside doing anything.
    pub inside: Inside,
}

/// What an interface is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NicKind {
    /// A pair whose host's end is a port of a bridge.
    Bridged(Port),
    /// A pair whose host's end stands alone: point to point, and routed.
    Pair(HostEnd),
    /// A hardware address on a link of the host; the mode is a word of the configuration.
    Macvlan {
        /// The link.
        parent: String,
        /// `bridge`, `vepa`, `passthru` or `private`.
        mode: String,
    },
    /// An address on a link of the host.
    Ipvlan {
        /// The link.
        parent: String,
        /// `l2` or `l3s`.
        mode: String,
    },
    /// A link of the host, which goes inside and comes back.
    Physical {
        /// The link.
        parent: String,
    },
}

/// The host's end of a pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostEnd {
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
    /// Routes of the host that lead to the guest, each with its table (`None`: the main one).
    pub routes: Vec<(IpNet, Option<u32>)>,
    /// Rates that it is held to.
    pub rates: Rates,
}

/// The host's end of a pair that is a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Port {
    /// The end; its routes lead through the bridge.
    pub end: HostEnd,
    /// Bridge that it joins.
    pub bridge: String,
    /// Whether it is kept from the other isolated ports.
    pub isolated: bool,
    /// VLANs that it carries.
    pub vlans: Vlans,
}

/// Addresses and default routers that an interface is given inside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inside {
    /// Addresses.
    pub addresses: Vec<IpNet>,
    /// Default routers; one that is in none of the nets is on the link.
    pub gateways: Vec<IpAddr>,
    /// The default route leads to the link, without a router.
    pub default_by_link: bool,
}

impl NicSpec {
    /// An interface with a hardware address, and nothing inside.
    pub fn new(plan: &NicPlan, kind: NicKind) -> Self {
        NicSpec { name: plan.name.clone(), mac: Some(plan.mac.clone()), mtu: plan.mtu, kind, inside: Inside::default() }
    }

    /// The host's end, if there is one.
    pub fn host_end(&self) -> Option<&HostEnd> {
        match &self.kind {
            NicKind::Bridged(port) => Some(&port.end),
            NicKind::Pair(end) => Some(end),
            NicKind::Macvlan { .. } | NicKind::Ipvlan { .. } | NicKind::Physical { .. } => None,
        }
    }
}

/// Interfaces of one kind that join no managed network. Methods are idempotent.
#[async_trait]
pub trait NicDriver: Send + Sync {
    /// Checks that this host has what the interface needs, and says how it is made. Undone by `detach`.
    ///
    /// # Errors
    /// `Conflict` for a parent that is not there, or somebody else's.
    async fn attach(&self, plan: &NicPlan) -> Result<NicSpec>;

    /// Keeps an attached interface from pretending to be another. Undone by `detach`.
    async fn guard(&self, _plan: &NicPlan) -> Result<()> {
        Ok(())
    }

    /// Forgets it.
    async fn detach(&self, plan: &NicPlan) -> Result<()>;
}

/// The registry of kinds of interfaces.
pub trait NicKinds: Send + Sync {
    /// The driver of a kind.
    ///
    /// # Errors
    /// `Unsupported`.
    fn driver(&self, kind: NicType) -> Result<Arc<dyn NicDriver>>;
}
