//! Managed bridges: a subnet of their own with DHCP, DNS and masquerade. The host's side of the
//! driver: link, addresses, kernel settings, firewall and dnsmasq, made as the record says and
//! repaired when somebody else took them away. May use netlink, nft and the port to PID 1; reached
//! through the registry.

pub(crate) mod dnsmasq;
pub(crate) mod entry;
pub(crate) mod leases;
pub(crate) mod release;
mod serve;
mod settings;
mod subnet;

pub(crate) use settings::Settings;

use super::sysctl::Sysctl;
use super::{Surroundings, docker, firewall};
use async_trait::async_trait;
use ipnet::IpNet;
use lxhost_engine::ports::{Lease, NetworkDriver, NicPlan, NicSpec};
use lxhost_model::config::Config;
use lxhost_model::{Error, Kind, Network, ObjectId, Result};
use lxhost_netlink::{Bridge, Link};
use settings::Wanted;
use std::io::Read;
use std::sync::Arc;
use subnet::Taken;
use tokio::sync::Mutex;

/// Networks of type `bridge`.
pub struct BridgeNetworks {
    on: Surroundings,
    sysctl: Sysctl,
    /// Held while the host is changed: the firewall's table is one for all networks.
    changes: Mutex<()>,
}

/// An error of netlink, which has names enough in it.
fn from_netlink(error: lxhost_netlink::Error) -> Error {
    Error::failed(error.to_string())
}

impl BridgeNetworks {
    pub(super) fn new(on: Surroundings) -> Self {
        BridgeNetworks { on, sysctl: Sysctl::new(), changes: Mutex::new(()) }
    }

    /// The network's link, if it is there.
    ///
    /// # Errors
    /// `Conflict` when a link of that name is there and not ours.
    async fn our_link(&self, network: &Network) -> Result<Option<Link>> {
        let (interface, mac) = settings::identity(network)?;
        let Some(link) = self.on.links.link(interface.as_str()).await.map_err(from_netlink)? else { return Ok(None) };
        if link.kind.as_deref() == Some("bridge") && link.has_mac(mac) {
            return Ok(Some(link));
        }
        let what = format!("network {}: this host has an interface {interface} already, which is not lxhost's", network.name);
        Err(Error::new(Kind::Conflict, what))
    }

    /// What of the address space others use: networks of ours, links, routes and name servers.
    async fn taken(&self, network: &Network, others: &[Arc<Network>]) -> Result<Vec<Taken>> {
        let own = self.our_link(network).await?.map(|link| link.index);
        let mut taken = Vec::new();
        for other in others.iter().filter(|other| other.id != network.id) {
            if let Ok(Wanted::Given(net)) = settings::wanted_ipv4(&other.config) {
                taken.push(Taken { net: IpNet::V4(net).trunc(), by: format!("network {}", other.name), firm: true });
            }
            if let Ok(Wanted::Given(net)) = settings::wanted_ipv6(&other.config) {
                taken.push(Taken { net: IpNet::V6(net).trunc(), by: format!("network {}", other.name), firm: true });
            }
        }
        let links = self.on.links.links().await.map_err(from_netlink)?;
        let name = |index| {
            links.iter().find(|l| l.index == index).map_or_else(|| "a link".to_owned(), |l| format!("interface {}", l.name))
        };
        for address in self.on.links.addresses().await.map_err(from_netlink)? {
            if Some(address.link) != own && !address.link_local {
                taken.push(Taken { net: address.net.trunc(), by: name(address.link), firm: true });
            }
        }
        for route in self.on.links.routes().await.map_err(from_netlink)? {
            if route.link.is_none() || route.link != own {
                let by = route.link.map_or_else(|| "a route".to_owned(), |link| format!("a route through {}", name(link)));
                taken.push(Taken { net: route.destination, by, firm: false });
            }
        }
        let resolv_conf = tokio::fs::read_to_string("/etc/resolv.conf").await.unwrap_or_default();
        let servers = subnet::name_servers(&resolv_conf).into_iter();
        taken.extend(servers.map(|server| Taken {
            net: server.into(),
            by: "a name server of this host".to_owned(),
            firm: false,
        }));
        Ok(taken)
    }

    /// Addresses for a record that leaves them to the host, or a check of those it gives.
    fn choose(&self, config: &mut Config, taken: &[Taken]) -> Result<()> {
        let mut chance = chance();
        match settings::wanted_ipv4(config)? {
            Wanted::Given(net) => subnet::check_given(net.into(), taken)?,
            Wanted::None => {}
            Wanted::Auto => {
                config.insert("ipv4.address".into(), subnet::free_ipv4(taken, &mut chance)?.to_string());
                config.entry("ipv4.nat".into()).or_insert_with(|| "true".into());
            }
        }
        match settings::wanted_ipv6(config)? {
            Wanted::Given(net) => subnet::check_given(net.into(), taken)?,
            Wanted::None => {}
            Wanted::Auto if !self.sysctl.has_ipv6() => drop(config.insert("ipv6.address".into(), "none".into())),
            Wanted::Auto => {
                config.insert("ipv6.address".into(), subnet::free_ipv6(taken, &mut chance)?.to_string());
                config.entry("ipv6.nat".into()).or_insert_with(|| "true".into());
            }
        }
        Ok(())
    }

    /// The link with its addresses, up, and forwarding.
    async fn link_up(&self, settings: &Settings) -> Result<()> {
        let (links, name) = (&self.on.links, settings.interface.as_str());
        let bridge = Bridge { mtu: settings.mtu, ..Bridge::new(settings.interface.clone(), settings.mac) };
        let mut done = links.ensure_bridge(&bridge).await.map_err(from_netlink)?;
        self.sysctl.protect(name);
        self.sysctl.switch_ipv6(name, settings.ipv6.is_some())?;
        let ipv4 = settings.ipv4.iter().map(|v| IpNet::V4(v.address));
        let wanted: Vec<IpNet> = ipv4.chain(settings.ipv6.iter().map(|v| IpNet::V6(v.address))).collect();
        done = done.or(links.ensure_addresses(name, &wanted).await.map_err(from_netlink)?);
        done = done.or(links.set_up(name).await.map_err(from_netlink)?);
        if settings.ipv4.is_some() {
            self.sysctl.forward_ipv4()?;
        }
        if settings.ipv6.is_some() {
            self.sysctl.forward_ipv6()?;
        }
        tracing::debug!(interface = name, ?done, "bridge is up");
        Ok(())
    }

    /// The firewall's table with those networks in it. One that cannot be read has no rules, rather
    /// than keeping the others from theirs.
    async fn firewall(&self, networks: &[Arc<Network>], but: Option<ObjectId>, and: Option<&Settings>) -> Result<()> {
        let mut bridges: Vec<Settings> = Vec::new();
        for network in networks.iter().filter(|n| n.kind == "bridge" && Some(n.id) != but) {
            match Settings::read(network) {
                Ok(settings) => bridges.push(settings),
                Err(error) => tracing::warn!(network = %network.name, %error, "no firewall rules for a network"),
            }
        }
        bridges.extend(and.cloned());
        bridges.sort_by(|a, b| a.interface.cmp(&b.interface));
        firewall::apply(&firewall::render(&bridges)).await?;
        // Our own table is right; what Docker makes of its chain is its business.
        if let Err(error) = docker::cooperate(&bridges).await {
            tracing::warn!(%error, "Docker may keep instances from the network");
        }
        Ok(())
    }
}

#[async_trait]
impl NetworkDriver for BridgeNetworks {
    async fn complete(&self, network: &Network, others: &[Arc<Network>]) -> Result<Config> {
        settings::check_keys(&network.config)?;
        let (interface, _) = settings::identity(network)?;
        if let Some(other) = others.iter().find(|other| other.id != network.id && other.interface() == interface.as_str()) {
            let what = format!("network {} would have the interface {interface}, as network {} has", network.name, other.name);
            return Err(Error::new(Kind::Conflict, what));
        }
        let taken = self.taken(network, others).await?;
        let mut config = network.config.clone();
        self.choose(&mut config, &taken).map_err(|e| e.context(format!("network {}", network.name)))?;
        let complete = Network { config, ..network.clone() };
        Settings::read(&complete)?;
        Ok(complete.config)
    }

    async fn up(&self, network: &Network, all: &[Arc<Network>]) -> Result<()> {
        let settings = Settings::read(network)?;
        let _alone = self.changes.lock().await;
        let up = async {
            self.our_link(network).await?;
            self.link_up(&settings).await?;
            self.firewall(all, Some(network.id), Some(&settings)).await?;
            self.serve(&settings).await
        };
        up.await.map_err(|e| e.context(format!("bring up network {}", network.name)))
    }

    async fn down(&self, network: &Network, rest: &[Arc<Network>]) -> Result<()> {
        let _alone = self.changes.lock().await;
        let (interface, _) = settings::identity(network)?;
        let down = async {
            self.stop_serving(interface.as_str()).await?;
            self.firewall(rest, Some(network.id), None).await?;
            if self.our_link(network).await.is_ok_and(|link| link.is_some()) {
                let _ = self.on.links.delete_bridge(interface.as_str()).await.map_err(from_netlink)?;
            }
            Ok(())
        };
        down.await.map_err(|e: Error| e.context(format!("take down network {}", network.name)))
    }

    async fn is_up(&self, network: &Network) -> Result<bool> {
        let settings = Settings::read(network)?;
        let Some(link) = self.our_link(network).await? else { return Ok(false) };
        Ok(link.up && (!settings.serves() || self.is_serving(&settings).await?))
    }

    async fn join(&self, network: &Network, nic: &NicPlan) -> Result<NicSpec> {
        let settings = Settings::read(network)?;
        let entry = entry::Entry::new(nic, &settings).map_err(|e| e.context(format!("network {}", network.name)))?;
        self.announce(&settings, &entry).await.map_err(|e| e.context(format!("network {}", network.name)))?;
        Ok(NicSpec {
            name: nic.name.clone(),
            host_name: entry.host_name(),
            bridge: settings.interface.to_string(),
            mac: entry.mac.to_string(),
            mtu: nic.mtu.or(settings.mtu),
        })
    }

    async fn leave(&self, network: &Network, instance: ObjectId) -> Result<()> {
        let (interface, _) = settings::identity(network)?;
        let server = Settings::read(network).ok().and_then(|s| s.ipv4).map(|v| v.address.addr());
        self.forget(interface.as_str(), server, instance).await.map_err(|e| e.context(format!("network {}", network.name)))
    }

    async fn leases(&self, network: &Network) -> Result<Vec<Lease>> {
        let (interface, _) = settings::identity(network)?;
        self.given_leases(interface.as_str()).await.map_err(|e| e.context(format!("network {}", network.name)))
    }
}

/// Random numbers: only for picks that are checked against what is in use.
fn chance() -> impl FnMut() -> u64 {
    let mut urandom = std::fs::File::open("/dev/urandom").ok();
    move || {
        let mut bytes = [0; 8];
        match urandom.as_mut().map(|file| file.read_exact(&mut bytes)) {
            Some(Ok(())) => u64::from_ne_bytes(bytes),
            // Keyed anew for every value by the standard library.
            _ => std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0),
        }
    }
}

#[cfg(test)]
pub(super) fn settings_of(keys: &[(&str, &str)]) -> Settings {
    Settings::read(&settings::tests::network(keys)).unwrap()
}
