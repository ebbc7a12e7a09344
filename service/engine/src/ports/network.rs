//! Networks: what an instance's interface joins. One implementation per type, chosen by the
//! record's `type` in the registry of `drivers`.

use crate::ports::{Check, NicPlan, NicSpec, State};
use async_trait::async_trait;
use ipnet::IpNet;
use lxhost_model::checkpoint::Footing;
use lxhost_model::config::Config;
use lxhost_model::{Acl, Network, ObjectId, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// An address that the network's DHCP server gave or keeps for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Hardware address of the holder.
    pub mac: String,
    /// Address.
    pub address: IpAddr,
    /// Name the holder has.
    pub hostname: String,
    /// End, seconds since the epoch; 0 = static.
    pub expires: u64,
}

/// How a network stands on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkState {
    /// Whether it is on the host as its record says.
    pub up: bool,
    /// Its interface on the host; for a network on an interface of the host, that one.
    pub interface: String,
    /// Hardware address of the interface.
    pub mac: Option<String>,
    /// Largest packet, bytes.
    pub mtu: Option<u32>,
    /// Addresses of the interface.
    pub addresses: Vec<IpNet>,
    /// Bytes received and sent by the interface.
    pub bytes: (u64, u64),
    /// Packets received and sent by the interface.
    pub packets: (u64, u64),
    /// Interfaces of the host that are joined in it.
    pub ports: Vec<String>,
    /// Interfaces of the host that its keys name.
    pub outside: Vec<String>,
    /// Whether the host's default route leads through it.
    pub default_route: bool,
    /// What is not as it has to be, a sentence each.
    pub warnings: Vec<String>,
}

/// The records that together say what the host's networks are: some things, such as the firewall's table, are one for
/// all of them.
#[derive(Debug, Clone, Default)]
pub struct NetworkRecords {
    /// Networks.
    pub networks: Vec<Arc<Network>>,
    /// ACLs.
    pub acls: Vec<Arc<Acl>>,
}

impl NetworkRecords {
    /// Those in force: without a network that was taken from the host, which waits to be confirmed.
    pub fn of(state: &State) -> Self {
        let mut records = NetworkRecords::claimed(state);
        records.networks = state.networks.values().filter(|network| !network.is_leaving()).cloned().collect();
        records
    }

    /// All that may be in force again: also what networks were before a change that waits to be confirmed.
    pub fn claimed(state: &State) -> Self {
        let before = state.networks.values().filter_map(|network| network.before()).cloned().map(Arc::new);
        let networks = state.networks.values().cloned().chain(before).collect();
        NetworkRecords { networks, acls: state.acls.values().cloned().collect() }
    }

    /// The same without the network `id`.
    #[must_use]
    pub fn without(mut self, id: ObjectId) -> Self {
        self.networks.retain(|network| network.id != id);
        self
    }

    /// The same with `network` as it is given.
    #[must_use]
    pub fn with(self, network: &Network) -> Self {
        let mut records = self.without(network.id);
        records.networks.push(Arc::new(network.clone()));
        records
    }
}

/// Something that changed on this host and may concern networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkChange {
    /// The interface of that name is gone, down, renamed or without an address it had.
    Link(String),
    /// Routes.
    Routes,
    /// Rules of the firewall that are ours, by somebody else.
    Firewall,
}

/// Networks of one type. Methods are idempotent.
#[async_trait]
pub trait NetworkDriver: Send + Sync {
    /// Name of the host's interface that the network is.
    fn interface(&self, network: &Network) -> String {
        network.interface()
    }

    /// Interfaces of the host that its keys name: it lies on them, or they are its ports.
    fn outside(&self, _network: &Network) -> Vec<String> {
        vec![]
    }

    /// Checks keys and fills in what was left to the host (a free subnet), against `others`, the
    /// networks there are, and the ACLs. Nothing is changed on the host.
    ///
    /// # Errors
    /// `InvalidConfig`; `Conflict` naming the route or network that overlaps; `NoSuchAcl`.
    async fn complete(&self, network: &Network, others: &NetworkRecords) -> Result<Config>;

    /// Makes the network be as its record says: link, addresses, forwarding, firewall, DHCP and DNS.
    /// `all` has every network of the host (the firewall is one table, written whole).
    async fn up(&self, network: &Network, all: &NetworkRecords) -> Result<()>;

    /// Removes it from the host; `rest` is every other network.
    async fn down(&self, network: &Network, rest: &NetworkRecords) -> Result<()>;

    /// Whether it is on the host now.
    async fn is_up(&self, network: &Network) -> Result<bool>;

    /// Announces an interface (name for DNS, fixed address) and says how to attach it. Undone by `leave`.
    async fn join(&self, network: &Network, nic: &NicPlan) -> Result<NicSpec>;

    /// Keeps an interface that has joined from pretending to be another. Done when it holds. Undone by `leave`.
    async fn guard(&self, _network: &Network, _nic: &NicPlan) -> Result<()> {
        Ok(())
    }

    /// Forgets an instance's interface of that name inside; all of its interfaces without a name. Nothing to do
    /// where nothing is kept of them.
    async fn leave(&self, _network: &Network, _instance: ObjectId, _nic: Option<&str>) -> Result<()> {
        Ok(())
    }

    /// How it stands on the host, beside `others`. Changes nothing.
    async fn state(&self, network: &Network, others: &[Arc<Network>]) -> Result<NetworkState>;

    /// What other firewalls of this host were told so that it works beside them, a line each with what takes that back.
    async fn remarks(&self, _network: &Network) -> Vec<String> {
        vec![]
    }

    /// Examines it for `lxctl doctor network`: what is as it has to be, and what is not, with the remedy. `all` has every
    /// network. Changes nothing that stays.
    async fn diagnose(&self, network: &Network, all: &NetworkRecords) -> Result<Vec<Check>> {
        let others: Vec<_> = all.networks.iter().filter(|other| other.id != network.id).cloned().collect();
        let state = self.state(network, &others).await?;
        let link = match state.up {
            true => Check::ok("link", format!("{} is up", state.interface)),
            false => Check::fail("link", format!("{} is not as it has to be", state.interface), "systemctl reload lxhostd"),
        };
        let warnings = state.warnings.into_iter().map(|warning| Check::warn("state", warning, ""));
        Ok(std::iter::once(link).chain(warnings).collect())
    }

    /// Leases there are now; none where addresses are not given out.
    async fn leases(&self, _network: &Network) -> Result<Vec<Lease>> {
        Ok(vec![])
    }
}

/// The registry of network drivers.
#[async_trait]
pub trait NetworkKinds: Send + Sync {
    /// The driver called `name`.
    ///
    /// # Errors
    /// `Unsupported`, naming those there are.
    fn driver(&self, name: &str) -> Result<Arc<dyn NetworkDriver>>;

    /// The type that `word` means: its name, or another word for it.
    ///
    /// # Errors
    /// `Unsupported`, as [`NetworkKinds::driver`].
    fn resolve(&self, word: &str) -> Result<&'static str> {
        self.driver(word)?;
        let unnamed = || lxhost_model::Error::failed("the registry of networks lacks a name");
        self.names().into_iter().find(|name| *name == word).ok_or_else(unnamed)
    }

    /// The next change on this host that may concern a network; `None` where nobody looks. Dropping the future loses
    /// nothing.
    async fn next_change(&self) -> Option<NetworkChange> {
        None
    }

    /// The interface of the next network whose leases may not be what they were; `None` where nobody looks. Dropping the
    /// future loses nothing.
    async fn next_leases(&self) -> Option<String> {
        None
    }

    /// What the host has on these of its interfaces, as far as they are there. Changes nothing.
    async fn footing(&self, _interfaces: &BTreeSet<String>) -> Result<Vec<Footing>> {
        Ok(vec![])
    }

    /// Subnets of these networks that somebody else uses by now, such as a VPN that came later: a line each, by network.
    /// Changes nothing.
    async fn overlaps(&self, _networks: &[Arc<Network>]) -> Result<BTreeMap<ObjectId, Vec<String>>> {
        Ok(BTreeMap::new())
    }

    /// Gives interfaces of the host what they lack of that. What cannot be had is logged, and keeps nobody from the rest.
    async fn regain(&self, _links: &[Footing]) -> Result<()> {
        Ok(())
    }

    /// Names of all drivers.
    fn names(&self) -> Vec<&'static str>;

    /// Writes the firewall's rules as `all` has them; what drivers do by themselves when a network changes.
    ///
    /// # Errors
    /// `Failed`, with what the firewall said; nothing is changed then.
    async fn firewall(&self, all: &NetworkRecords) -> Result<()>;

    /// Writes them again after somebody else has changed them, and what guards the interfaces of instances.
    ///
    /// # Errors
    /// As [`NetworkKinds::firewall`].
    async fn restore_firewall(&self, all: &NetworkRecords) -> Result<()> {
        self.firewall(all).await
    }
}
