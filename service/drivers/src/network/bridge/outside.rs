//! Ports of a bridge that lead outside: interfaces of the host, VLANs made on them, tunnels. Nothing that
//! carries the host's own addresses is taken. Called by the driver; depends on netlink.

use super::BridgeNetworks;
use super::note::Note;
use super::settings::{External, Settings, externals};
use crate::network::footing::MAIN;
use crate::network::from_netlink;
use ipnet::IpNet;
use lxhost_model::{Error, Kind, Network, Result};
use lxhost_netlink::{Address, Link, LinkName, Vlan, VlanId, Vxlan};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// The host's links and their addresses.
struct Sight {
    links: Vec<Link>,
    addresses: Vec<Address>,
    /// Index of the bridge, if it is there.
    bridge: Option<u32>,
}

/// How an interface stands to a bridge.
enum Standing {
    /// It is there, and may be or is a port.
    Present,
    /// It is a VLAN still to be made.
    Makeable(LinkName, VlanId),
    /// It is not there, nor what it would be made on.
    Missing,
}

impl Sight {
    fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    fn standing(&self, external: &External) -> Result<Standing> {
        let name = external.name.as_str();
        let conflict = |why: String| Err(Error::new(Kind::Conflict, format!("interface {name} {why}")));
        let Some(link) = self.link(name) else {
            return Ok(match &external.vlan {
                Some((parent, id)) if self.link(parent.as_str()).is_some() => Standing::Makeable(parent.clone(), *id),
                _ => Standing::Missing,
            });
        };
        if link.controller.is_some() && link.controller == self.bridge {
            return Ok(Standing::Present);
        }
        if name == "lo" || link.kind.as_deref() == Some("bridge") {
            return conflict("cannot be a port of a bridge".to_owned());
        }
        if let Some(other) = self.links.iter().find(|other| Some(other.index) == link.controller) {
            return conflict(format!("is a port of {} already", other.name));
        }
        let mut own = self.addresses.iter().filter(|address| address.link == link.index && !is_local(address));
        match own.next() {
            None => Ok(Standing::Present),
            Some(address) => conflict(format!(
                "has the address {}, at which this host could not be reached any more: take the address from {name} first, \
                 or use a VLAN on it (parent={name}.VLAN) or a network of type macvlan",
                address.net
            )),
        }
    }
}

/// Interfaces of the host that the keys of a network name.
pub(super) fn names(network: &Network) -> Vec<String> {
    externals(&network.config).unwrap_or_default().iter().map(|external| external.name.to_string()).collect()
}

fn is_local(address: &Address) -> bool {
    address.link_local
        || match address.net {
            IpNet::V4(net) => net.addr().is_link_local(),
            IpNet::V6(net) => net.addr().is_unicast_link_local(),
        }
}

impl BridgeNetworks {
    async fn sight(&self, bridge: Option<u32>) -> Result<Sight> {
        Ok(Sight {
            links: self.on.links.links().await.map_err(from_netlink)?,
            addresses: self.on.links.addresses().await.map_err(from_netlink)?,
            bridge,
        })
    }

    /// Checks that what the keys name can be had. Nothing is changed.
    ///
    /// # Errors
    /// `InvalidConfig` for an interface that is not there; `Conflict` for one that carries the host's addresses, or
    /// belongs to another bridge or network.
    pub(super) async fn check_outside(&self, network: &Network, settings: &Settings, others: &[Arc<Network>]) -> Result<()> {
        if settings.externals.is_empty() && settings.tunnels.is_empty() {
            return Ok(());
        }
        let sight = self.sight(self.our_link(network).await?.map(|link| link.index)).await?;
        for external in &settings.externals {
            let name = &external.name;
            let uses = |other: &&Arc<Network>| {
                other.id != network.id && externals(&other.config).is_ok_and(|theirs| theirs.iter().any(|e| e.name == *name))
            };
            if let Some(other) = others.iter().find(uses) {
                return Err(Error::new(Kind::Conflict, format!("interface {name} is a port of network {} already", other.name)));
            }
            if let Standing::Missing = sight.standing(external)? {
                let missing = external.vlan.as_ref().map_or(name, |(parent, _)| parent);
                return Err(Error::new(Kind::InvalidConfig, format!("this host has no interface {missing}")));
            }
        }
        for tunnel in &settings.tunnels {
            self.placed(tunnel).await?;
        }
        Ok(())
    }

    /// The tunnel with the interface it leaves by. One to a group needs one: that of the default route.
    async fn placed(&self, tunnel: &Vxlan) -> Result<Vxlan> {
        let mut tunnel = tunnel.clone();
        if let Some(parent) = &tunnel.parent {
            if self.on.links.link(parent.as_str()).await.map_err(from_netlink)?.is_none() {
                return Err(Error::new(Kind::InvalidConfig, format!("this host has no interface {parent} for a tunnel")));
            }
        } else if tunnel.remote.is_some_and(|remote| remote.is_multicast()) {
            let none = || "this host has no default route for a tunnel to leave by; set tunnel.NAME.interface or .remote";
            let parent = self.default_interface(tunnel.remote).await?;
            tunnel.parent = Some(parent.ok_or_else(|| Error::new(Kind::InvalidConfig, none()))?);
        }
        Ok(tunnel)
    }

    async fn default_interface(&self, towards: Option<IpAddr>) -> Result<Option<LinkName>> {
        let routes = self.on.links.routes().await.map_err(from_netlink)?;
        let fits = |net: &IpNet| net.prefix_len() == 0 && towards.is_none_or(|a| a.is_ipv4() == net.addr().is_ipv4());
        let defaults = routes.iter().filter(|route| route.table == MAIN && fits(&route.destination));
        let index = defaults.min_by_key(|route| route.metric).and_then(|route| route.link);
        let links = self.on.links.links().await.map_err(from_netlink)?;
        Ok(links.iter().find(|link| Some(link.index) == index).and_then(|link| link.name.parse().ok()))
    }

    /// Has the bridge have the ports of `settings`, and none that the network had before. What is missing is
    /// left out, and said: a cable that was pulled keeps nobody else from the network.
    pub(super) async fn join_outside(&self, settings: &Settings, note: &mut Note) -> Result<()> {
        let bridge = settings.interface.as_str();
        let wanted: BTreeSet<String> = settings.externals.iter().map(|e| e.name.to_string()).collect();
        let tunnels: BTreeSet<String> = settings.tunnels.iter().map(|t| t.name.to_string()).collect();
        self.drop_ports(note, |name| wanted.contains(name) || tunnels.contains(name), bridge).await?;
        if wanted.is_empty() && tunnels.is_empty() {
            return Ok(());
        }
        let own = self.on.links.link(bridge).await.map_err(from_netlink)?.map(|link| link.index);
        let sight = self.sight(own).await?;
        for external in &settings.externals {
            self.join_external(settings, external, &sight, note).await?;
        }
        for tunnel in &settings.tunnels {
            match self.placed(tunnel).await {
                Ok(tunnel) => self.join_tunnel(settings, &tunnel, note).await?,
                Err(error) => tracing::warn!(interface = bridge, "{error}; the network is without the tunnel {}", tunnel.name),
            }
        }
        let link = self.on.links.link(bridge).await.map_err(from_netlink)?;
        if link.is_some_and(|link| link.filters_vlans()) { self.carry_all(settings).await } else { Ok(()) }
    }

    async fn join_external(&self, settings: &Settings, external: &External, sight: &Sight, note: &mut Note) -> Result<()> {
        let (links, name) = (&self.on.links, external.name.as_str());
        let missing = || tracing::warn!(interface = %settings.interface, "{name} is not there; the network is without it");
        match sight.standing(external)? {
            Standing::Missing => {
                missing();
                return Ok(());
            }
            Standing::Present => {
                if let Some((parent, id)) = external.vlan.as_ref().filter(|_| external.exactly) {
                    let vlan = Vlan::new(external.name.clone(), parent.clone(), *id);
                    let _ = links.ensure_vlan(&vlan).await.map_err(from_netlink)?;
                }
                if !note.made.contains(name) && note.ports.insert(name.to_owned()) {
                    note.write(&self.on.run_dir, settings.interface.as_str())?;
                }
            }
            Standing::Makeable(parent, id) => {
                note.made.insert(name.to_owned());
                note.write(&self.on.run_dir, settings.interface.as_str())?;
                self.on.made().vlan(&Vlan::new(external.name.clone(), parent.clone(), id)).await?;
            }
        }
        let _ = links.ensure_port(name, settings.interface.as_str()).await.map_err(from_netlink)?;
        let _ = links.set_up(name).await.map_err(from_netlink)?;
        Ok(())
    }

    async fn join_tunnel(&self, settings: &Settings, tunnel: &Vxlan, note: &mut Note) -> Result<()> {
        let (links, name) = (&self.on.links, tunnel.name.as_str());
        let made = self.on.made();
        if !made.has(name).await? {
            if links.link_exists(name).await.map_err(from_netlink)? {
                let what = format!("this host has an interface {name} already, which is not lxhost's");
                return Err(Error::new(Kind::Conflict, what));
            }
            made.begin(name)?;
        }
        note.made.insert(name.to_owned());
        note.write(&self.on.run_dir, settings.interface.as_str())?;
        match links.ensure_vxlan(tunnel).await {
            // Ours, as it was before: what differs cannot be changed.
            Err(lxhost_netlink::Error::Differs { .. }) => {
                let _ = links.delete_vxlan(name).await.map_err(from_netlink)?;
                made.begin(name)?;
                let _ = links.ensure_vxlan(tunnel).await.map_err(from_netlink)?;
            }
            other => drop(other.map_err(from_netlink)?),
        }
        made.note(name).await?;
        let _ = links.ensure_port(name, settings.interface.as_str()).await.map_err(from_netlink)?;
        let _ = links.set_up(name).await.map_err(from_netlink)?;
        Ok(())
    }

    /// Lets go of the ports in `note` that are not to stay: those made for the network go, others are the host's again. One
    /// that somebody else has made anew, or uses by now, is a port no more, and stays.
    pub(super) async fn drop_ports(&self, note: &mut Note, stays: impl Fn(&str) -> bool, bridge: &str) -> Result<()> {
        let links = &self.on.links;
        let own = links.link(bridge).await.map_err(from_netlink)?.map(|link| link.index);
        let before = note.clone();
        for name in note.ports.iter().chain(&note.made).filter(|name| !stays(name)) {
            let link = links.link(name).await.map_err(from_netlink)?;
            if link.is_some_and(|link| link.controller.is_some() && link.controller == own) {
                let _ = links.leave_bridge(name).await.map_err(from_netlink)?;
            }
        }
        for name in note.made.iter().filter(|name| !stays(name)) {
            self.on.made().release(name).await?;
        }
        note.ports.retain(|name| stays(name));
        note.made.retain(|name| stays(name));
        if *note == before { Ok(()) } else { note.write(&self.on.run_dir, bridge) }
    }

    /// Whether every port that can be there is.
    pub(super) async fn has_outside(&self, settings: &Settings, bridge: &Link) -> Result<bool> {
        if settings.externals.is_empty() && settings.tunnels.is_empty() {
            return Ok(true);
        }
        let sight = self.sight(Some(bridge.index)).await?;
        let is_port = |name: &LinkName| sight.link(name.as_str()).is_some_and(|l| l.up && l.controller == Some(bridge.index));
        let fine = |external: &External| match sight.standing(external) {
            Ok(Standing::Missing) => true,
            Ok(_) => is_port(&external.name),
            Err(_) => false,
        };
        Ok(settings.externals.iter().all(fine) && settings.tunnels.iter().all(|tunnel| is_port(&tunnel.name)))
    }

    /// What leads outside and is not joined, a sentence each.
    pub(super) async fn unjoined(&self, settings: &Settings, bridge: &Link) -> Result<Vec<String>> {
        let sight = self.sight(Some(bridge.index)).await?;
        let mut said = Vec::new();
        for external in &settings.externals {
            match sight.standing(external) {
                Ok(Standing::Missing) => said.push(format!("this host has no interface {}", external.name)),
                Ok(_) => {}
                Err(error) => said.push(error.message),
            }
        }
        for tunnel in &settings.tunnels {
            said.extend(self.placed(tunnel).await.err().map(|error| error.message));
        }
        Ok(said)
    }
}
