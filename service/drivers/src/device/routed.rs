//! `routed`: a pair over which the host routes the guest's addresses, and for which it answers on its own link (proxy
//! ARP and neighbour discovery). The guest's addresses and default route are given inside.

use super::{from_netlink, host_end, parent};
use crate::network::Made;
use crate::network::sysctl::Sysctl;
use async_trait::async_trait;
use ipnet::IpNet;
use lxhost_engine::ports::{HostEnd, Inside, NicDriver, NicKind, NicPlan, NicSpec};
use lxhost_model::device::nic::{Family, Gateway};
use lxhost_model::{Error, Kind, Result};
use lxhost_netlink::Handle;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the host's end has where nothing else is said; LXD's.
const HOST_IPV4: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
const HOST_IPV6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// The main routing table.
const MAIN: u32 = 254;

/// Interfaces that the host routes.
pub(super) struct Routed {
    links: Handle,
    made: Made,
    sysctl: Sysctl,
}

impl Routed {
    pub(super) fn new(links: Handle, made: Made) -> Self {
        Routed { links, made, sysctl: Sysctl::new() }
    }

    /// Answers for the guest on the parent.
    async fn answer(&self, parent: &str, plan: &NicPlan) -> Result<()> {
        for address in addresses(plan) {
            if address.is_ipv6() {
                self.sysctl.answer_neighbours(parent)?;
            }
            let _ = self.links.ensure_proxy(parent, address).await.map_err(from_netlink)?;
        }
        Ok(())
    }
}

fn addresses(plan: &NicPlan) -> impl Iterator<Item = IpAddr> {
    plan.nic.ipv4.addresses.iter().chain(&plan.nic.ipv6.addresses).map(IpNet::addr)
}

#[async_trait]
impl NicDriver for Routed {
    async fn attach(&self, plan: &NicPlan) -> Result<NicSpec> {
        let (end, inside) = ends(plan)?;
        let parent = match plan.nic.parent {
            Some(_) => Some(parent::used(&self.links, &self.made, plan).await?),
            None => None,
        };
        if !plan.nic.ipv4.addresses.is_empty() {
            self.sysctl.forward_ipv4()?;
        }
        if !plan.nic.ipv6.addresses.is_empty() {
            self.sysctl.forward_ipv6()?;
        }
        if let Some(parent) = parent {
            self.answer(&parent, plan).await?;
        }
        Ok(NicSpec { inside, ..NicSpec::new(plan, NicKind::Pair(end)) })
    }

    async fn detach(&self, plan: &NicPlan) -> Result<()> {
        let Some(parent) = &plan.nic.parent else { return Ok(()) };
        let name = match plan.nic.vlans.untagged {
            lxhost_model::device::nic::Untagged::Is(number) => format!("{parent}.{number}"),
            _ => parent.clone(),
        };
        for address in addresses(plan) {
            match self.links.forget_neighbour(&name, address).await {
                Ok(_) | Err(lxhost_netlink::Error::NoSuchLink(_)) => {}
                Err(error) => return Err(from_netlink(error)),
            }
        }
        parent::release(&self.made, plan).await
    }
}

/// What the host's end has, and what the guest's.
fn ends(plan: &NicPlan) -> Result<(HostEnd, Inside)> {
    let (mut end, mut inside) = (host_end(plan), Inside::default());
    for (family, usual) in [(&plan.nic.ipv4, IpAddr::V4(HOST_IPV4)), (&plan.nic.ipv6, IpAddr::V6(HOST_IPV6))] {
        if family.addresses.is_empty() {
            continue;
        }
        if let Some(net) = family.addresses.iter().find(|net| net.prefix_len() < net.max_prefix_len()) {
            return Err(Error::new(Kind::InvalidConfig, format!("{net}: addresses of a routed nic have no prefix")));
        }
        let host = family.host_address.unwrap_or(usual);
        end.addresses.push(host.into());
        end.routes.extend(routes(family));
        inside.addresses.extend(&family.addresses);
        match family.gateway {
            Gateway::Auto => inside.gateways.push(host),
            Gateway::Is(gateway) => inside.gateways.push(gateway),
            Gateway::None => {}
        }
    }
    Ok((end, inside))
}

/// A route to each address, in the main table and those that are named beside it.
fn routes(family: &Family) -> Vec<(IpNet, Option<u32>)> {
    let others = family.host_tables.iter().filter(|table| **table != MAIN).map(|table| Some(*table));
    let tables: Vec<Option<u32>> = std::iter::once(None).chain(others).collect();
    family.addresses.iter().flat_map(|net| tables.iter().map(move |table| (*net, *table))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::plan_of;
    use super::*;

    #[test]
    fn the_host_routes_each_address_and_the_guest_everything_to_the_host() {
        let plan = plan_of(&[
            ("nictype", "routed"),
            ("parent", "eth0"),
            ("ipv4.address", "192.0.2.5,192.0.2.6"),
            ("ipv4.host_tables", "254,100"),
            ("ipv6.address", "2001:db8::5"),
            ("ipv6.gateway", "none"),
            ("ipv4.routes", "198.51.100.0/24"),
        ]);
        let (end, inside) = ends(&plan).unwrap();
        let routes: Vec<String> = end.routes.iter().map(|(net, table)| format!("{net}@{}", table.unwrap_or(MAIN))).collect();
        assert_eq!(
            routes,
            [
                "198.51.100.0/24@254",
                "192.0.2.5/32@254",
                "192.0.2.5/32@100",
                "192.0.2.6/32@254",
                "192.0.2.6/32@100",
                "2001:db8::5/128@254"
            ]
        );
        assert_eq!(end.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["169.254.0.1/32", "fe80::1/128"]);
        assert_eq!(inside.gateways, [IpAddr::V4(HOST_IPV4)]);
    }

    #[test]
    fn an_address_with_a_prefix_is_refused() {
        let plan = plan_of(&[("nictype", "routed"), ("parent", "eth0"), ("ipv4.address", "192.0.2.5/24")]);
        assert_eq!(ends(&plan).unwrap_err().kind, Kind::InvalidConfig);
    }
}
