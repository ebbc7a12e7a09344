//! Routes: what parts of the address space this host uses already, and those that are made here.

use crate::error::errno;
use crate::{Done, Error, Handle, LinkName, Result};
use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteScope};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A route of any table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it leads; prefix length 0 for a default route.
    pub destination: IpNet,
    /// Index of the link packets leave by, if it is one.
    pub link: Option<u32>,
    /// Router that they go to first.
    pub gateway: Option<IpAddr>,
    /// Routing table; 254 is the main one.
    pub table: u32,
    /// Of several routes to one destination the one with the lowest is taken.
    pub metric: u32,
    /// Address that this host's own packets have.
    pub source: Option<IpAddr>,
    /// Who made it, `RTPROT_*`: 2 is the kernel, 4 an administrator.
    pub protocol: u8,
    /// Whether the router is taken to be on the link, though no address says so.
    pub on_link: bool,
}

/// A route as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticRoute {
    /// Where it leads; prefix length 0 for a default route.
    pub destination: IpNet,
    /// Link that packets leave by.
    pub link: LinkName,
    /// Router that they go to first; `None`: the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Routing table; `None`: the main one.
    pub table: Option<u32>,
    /// Metric; `None`: the kernel's default (0 for IPv4, 1024 for IPv6).
    pub metric: Option<u32>,
    /// Address that this host's own packets have; `None`: the kernel chooses.
    pub source: Option<IpAddr>,
    /// Who makes it, `RTPROT_*`; `None`: an administrator.
    pub protocol: Option<u8>,
    /// Whether the router is taken to be on the link, though no address says so.
    pub on_link: bool,
}

impl StaticRoute {
    /// A route to what is on the link, in the main table.
    pub fn new(destination: IpNet, link: LinkName) -> Self {
        StaticRoute { destination, link, gateway: None, table: None, metric: None, source: None, protocol: None, on_link: false }
    }

    fn table(&self) -> u32 {
        self.table.unwrap_or(MAIN)
    }

    fn metric(&self) -> u32 {
        self.metric.unwrap_or(if self.destination.addr().is_ipv6() { 1024 } else { 0 })
    }

    fn message(&self, link: u32) -> Result<RouteMessage> {
        let malformed = || Error::Answer {
            what: format!("route to {}", self.destination),
            why: "its addresses are of two families".to_owned(),
        };
        let net = self.destination.trunc();
        let mut message = RouteMessageBuilder::<IpAddr>::new()
            .output_interface(link)
            .table_id(self.table())
            .destination_prefix(net.addr(), net.prefix_len())
            .map_err(|_| malformed())?;
        message = match self.gateway {
            Some(gateway) => message.gateway(gateway).map_err(|_| malformed())?,
            None => message.scope(RouteScope::Link),
        };
        if self.metric() > 0 {
            message = message.priority(self.metric());
        }
        if let Some(source) = self.source {
            message = message.pref_source(source).map_err(|_| malformed())?;
        }
        if let Some(protocol) = self.protocol {
            message = message.protocol(protocol.into());
        }
        Ok(if self.on_link { message.onlink() } else { message }.build())
    }

    /// Whether `route`, by the link of that index, is this one.
    fn is(&self, route: &Route, link: u32) -> bool {
        let way = (route.destination, route.link, route.gateway, route.table, route.metric);
        way == (self.destination.trunc(), Some(link), self.gateway, self.table(), self.metric())
            && self.source.is_none_or(|source| route.source == Some(source))
    }
}

/// The main routing table.
const MAIN: u32 = RouteHeader::RT_TABLE_MAIN as u32;

impl Route {
    pub(crate) fn read(message: &RouteMessage) -> Option<Self> {
        let mut address = match message.header.address_family {
            AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => return None,
        };
        let (mut link, mut gateway, mut source) = (None, None, None);
        let (mut table, mut metric) = (u32::from(message.header.table), 0);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(v4)) => address = IpAddr::V4(*v4),
                RouteAttribute::Destination(RouteAddress::Inet6(v6)) => address = IpAddr::V6(*v6),
                RouteAttribute::Oif(index) => link = Some(*index),
                RouteAttribute::Gateway(RouteAddress::Inet(v4)) => gateway = Some(IpAddr::V4(*v4)),
                RouteAttribute::Gateway(RouteAddress::Inet6(v6)) => gateway = Some(IpAddr::V6(*v6)),
                RouteAttribute::PrefSource(RouteAddress::Inet(v4)) => source = Some(IpAddr::V4(*v4)),
                RouteAttribute::PrefSource(RouteAddress::Inet6(v6)) => source = Some(IpAddr::V6(*v6)),
                RouteAttribute::Table(number) => table = *number,
                RouteAttribute::Priority(number) => metric = *number,
                _ => {}
            }
        }
        let destination = IpNet::new(address, message.header.destination_prefix_length).ok()?;
        let (protocol, on_link) = (message.header.protocol.into(), message.header.flags.contains(RouteFlags::Onlink));
        Some(Route { destination, link, gateway, table, metric, source, protocol, on_link })
    }
}

impl Handle {
    /// All routes of this namespace, IPv4 and IPv6, of all tables.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::Handle;
    /// let routes = Handle::open()?.routes().await?;
    /// // Of several ways out the one with the lowest metric is taken.
    /// let outside = routes.iter().filter(|route| route.destination.prefix_len() == 0).min_by_key(|route| route.metric);
    /// println!("the way out is by {:?}", outside.and_then(|route| route.gateway));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Kernel`.
    pub async fn routes(&self) -> Result<Vec<Route>> {
        let _alone = self.alone().await;
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

    /// Makes the route, or replaces the one to the same destination with the same table and metric.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use lxhost_netlink::{Handle, StaticRoute};
    /// let handle = Handle::open()?;
    /// let lab = "10.9.0.0/16".parse()?;
    /// let by_guest = StaticRoute { gateway: "10.1.2.7".parse().ok(), ..StaticRoute::new(lab, "br0".parse()?) };
    /// let _ = handle.ensure_route(&by_guest).await?;
    /// let _ = handle.remove_route(&by_guest).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NoSuchLink`; `Kernel`, as when the link is down or the gateway cannot be reached.
    pub async fn ensure_route(&self, route: &StaticRoute) -> Result<Done> {
        let link = self.existing(route.link.as_str()).await?;
        if self.routes().await?.iter().any(|there| route.is(there, link.index)) {
            return Ok(Done::Already);
        }
        let request = self.requests()?.route().add(route.message(link.index)?).replace().execute();
        request.await.map_err(|e| Error::from_request(format!("make a route to {} by {}", route.destination, route.link), e))?;
        Ok(Done::Changed)
    }

    /// Removes the route.
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel`.
    pub async fn remove_route(&self, route: &StaticRoute) -> Result<Done> {
        let link = self.existing(route.link.as_str()).await?;
        let what = format!("remove the route to {} by {}", route.destination, route.link);
        match self.requests()?.route().del(route.message(link.index)?).execute().await {
            Ok(()) => Ok(Done::Changed),
            Err(error) => match Error::from_request(what, error) {
                error if error.errno() == Some(errno::NO_PROCESS) => Ok(Done::Already),
                error => Err(error),
            },
        }
    }
}
