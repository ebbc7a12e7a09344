//! What this host has on its own interfaces before a network is changed, and how they get it back: an address that goes
//! takes the routes with it that lead by it. Depends on netlink; called by the registry.

use super::from_netlink;
use lxhost_model::Result;
use lxhost_model::checkpoint::{Footing, Way};
use lxhost_netlink::{Address, Handle, Link, Route, StaticRoute};
use std::collections::BTreeSet;

/// The main routing table.
pub(super) const MAIN: u32 = 254;
/// The table of the addresses that are the host's own.
const LOCAL: u32 = 255;
/// Who makes routes that come back by themselves, or hold for a moment: redirects, the kernel, routers' advertisements.
const PASSING: [u8; 3] = [1, 2, 9];

/// What the host has on those of the interfaces that are there.
pub(super) async fn of(links: &Handle, interfaces: &BTreeSet<String>) -> Result<Vec<Footing>> {
    if interfaces.is_empty() {
        return Ok(vec![]);
    }
    let there = links.links().await.map_err(from_netlink)?;
    let addresses = links.addresses().await.map_err(from_netlink)?;
    let routes = links.routes().await.map_err(from_netlink)?;
    let found = there.iter().filter(|link| interfaces.contains(&link.name));
    Ok(found.map(|link| footing(link, &addresses, &routes)).collect())
}

fn footing(link: &Link, addresses: &[Address], routes: &[Route]) -> Footing {
    let own = addresses.iter().filter(|address| address.link == link.index && !address.link_local);
    let by_it = |route: &&Route| route.link == Some(link.index) && route.table != LOCAL && !PASSING.contains(&route.protocol);
    let way = |route: &Route| Way {
        destination: route.destination,
        gateway: route.gateway,
        source: route.source,
        table: route.table,
        metric: route.metric,
        protocol: route.protocol,
        on_link: route.on_link,
    };
    Footing {
        name: link.name.clone(),
        up: link.up,
        addresses: own.map(|address| address.net).collect(),
        routes: routes.iter().filter(by_it).map(way).collect(),
    }
}

/// Whether a default route leads by one of the interfaces.
pub(super) async fn carries_default(links: &Handle, interfaces: &BTreeSet<String>) -> Result<bool> {
    let there = links.links().await.map_err(from_netlink)?;
    let meant: BTreeSet<u32> = there.iter().filter(|link| interfaces.contains(&link.name)).map(|link| link.index).collect();
    let routes = links.routes().await.map_err(from_netlink)?;
    let is_default = |route: &&Route| route.table == MAIN && route.destination.prefix_len() == 0;
    Ok(routes.iter().filter(is_default).any(|route| route.link.is_some_and(|link| meant.contains(&link))))
}

/// Gives interfaces what they lack of it. One that is gone, or a route that leads nowhere any more, keeps nobody from
/// the rest.
pub(super) async fn regain(links: &Handle, wanted: &[Footing]) -> Result<()> {
    let there = links.links().await.map_err(from_netlink)?;
    let is_there = |name: &str| there.iter().any(|link| link.name == name);
    let wanted: Vec<&Footing> = wanted.iter().filter(|link| is_there(&link.name)).collect();
    let (now, addresses) = (names(&wanted), links.addresses().await.map_err(from_netlink)?);
    let has = of(links, &now).await?;
    let fits = |name: &str, net: &ipnet::IpNet| {
        let index = there.iter().find(|link| link.name == name).map(|link| link.index);
        addresses.iter().any(|address| Some(address.link) == index && address.net == *net)
    };
    for link in &wanted {
        if link.up {
            said(&link.name, links.set_up(&link.name).await);
        }
        for net in link.addresses.iter().filter(|net| !fits(&link.name, net)) {
            said(&link.name, links.ensure_address(&link.name, *net).await);
        }
    }
    let had = |link: &Footing, way: &Way| has.iter().any(|now| now.name == link.name && now.routes.contains(way));
    let mut ways: Vec<(&Footing, &Way)> = wanted.iter().flat_map(|link| link.routes.iter().map(|way| (*link, way))).collect();
    ways.retain(|(link, way)| !had(link, way));
    // A router has to be reached before there is a route through it.
    ways.sort_by_key(|(_, way)| (way.gateway.is_some(), std::cmp::Reverse(way.destination.prefix_len())));
    for (link, way) in ways {
        let Ok(name) = link.name.parse() else { continue };
        let route = StaticRoute {
            gateway: way.gateway,
            table: Some(way.table),
            metric: Some(way.metric),
            source: way.source,
            protocol: Some(way.protocol),
            on_link: way.on_link,
            ..StaticRoute::new(way.destination, name)
        };
        said(&link.name, links.ensure_route(&route).await);
    }
    for link in wanted.iter().filter(|link| !link.up) {
        said(&link.name, links.set_down(&link.name).await);
    }
    Ok(())
}

fn names(links: &[&Footing]) -> BTreeSet<String> {
    links.iter().map(|link| link.name.clone()).collect()
}

fn said<T>(interface: &str, done: lxhost_netlink::Result<T>) {
    if let Err(error) = done {
        tracing::warn!(interface, "it is not as it was before the change of a network: {error}");
    }
}
