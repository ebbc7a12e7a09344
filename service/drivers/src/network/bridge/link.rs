//! The bridge itself: whose it is, its addresses, what of the kernel's settings it needs, and the routes to it.
//! Depends on netlink; called by the driver.

use super::BridgeNetworks;
use super::entry::slaac;
use super::guard::LINK_LOCAL;
use super::note::Note;
use super::settings::{self, Settings};
use crate::network::from_netlink;
use ipnet::{IpNet, Ipv6Net};
use lxhost_model::{Error, Kind, Network, Result};
use lxhost_netlink::{Bridge, Link, StaticRoute};
use std::collections::BTreeSet;

impl BridgeNetworks {
    /// The network's link, if it is there. It is ours when it has the address made of the record, the one that the
    /// record gives, or one that was noted.
    ///
    /// # Errors
    /// `Conflict` when a link of that name is there and not ours.
    pub(in crate::network) async fn our_link(&self, network: &Network) -> Result<Option<Link>> {
        let interface = settings::interface(network)?;
        let Some(link) = self.on.links.link(interface.as_str()).await.map_err(from_netlink)? else { return Ok(None) };
        let mut macs: BTreeSet<String> = Note::read(&self.on.run_dir, interface.as_str())?.macs;
        macs.insert(settings::own_mac(network)?.to_string());
        macs.extend(settings::chosen_mac(&network.config)?.map(|mac| mac.to_string()));
        let known = macs.iter().filter_map(|mac| mac.parse().ok()).any(|mac| link.has_mac(mac));
        if link.kind.as_deref() == Some("bridge") && known {
            return Ok(Some(link));
        }
        let what = format!("network {}: this host has an interface {interface} already, which is not lxhost's", network.name);
        Err(Error::new(Kind::Conflict, what))
    }

    /// Gives the bridge its name back when somebody has renamed it.
    pub(super) async fn take_back(&self, network: &Network) -> Result<()> {
        let (interface, mac) = (settings::interface(network)?, settings::own_mac(network)?);
        let links = self.on.links.links().await.map_err(from_netlink)?;
        if links.iter().any(|link| link.name == interface.as_str()) {
            return Ok(());
        }
        let Some(renamed) = links.iter().find(|link| link.kind.as_deref() == Some("bridge") && link.has_mac(mac)) else {
            return Ok(());
        };
        // Before Linux 6.2 a link that is up keeps its name.
        let _ = self.on.links.set_down(&renamed.name).await.map_err(from_netlink)?;
        let _ = self.on.links.rename_link(&renamed.name, &interface).await.map_err(from_netlink)?;
        Ok(())
    }

    /// The link with its addresses, up, and forwarding.
    pub(super) async fn link_up(&self, network: &Network, settings: &Settings, note: &mut Note) -> Result<()> {
        let (links, name) = (&self.on.links, settings.interface.as_str());
        if settings.mac != settings::own_mac(network)? || !note.macs.is_empty() {
            note.macs.insert(settings.mac.to_string());
            note.write(&self.on.run_dir, name)?;
        }
        // A guest in a VLAN has it tell them apart.
        let vlan_filtering = self.our_link(network).await?.is_some_and(|link| link.filters_vlans());
        let bridge = Bridge { mtu: settings.mtu, vlan_filtering, ..Bridge::new(settings.interface.clone(), settings.mac) };
        let mut done = links.ensure_bridge(&bridge).await.map_err(from_netlink)?;
        self.on.made().note(name).await?;
        self.sysctl.protect(name);
        self.sysctl.switch_ipv6(name, settings.ipv6.is_some())?;
        done = done.or(links.ensure_addresses(name, &addresses(settings)).await.map_err(from_netlink)?);
        done = done.or(links.set_up(name).await.map_err(from_netlink)?);
        if settings.ipv4.as_ref().is_some_and(|v| v.routing) {
            self.sysctl.forward_ipv4()?;
        }
        if settings.ipv6.as_ref().is_some_and(|v| v.routing) {
            self.sysctl.forward_ipv6()?;
        }
        tracing::debug!(interface = name, ?done, "bridge is up");
        Ok(())
    }

    /// Has further subnets routed to the bridge, and none that were before and no key names any more.
    pub(super) async fn route(&self, settings: &Settings, note: &mut Note) -> Result<()> {
        let (links, name) = (&self.on.links, settings.interface.as_str());
        let route = |net: IpNet| StaticRoute::new(net, settings.interface.clone());
        let wanted: BTreeSet<String> = settings.routes().map(|net| net.to_string()).collect();
        for old in note.routes.difference(&wanted).filter_map(|net| net.parse().ok()) {
            let _ = links.remove_route(&route(old)).await.map_err(from_netlink)?;
        }
        if note.routes != wanted {
            note.routes = wanted;
            note.write(&self.on.run_dir, name)?;
        }
        for net in settings.routes() {
            let _ = links.ensure_route(&route(net)).await.map_err(from_netlink)?;
        }
        Ok(())
    }
}

/// What the bridge has: its addresses in the subnets, and with IPv6 the one that it is a router and a server by. The kernel
/// gives that one too, to a bridge that carries something, but not again to one from which somebody took it.
pub(super) fn addresses(settings: &Settings) -> Vec<IpNet> {
    let ipv4 = settings.ipv4.iter().map(|v| IpNet::V4(v.address));
    let ipv6 = settings.ipv6.iter().flat_map(|v| [Some(v.address), Ipv6Net::new(slaac(LINK_LOCAL, settings.mac), 64).ok()]);
    ipv4.chain(ipv6.flatten().map(IpNet::V6)).collect()
}
