//! Addresses for a bridge: those a record leaves to the host are chosen free of everything that uses the
//! address space, those it gives are checked against it. Reads the host through netlink; changes nothing.

use super::BridgeNetworks;
use super::settings::{self, Wanted};
use super::subnet::{self, Taken};
use crate::network::from_netlink;
use ipnet::IpNet;
use lxhost_model::config::Config;
use lxhost_model::{Network, Result};
use std::io::Read;
use std::sync::Arc;

impl BridgeNetworks {
    /// What of the address space others use: networks of ours, links, routes and name servers.
    pub(super) async fn taken(&self, network: &Network, others: &[Arc<Network>]) -> Result<Vec<Taken>> {
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
        // A VPN's is reached through it, and resolv.conf names only who asks it.
        for (link, server) in self.on.resolver.servers().await.into_iter().filter(|(link, _)| link.is_none() || *link != own) {
            let by =
                link.map_or_else(|| "a name server of this host".to_owned(), |link| format!("the name server of {}", name(link)));
            taken.push(Taken { net: server.into(), by, firm: false });
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
