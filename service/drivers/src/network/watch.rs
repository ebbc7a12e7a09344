//! What happens to the host's links, routes and packet filter behind the networks' back, as far as it concerns them.
//! Fed by `lxhost-netlink`'s watches; told to the engine through the registry.

use super::{chains, firewall};
use lxhost_engine::ports::NetworkChange;
use lxhost_netlink::{Change, FilterChange, FilterPart, FilterWatch, Handle, Route, Watch};
use std::collections::HashMap;
use std::time::Duration;

/// When a watch that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// The kernel's table of its own addresses, which says nothing that links and addresses do not.
const LOCAL: u32 = 255;

/// What is watched.
#[derive(Default)]
pub(super) struct Seen {
    links: Links,
    filter: Filter,
}

impl Seen {
    /// The next change that may concern a network.
    pub(super) async fn next(&mut self, handle: &Handle) -> NetworkChange {
        tokio::select! {
            change = self.links.next(handle) => change,
            () = self.filter.next() => NetworkChange::Firewall,
        }
    }
}

/// The packet filter.
#[derive(Default)]
struct Filter {
    watch: Option<FilterWatch>,
    /// A watch was there and has lost something.
    missed: bool,
    /// It has been said that there is none.
    said: bool,
}

impl Filter {
    /// Waits until somebody else has changed rules of ours.
    async fn next(&mut self) {
        loop {
            let Some(watch) = &mut self.watch else {
                match FilterWatch::open() {
                    Ok(watch) => self.watch = Some(watch),
                    Err(error) => {
                        if !std::mem::replace(&mut self.said, true) {
                            tracing::warn!(%error, "changes of the firewall are not seen");
                        }
                        tokio::time::sleep(AGAIN).await;
                        continue;
                    }
                }
                if std::mem::take(&mut self.missed) {
                    return;
                }
                continue;
            };
            match watch.next().await {
                Some(change) if !firewall::is_own(change.by) && is_ours(&change) => {
                    let program: String = change.program.chars().filter(|c| !c.is_control()).collect();
                    return tracing::info!(process = change.by, "{program} changed rules of the firewall that are ours");
                }
                Some(_) => {}
                // Some were lost, so anything may have changed.
                None => (self.watch, self.missed) = (None, true),
            }
        }
    }
}

/// Whether a change is about tables of ours, or takes our rules from a chain that Docker or ufw has for others.
fn is_ours(change: &FilterChange) -> bool {
    let theirs = |part: &FilterPart| part.chain.as_deref().is_some_and(chains::is_known);
    // A chain there that is new has none of our rules; so it is after all of them were flushed.
    let ours = |table: &str| table == firewall::TABLE || table.starts_with(crate::device::PROXY_TABLES);
    change.parts.iter().any(|part| ours(&part.table) || theirs(part))
}

/// An open watch, and the names of the links it has seen: a renamed link says its new name only.
#[derive(Default)]
struct Links {
    watch: Option<Watch>,
    names: HashMap<u32, String>,
}

impl Links {
    /// The next change that may concern a network.
    async fn next(&mut self, links: &Handle) -> NetworkChange {
        loop {
            let Some(watch) = &mut self.watch else {
                let watch = match Watch::open() {
                    Ok(watch) => watch,
                    Err(error) => {
                        tracing::warn!(%error, "changes of links and routes are not seen");
                        tokio::time::sleep(AGAIN).await;
                        continue;
                    }
                };
                let all = links.links().await.unwrap_or_default();
                self.names = all.into_iter().map(|link| (link.index, link.name)).collect();
                self.watch = Some(watch);
                continue;
            };
            let Some(change) = watch.next().await else {
                // Some were lost, so anything may have changed.
                self.watch = None;
                return NetworkChange::Routes;
            };
            if let Some(change) = self.concerns(change) {
                return change;
            }
        }
    }

    fn concerns(&mut self, change: Change) -> Option<NetworkChange> {
        match change {
            Change::LinkGone(link) => {
                self.names.remove(&link.index);
                Some(NetworkChange::Link(link.name))
            }
            Change::Link(link) => {
                let (name, up) = (link.name.clone(), link.up);
                let before = self.names.insert(link.index, link.name);
                match before {
                    Some(before) if before != name => Some(NetworkChange::Link(before)),
                    Some(_) if up => None,
                    _ => Some(NetworkChange::Link(name)),
                }
            }
            Change::AddressGone(address) => self.names.get(&address.link).cloned().map(NetworkChange::Link),
            Change::Address(_) => None,
            Change::Route(route) | Change::RouteGone(route) => leads_somewhere(&route).then_some(NetworkChange::Routes),
        }
    }
}

/// Whether a route is to a part of the address space, and not to what every link has.
fn leads_somewhere(route: &Route) -> bool {
    let address = route.destination.addr();
    let everywhere = match address {
        std::net::IpAddr::V4(v4) => v4.is_link_local() || v4.is_multicast(),
        std::net::IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_multicast(),
    };
    route.table != LOCAL && !everywhere
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_others_concern_nobody() {
        let change = |table: &str, chain: Option<&str>| {
            let part = FilterPart { table: table.into(), chain: chain.map(Into::into), gone: true };
            FilterChange { parts: [part].into(), ..FilterChange::default() }
        };
        assert!(is_ours(&change("lxhost", None)) && is_ours(&change("lxhost_proxy_0123456789", None)));
        assert!(is_ours(&change("filter", Some("DOCKER-USER"))) && is_ours(&change("filter", Some("ufw6-after-input"))));
        assert!(!is_ours(&change("filter", Some("ufw-user-input"))));
        assert!(!is_ours(&change("filter", Some("FORWARD"))) && !is_ours(&change("firewalld", None)));
    }

    #[test]
    fn routes_that_every_link_has_concern_nobody() {
        let route = |net: &str, table| Route {
            destination: net.parse().unwrap(),
            link: Some(3),
            gateway: None,
            table,
            metric: 0,
            source: None,
            protocol: 4,
            on_link: false,
        };
        for (net, table, concerns) in [
            ("10.0.0.0/8", 254, true),
            ("10.9.0.0/16", 52, true),
            ("0.0.0.0/0", 254, true),
            ("10.1.2.1/32", 255, false),
            ("fe80::/64", 254, false),
            ("ff00::/8", 255, false),
            ("169.254.0.0/16", 254, false),
        ] {
            assert_eq!(leads_somewhere(&route(net, table)), concerns, "{net}");
        }
    }
}
