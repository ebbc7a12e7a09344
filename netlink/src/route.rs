//! Routes: what parts of the address space this host uses already.

use crate::{Error, Handle, Result};
use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A route of any table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it leads; prefix length 0 for a default route.
    pub destination: IpNet,
    /// Index of the link packets leave by, if it is one.
    pub link: Option<u32>,
}

impl Route {
    fn read(message: &RouteMessage) -> Option<Self> {
        let mut address = match message.header.address_family {
            AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => return None,
        };
        let mut link = None;
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(v4)) => address = IpAddr::V4(*v4),
                RouteAttribute::Destination(RouteAddress::Inet6(v6)) => address = IpAddr::V6(*v6),
                RouteAttribute::Oif(index) => link = Some(*index),
                _ => {}
            }
        }
        let destination = IpNet::new(address, message.header.destination_prefix_length).ok()?;
        Some(Route { destination, link })
    }
}

impl Handle {
    /// All routes of this namespace, IPv4 and IPv6, of all tables.
    ///
    /// # Errors
    /// `Kernel`.
    pub async fn routes(&self) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut question = RouteMessage::default();
            question.header.address_family = family;
            let answer = self.requests()?.route().get(question).execute();
            let messages: Vec<RouteMessage> = answer.try_collect().await.map_err(|e| Error::from_request("list routes", e))?;
            routes.extend(messages.iter().filter_map(Route::read));
        }
        Ok(routes)
    }
}
