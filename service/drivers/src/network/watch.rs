//! What happens to the host's links and routes behind the networks' back, as far as it concerns them. Fed by
//! `lxhost-netlink`'s watch; told to the engine through the registry.

use lxhost_engine::ports::NetworkChange;
use lxhost_netlink::{Change, Handle, Route, Watch};
use std::collections::HashMap;
use std::time::Duration;

/// When a watch that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// The kernel's table of its own addresses, which says nothing that links and addresses do not.
const LOCAL: u32 = 255;

/// An open watch, and the names of the links it has seen: a renamed link says its new name only.
#[derive(Default)]
pub(super) struct Seen {
    watch: Option<Watch>,
    names: HashMap<u32, String>,
}

impl Seen {
    /// The next change that may concern a network.
    pub(super) async fn next(&mut self, links: &Handle) -> NetworkChange {
        loop {
            let Some(watch) = &mut self.watch else {
                match Watch::open() {
                    Ok(watch) => self.watch = Some(watch),
                    Err(error) => {
                        tracing::warn!(%error, "changes of links and routes are not seen");
                        tokio::time::sleep(AGAIN).await;
                        continue;
                    }
                }
                let all = links.links().await.unwrap_or_default();
                self.names = all.into_iter().map(|link| (link.index, link.name)).collect();
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
            Change::AddressGone(address) if !address.link_local => {
                self.names.get(&address.link).cloned().map(NetworkChange::Link)
            }
            Change::Address(_) | Change::AddressGone(_) => None,
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
    fn routes_that_every_link_has_concern_nobody() {
        let route =
            |net: &str, table| Route { destination: net.parse().unwrap(), link: Some(3), gateway: None, table, metric: 0 };
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
