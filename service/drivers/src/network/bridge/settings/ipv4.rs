//! Keys of a bridge that begin with `ipv4.`. Pure.

use super::{Nat, Wanted, bad, expiry, has_outside, list, nat, switch};
use ipnet::Ipv4Net;
use lxhost_model::Result;
use lxhost_model::config::Config;
use lxhost_model::name::quoted;
use std::net::Ipv4Addr;

/// IPv4 on a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ipv4 {
    /// The bridge's own address and the subnet.
    pub(crate) address: Ipv4Net,
    /// Whether what leaves the subnet gets another source.
    pub(crate) nat: bool,
    /// How.
    pub(crate) how: Nat<Ipv4Addr>,
    /// Whether addresses are given out.
    pub(crate) dhcp: bool,
    /// First and last of the addresses given out.
    pub(crate) ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// How long an address is given for, as dnsmasq has it.
    pub(crate) expiry: String,
    /// Router that guests are told; `None`: none.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Routes that guests are told, each with its router.
    pub(crate) told: Vec<(Ipv4Net, Ipv4Addr)>,
    /// Further subnets that are reached through guests.
    pub(crate) routes: Vec<Ipv4Net>,
    /// Whether packets pass between the bridge and other interfaces.
    pub(crate) routing: bool,
    /// Whether filter rules are made.
    pub(crate) firewall: bool,
}

/// What `ipv4.address` asks for.
pub(in super::super) fn wanted_ipv4(config: &Config) -> Result<Wanted<Ipv4Net>> {
    const KEY: &str = "ipv4.address";
    let net: Ipv4Net = match config.get(KEY).map(String::as_str) {
        None if has_outside(config) => return Ok(Wanted::None),
        None | Some("auto") => return Ok(Wanted::Auto),
        Some("none") => return Ok(Wanted::None),
        Some(text) => {
            text.parse().map_err(|_| bad(KEY, "expected auto, none, or an address with a prefix such as 10.1.2.1/24"))?
        }
    };
    if !(8..=30).contains(&net.prefix_len()) {
        return Err(bad(KEY, "the prefix length has to be from 8 to 30"));
    }
    let address = net.addr();
    if address == net.network() || address == net.broadcast() {
        return Err(bad(KEY, format!("{address} is not the address of a host in {}", net.trunc())));
    }
    if address.is_loopback() || address.is_multicast() || address.octets()[0] >= 224 || address.octets()[0] == 0 {
        return Err(bad(KEY, format!("{address} cannot be used on a bridge")));
    }
    Ok(Wanted::Given(net))
}

pub(super) fn read(config: &Config) -> Result<Option<Ipv4>> {
    let address = match wanted_ipv4(config)? {
        Wanted::Given(net) => net,
        Wanted::None => {
            let lost = ["ipv4.dhcp.ranges", "ipv4.dhcp.gateway", "ipv4.dhcp.routes", "ipv4.routes", "ipv4.nat.address"];
            return match lost.into_iter().find(|key| config.contains_key(*key)) {
                Some(key) => Err(bad(key, "the network has no IPv4 (ipv4.address=none)")),
                None => Ok(None),
            };
        }
        Wanted::Auto => return Err(bad("ipv4.address", "it is not chosen yet")),
    };
    let routing = switch(config, "ipv4.routing", true)?;
    Ok(Some(Ipv4 {
        address,
        nat: switch(config, "ipv4.nat", false)?,
        how: nat(config, "ipv4.nat.address", "ipv4.nat.order", |a: &Ipv4Addr| !a.is_loopback() && !a.is_multicast())?,
        dhcp: switch(config, "ipv4.dhcp", true)?,
        ranges: match config.get("ipv4.dhcp.ranges") {
            Some(text) => ranges(text, address)?,
            None => vec![whole(address)],
        },
        expiry: expiry(config, "ipv4.dhcp.expiry")?,
        gateway: gateway(config, address, routing)?,
        told: told(config, address)?,
        routes: list(config, "ipv4.routes", |text| text.parse().ok().map(|net: Ipv4Net| net.trunc()))?,
        routing,
        firewall: switch(config, "ipv4.firewall", true)?,
    }))
}

/// Router that guests are told: the bridge, where it routes.
fn gateway(config: &Config, net: Ipv4Net, routing: bool) -> Result<Option<Ipv4Addr>> {
    const KEY: &str = "ipv4.dhcp.gateway";
    match config.get(KEY).map(String::as_str) {
        None => Ok(routing.then_some(net.addr())),
        Some("none") => Ok(None),
        Some(text) => match text.parse().ok().filter(|address| is_host(net, *address)) {
            Some(address) => Ok(Some(address)),
            None => Err(bad(KEY, format!("expected none or an address of a host in {}", net.trunc()))),
        },
    }
}

/// Routes in dnsmasq's form: a subnet, its router, the next subnet…
fn told(config: &Config, net: Ipv4Net) -> Result<Vec<(Ipv4Net, Ipv4Addr)>> {
    const KEY: &str = "ipv4.dhcp.routes";
    let words: Vec<&str> = match config.get(KEY) {
        Some(text) => text.split(',').map(str::trim).collect(),
        None => return Ok(vec![]),
    };
    let pair = |pair: &[&str]| match pair {
        [to, by] => {
            let to: Ipv4Net = to.parse().ok()?;
            Some((to.trunc(), by.parse().ok().filter(|by| is_host(net, *by))?))
        }
        _ => None,
    };
    let routes: Option<Vec<_>> = words.chunks(2).map(pair).collect();
    let expected = || bad(KEY, format!("expected SUBNET,ROUTER,…, with routers in {}", net.trunc()));
    // DHCP's options have 255 bytes.
    routes.filter(|routes| routes.len() <= 24).ok_or_else(expected)
}

fn is_host(net: Ipv4Net, address: Ipv4Addr) -> bool {
    net.contains(&address) && address != net.network() && address != net.broadcast()
}

/// All hosts of the subnet; dnsmasq leaves out its own address.
fn whole(net: Ipv4Net) -> (Ipv4Addr, Ipv4Addr) {
    let (first, last) = (u32::from(net.network()) + 1, u32::from(net.broadcast()) - 1);
    let own = u32::from(net.addr());
    let first = if own == first { first + 1 } else { first };
    (Ipv4Addr::from(first.min(last)), Ipv4Addr::from(last))
}

fn ranges(text: &str, net: Ipv4Net) -> Result<Vec<(Ipv4Addr, Ipv4Addr)>> {
    const KEY: &str = "ipv4.dhcp.ranges";
    super::ranges(KEY, text, |text| {
        let address: Ipv4Addr = text.parse().map_err(|_| bad(KEY, format!("{} is not an address", quoted(text))))?;
        let inside = is_host(net, address);
        if inside { Ok(address) } else { Err(bad(KEY, format!("{address} is not a host in {}", net.trunc()))) }
    })
}
