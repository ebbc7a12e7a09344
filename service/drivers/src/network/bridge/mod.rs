//! Managed bridges: a subnet of their own with DHCP, DNS and masquerade, ports that lead outside, tunnels. The
//! host's side of the driver: link, addresses, kernel settings, firewall and dnsmasq, made as the record says
//! and repaired when somebody else took them away. May use netlink, nft and the port to PID 1; reached through
//! the registry.

mod choose;
pub(crate) mod dnsmasq;
pub(crate) mod entry;
mod guard;
pub(crate) mod holder;
pub(crate) mod leases;
mod link;
mod note;
pub(super) mod notice;
mod outside;
pub(crate) mod release;
pub(super) mod serve;
pub(super) mod settings;
mod state;
mod subnet;
mod vlans;

pub(crate) use settings::Settings;
pub(super) use subnet::name_servers;

use super::spoof::Guards;
use super::sysctl::Sysctl;
use super::{Surroundings, chains, firewall, from_netlink};
use crate::device;
use async_trait::async_trait;
use lxhost_engine::ports::{Check, Lease, NetworkDriver, NetworkRecords, NetworkState, NicKind, NicPlan, NicSpec, Port};
use lxhost_model::config::Config;
use lxhost_model::device::nic::Vlans;
use lxhost_model::name::AclName;
use lxhost_model::{Error, Kind, Network, ObjectId, Result};
use note::Note;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Type of a bridge that is there for its tunnels: the same driver, and a tunnel it has to have.
pub(super) const VXLAN: &str = "vxlan";
/// Type of a bridge over a VLAN: the same driver, and a VLAN it has to have.
const VLAN: &str = "vlan";
/// Types that are bridges.
pub(super) const KINDS: [&str; 3] = ["bridge", VLAN, VXLAN];

/// Networks of type `bridge`, `vlan` and `vxlan`.
pub struct BridgeNetworks {
    on: Surroundings,
    sysctl: Sysctl,
    /// Held while the host is changed: the firewall's table is one for all networks.
    changes: Mutex<()>,
    /// Addresses that are kept for somebody.
    kept: Mutex<guard::Kept>,
    guards: Guards,
}

impl BridgeNetworks {
    pub(super) fn new(on: Surroundings) -> Self {
        let guards = Guards::new(&on.run_dir);
        BridgeNetworks { on, sysctl: Sysctl::new(), changes: Mutex::new(()), kept: Mutex::default(), guards }
    }

    /// The connection to the kernel.
    pub(super) fn links(&self) -> &lxhost_netlink::Handle {
        &self.on.links
    }

    /// The host's resolver.
    pub(super) fn resolver(&self) -> &dyn lxhost_engine::ports::Resolver {
        self.on.resolver.as_ref()
    }

    /// The host's firewall of zones.
    pub(super) fn zones(&self) -> &dyn lxhost_engine::ports::Zones {
        self.on.zones.as_ref()
    }

    /// The firewall's table with those networks in it. One that cannot be read has no rules, rather
    /// than keeping the others from theirs.
    async fn write_firewall(&self, all: &NetworkRecords) -> Result<()> {
        let mut bridges: Vec<Settings> = Vec::new();
        for network in all.networks.iter().filter(|n| KINDS.contains(&n.kind.as_str())) {
            match Settings::read(network) {
                Ok(settings) => bridges.push(settings),
                Err(error) => tracing::warn!(network = %network.name, %error, "no firewall rules for a network"),
            }
        }
        bridges.sort_by(|a, b| a.interface.cmp(&b.interface));
        firewall::apply(&firewall::render(&bridges, &all.acls)).await?;
        // Our own table is right; what others make of theirs is their business.
        if let Err(error) = chains::cooperate(&bridges).await {
            tracing::warn!(%error, "Docker or ufw may keep instances from the network");
        }
        let covered = bridges.iter().filter(|bridge| bridge.asks_firewalls()).map(|bridge| bridge.interface.to_string());
        if let Err(error) = self.on.zones.cover(covered.collect()).await {
            tracing::warn!(%error, "firewalld may keep instances from the network");
        }
        Ok(())
    }

    /// The same, when no network changes.
    pub(super) async fn firewall(&self, all: &NetworkRecords) -> Result<()> {
        let _alone = self.changes.lock().await;
        self.write_firewall(all).await
    }

    /// The same after somebody else has changed it, with the guards of ports.
    pub(super) async fn restore_firewall(&self, all: &NetworkRecords) -> Result<()> {
        let _alone = self.changes.lock().await;
        // One that cannot be written keeps nobody from the other.
        let (rules, guards) = (self.write_firewall(all).await, self.guards.restore().await);
        rules.and(guards)
    }
}

#[async_trait]
impl NetworkDriver for BridgeNetworks {
    fn outside(&self, network: &Network) -> Vec<String> {
        outside::names(network)
    }

    async fn complete(&self, network: &Network, all: &NetworkRecords) -> Result<Config> {
        let others = &all.networks;
        let named = |e: Error| e.context(format!("network {}", network.name));
        settings::check_keys(&network.config)?;
        let interface = settings::interface(network)?;
        if let Some(other) = others.iter().find(|other| other.id != network.id && other.interface() == interface.as_str()) {
            let what = format!("network {} would have the interface {interface}, as network {} has", network.name, other.name);
            return Err(Error::new(Kind::Conflict, what));
        }
        let taken = self.taken(network, others).await?;
        let mut config = network.config.clone();
        self.choose(&mut config, &taken).map_err(named)?;
        let complete = Network { config, ..network.clone() };
        let settings = Settings::read(&complete)?;
        for route in settings.routes() {
            subnet::check_given(route, &taken).map_err(named)?;
        }
        self.check_outside(network, &settings, others).await.map_err(named)?;
        let known = |name: &AclName| all.acls.iter().any(|acl| acl.project == network.project && acl.name == *name);
        if let Some(name) = settings.acls.names.iter().find(|name| !known(name)) {
            return Err(Error::new(Kind::NoSuchAcl, format!("network {}: ACL {name} does not exist", network.name)));
        }
        Ok(complete.config)
    }

    async fn up(&self, network: &Network, all: &NetworkRecords) -> Result<()> {
        let settings = Settings::read(network)?;
        let _alone = self.changes.lock().await;
        let up = async {
            self.take_back(network).await?;
            self.our_link(network).await?;
            let mut note = Note::read(&self.on.run_dir, settings.interface.as_str())?;
            self.link_up(network, &settings, &mut note).await?;
            self.join_outside(&settings, &mut note).await?;
            self.route(&settings, &mut note).await?;
            // Neither needs the other, and both wait for other programs.
            let rules = async { self.write_firewall(all).await.and(self.guards.restore().await) };
            let (rules, served) = tokio::join!(rules, self.serve(&settings));
            rules.and(served)?;
            self.be_asked(&settings).await;
            Ok(())
        };
        up.await.map_err(|e: Error| e.context(format!("bring up network {}", network.name)))
    }

    async fn down(&self, network: &Network, rest: &NetworkRecords) -> Result<()> {
        let _alone = self.changes.lock().await;
        let interface = settings::interface(network)?;
        let down = async {
            let (stopped, rules) = tokio::join!(self.stop_serving(interface.as_str()), self.write_firewall(rest));
            stopped.and(rules)?;
            self.kept.lock().await.remove(interface.as_str());
            self.guards.restore().await?;
            let mut note = Note::read(&self.on.run_dir, interface.as_str())?;
            self.drop_ports(&mut note, |_| false, interface.as_str()).await?;
            if let Ok(Some(link)) = self.our_link(network).await {
                self.on.resolver.forget(link.index).await;
                let _ = self.on.links.delete_bridge(interface.as_str()).await.map_err(from_netlink)?;
            }
            self.on.made().forget(interface.as_str())?;
            Note::remove(&self.on.run_dir, interface.as_str())
        };
        down.await.map_err(|e: Error| e.context(format!("take down network {}", network.name)))
    }

    async fn is_up(&self, network: &Network) -> Result<bool> {
        let settings = Settings::read(network)?;
        match self.our_link(network).await? {
            Some(link) => self.is_up_as(&settings, &link).await,
            None => Ok(false),
        }
    }

    async fn join(&self, network: &Network, nic: &NicPlan) -> Result<NicSpec> {
        let settings = Settings::read(network)?;
        if nic.nic.vlans != Vlans::default() {
            self.tell_apart(network, &settings).await?;
        }
        let inside = if nic.nic.vlans.elsewhere() {
            vlans::inside(nic)?
        } else {
            let mut entry = entry::Entry::new(nic, &settings)?;
            self.announce_guarded(&settings, &mut entry, nic).await?;
            entry.inside(&settings)
        };
        let port = Port {
            end: device::host_end(nic),
            bridge: settings.interface.to_string(),
            isolated: nic.nic.isolated,
            vlans: nic.nic.vlans.clone(),
        };
        Ok(NicSpec { mtu: nic.mtu.or(settings.mtu), inside, ..NicSpec::new(nic, NicKind::Bridged(port)) })
    }

    async fn guard(&self, network: &Network, nic: &NicPlan) -> Result<()> {
        let settings = Settings::read(network)?;
        self.put_guard(&settings, nic).await.map_err(|e| e.context(format!("network {}", network.name)))
    }

    async fn leave(&self, network: &Network, instance: ObjectId, nic: Option<&str>) -> Result<()> {
        let interface = settings::interface(network)?;
        let server = Settings::read(network).ok().and_then(|s| s.ipv4).map(|v| v.address.addr());
        self.forget(interface.as_str(), server, instance, nic).await.map_err(|e| e.context(format!("network {}", network.name)))
    }

    async fn state(&self, network: &Network, others: &[Arc<Network>]) -> Result<NetworkState> {
        self.look(network, others).await
    }

    async fn remarks(&self, network: &Network) -> Vec<String> {
        match Settings::read(network) {
            Ok(settings) => self.beside(&network.name, &settings).await.iter().map(super::beside::line).collect(),
            Err(_) => vec![],
        }
    }

    async fn diagnose(&self, network: &Network, all: &NetworkRecords) -> Result<Vec<Check>> {
        self.examine(network, all).await
    }

    async fn leases(&self, network: &Network) -> Result<Vec<Lease>> {
        let interface = settings::interface(network)?;
        self.given_leases(interface.as_str()).await.map_err(|e| e.context(format!("network {}", network.name)))
    }
}

#[cfg(test)]
pub(super) fn settings_of(keys: &[(&str, &str)]) -> Settings {
    Settings::read(&settings::tests::network(keys)).unwrap()
}
