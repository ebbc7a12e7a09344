//! What an interface has inside a container without anybody there doing anything: addresses and default routes, for
//! kinds that no DHCP server reaches.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use lxhost_engine::ports::NicSpec;
use lxhost_model::Result;
use lxhost_netlink::StaticRoute;

use super::live::Live;
use super::nic::link_error;

/// Gives the interface what it shall have.
pub(super) async fn configure(live: &Live, nic: &NicSpec) -> Result<()> {
    let inside = &nic.inside;
    if inside.addresses.is_empty() && inside.gateways.is_empty() && !inside.default_by_link {
        return Ok(());
    }
    let guest = live.guest().await?;
    let _ = guest.ensure_addresses(&nic.name, &inside.addresses).await.map_err(link_error)?;
    let _ = guest.set_up(&nic.name).await.map_err(link_error)?;
    let link: lxhost_netlink::LinkName = nic.name.parse().map_err(link_error)?;
    let own = guest.link(&nic.name).await.map_err(link_error)?.map(|link| link.index);
    let known = guest.routes().await.map_err(link_error)?;
    // A default route by another interface is the guest's choice.
    let has_default = |ipv6: bool| {
        let is_default = |net: &IpNet| net.prefix_len() == 0 && net.addr().is_ipv6() == ipv6;
        known.iter().any(|route| route.link.is_some() && route.link != own && is_default(&route.destination))
    };
    let mut routes = Vec::new();
    for gateway in inside.gateways.iter().filter(|gateway| !has_default(gateway.is_ipv6())) {
        let near = inside.addresses.iter().any(|net| net.contains(gateway) && net.addr() != *gateway);
        if !near && !is_link_local_v6(gateway) {
            routes.push(StaticRoute::new(IpNet::from(*gateway), link.clone()));
        }
        let everywhere = everywhere(gateway.is_ipv6())?;
        routes.push(StaticRoute { gateway: Some(*gateway), ..StaticRoute::new(everywhere, link.clone()) });
    }
    if inside.default_by_link {
        for ipv6 in [false, true] {
            if inside.addresses.iter().any(|net| net.addr().is_ipv6() == ipv6) && !has_default(ipv6) {
                routes.push(StaticRoute::new(everywhere(ipv6)?, link.clone()));
            }
        }
    }
    for route in routes {
        let _ = guest.ensure_route(&route).await.map_err(link_error)?;
    }
    Ok(())
}

fn is_link_local_v6(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn everywhere(ipv6: bool) -> Result<IpNet> {
    let nowhere: IpAddr = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    IpNet::new(nowhere, 0).map_err(|error| lxhost_model::Error::failed(error.to_string()))
}
