//! Addresses for a bridge: those a record leaves to the host are chosen free of everything that uses the
//! address space, those it gives are checked against it. Reads the host through netlink; changes nothing.

use super::BridgeNetworks;
use super::settings::{self, Wanted};
use super::subnet::{self, Taken};
use crate::network::from_netlink;
use ipnet::IpNet;
use lxhost_model::config::Config;
use lxhost_model::{Network, ObjectId, Result};
use std::io::Read;
use std::sync::Arc;

/// A part of the address space that is in use, and by what of ours: nobody is in his own way.
pub(super) struct Use {
    taken: Taken,
    network: Option<ObjectId>,
    link: Option<u32>,
}

impl Use {
    /// What of `uses` is in the way of a network, whose own link has the number `link`, if it is there.
    pub(super) fn in_the_way(uses: &[Use], network: ObjectId, link: Option<u32>) -> impl Iterator<Item = &Taken> {
        let own = move |by: &&Use| by.network == Some(network) || (by.link.is_some() && by.link == link);
        uses.iter().filter(move |by| !own(by)).map(|by| &by.taken)
    }
}

impl BridgeNetworks {
    /// What of the address space others use: networks of ours, links, routes and name servers.
    pub(super) async fn taken(&self, network: &Network, others: &[Arc<Network>]) -> Result<Vec<Taken>> {
        let own = self.our_link(network).await?.map(|link| link.index);
        Ok(Use::in_the_way(&self.uses(others).await?, network.id, own).cloned().collect())
    }

    /// What of the address space is used by those networks and by this host.
    pub(super) async fn uses(&self, networks: &[Arc<Network>]) -> Result<Vec<Use>> {
        let mut uses = Vec::new();
        for network in networks {
            let ipv4 = settings::wanted_ipv4(&network.config).map(|wanted| wanted.given().map(IpNet::V4));
            let ipv6 = settings::wanted_ipv6(&network.config).map(|wanted| wanted.given().map(IpNet::V6));
            for net in [ipv4, ipv6].into_iter().flatten().flatten() {
                let taken = Taken { net: net.trunc(), by: format!("network {}", network.name), firm: true };
                uses.push(Use { taken, network: Some(network.id), link: None });
            }
        }
        let mut found = |net: IpNet, by: String, firm: bool, link: Option<u32>| {
            uses.push(Use { taken: Taken { net, by, firm }, network: None, link });
        };
        let links = self.on.links.links().await.map_err(from_netlink)?;
        let name = |index| {
            links.iter().find(|l| l.index == index).map_or_else(|| "a link".to_owned(), |l| format!("interface {}", l.name))
        };
        for address in self.on.links.addresses().await.map_err(from_netlink)?.into_iter().filter(|address| !address.link_local) {
            found(address.net.trunc(), name(address.link), true, Some(address.link));
        }
        for route in self.on.links.routes().await.map_err(from_netlink)? {
            let by = route.link.map_or_else(|| "a route".to_owned(), |link| format!("a route through {}", name(link)));
            found(route.destination, by, false, route.link);
        }
        let hosts = || "a name server of this host".to_owned();
        // A VPN's is reached through it, and resolv.conf names only who asks it.
        for (link, server) in self.on.resolver.servers().await {
            let by = link.map_or_else(hosts, |link| format!("the name server of {}", name(link)));
            found(server.into(), by, false, link);
        }
        let resolv_conf = tokio::fs::read_to_string("/etc/resolv.conf").await.unwrap_or_default();
        subnet::name_servers(&resolv_conf).into_iter().for_each(|server| found(server.into(), hosts(), false, None));
        Ok(uses)
    }

    /// Addresses for a record that leaves them to the host, or a check of those it gives.
    pub(super) fn choose(&self, config: &mut Config, taken: &[Taken]) -> Result<()> {
        let mut chance = chance();
        match settings::wanted_ipv4(config)? {
            Wanted::Given(net) => subnet::check_given(net.into(), taken)?,
            Wanted::None => drop(config.insert("ipv4.address".into(), "none".into())),
            Wanted::Auto => {
                config.insert("ipv4.address".into(), subnet::free_ipv4(taken, &mut chance)?.to_string());
                config.entry("ipv4.nat".into()).or_insert_with(|| "true".into());
            }
        }
        match settings::wanted_ipv6(config)? {
            Wanted::Given(net) => subnet::check_given(net.into(), taken)?,
            Wanted::None => drop(config.insert("ipv6.address".into(), "none".into())),
            Wanted::Auto if !self.sysctl.has_ipv6() => drop(config.insert("ipv6.address".into(), "none".into())),
            Wanted::Auto => {
                config.insert("ipv6.address".into(), subnet::free_ipv6(taken, &mut chance)?.to_string());
                config.entry("ipv6.nat".into()).or_insert_with(|| "true".into());
            }
        }
        Ok(())
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
