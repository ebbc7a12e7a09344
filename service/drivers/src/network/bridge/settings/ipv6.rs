//! Keys of a bridge that begin with `ipv6.`. Pure.

use super::{Nat, Wanted, bad, expiry, has_outside, list, nat, switch};
use ipnet::Ipv6Net;
use lxhost_model::Result;
use lxhost_model::config::Config;
use lxhost_model::name::quoted;
use std::net::Ipv6Addr;

/// IPv6 on a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ipv6 {
    /// The bridge's own address and the subnet.
    pub(crate) address: Ipv6Net,
    /// Whether what leaves the subnet gets another source.
    pub(crate) nat: bool,
    /// How.
    pub(crate) how: Nat<Ipv6Addr>,
    /// Whether DHCPv6 answers (options only, unless `stateful`).
    pub(crate) dhcp: bool,
    /// Whether DHCPv6 gives out addresses, instead of SLAAC.
    pub(crate) stateful: bool,
    /// First and last of the addresses given out.
    pub(crate) ranges: Vec<(Ipv6Addr, Ipv6Addr)>,
    /// How long an address is given for, as dnsmasq has it.
    pub(crate) expiry: String,
    /// Further subnets that are reached through guests.
    pub(crate) routes: Vec<Ipv6Net>,
    /// Whether packets pass between the bridge and other interfaces.
    pub(crate) routing: bool,
    /// Whether filter rules are made.
    pub(crate) firewall: bool,
}

/// What `ipv6.address` asks for.
pub(in super::super) fn wanted_ipv6(config: &Config) -> Result<Wanted<Ipv6Net>> {
    const KEY: &str = "ipv6.address";
    let net: Ipv6Net = match config.get(KEY).map(String::as_str) {
        None if has_outside(config) => return Ok(Wanted::None),
        None | Some("auto") => return Ok(Wanted::Auto),
        Some("none") => return Ok(Wanted::None),
        Some(text) => {
            text.parse().map_err(|_| bad(KEY, "expected auto, none, or an address with a prefix such as fd42::1/64"))?
        }
    };
    let address = net.addr();
    if !(64..=120).contains(&net.prefix_len()) {
        return Err(bad(KEY, "the prefix length has to be from 64 to 120"));
    }
    if address == net.network() {
        return Err(bad(KEY, format!("{address} is not the address of a host in {}", net.trunc())));
    }
    if address.is_loopback() || address.is_multicast() || address.is_unicast_link_local() || address.to_ipv4_mapped().is_some() {
        return Err(bad(KEY, format!("{address} cannot be used on a bridge")));
    }
    Ok(Wanted::Given(net))
}

pub(super) fn read(config: &Config) -> Result<Option<Ipv6>> {
    let (dhcp, stateful) = (switch(config, "ipv6.dhcp", true)?, switch(config, "ipv6.dhcp.stateful", false)?);
    let stateful = dhcp && stateful;
    let address = match wanted_ipv6(config)? {
        Wanted::Given(net) => net,
        Wanted::None => {
            let lost = ["ipv6.dhcp.ranges", "ipv6.routes", "ipv6.nat.address"];
            return match lost.into_iter().find(|key| config.contains_key(*key)) {
                Some(key) => Err(bad(key, "the network has no IPv6 (ipv6.address=none)")),
                None => Ok(None),
            };
        }
        Wanted::Auto => return Err(bad("ipv6.address", "it is not chosen yet")),
    };
    if address.prefix_len() != 64 && !stateful {
        return Err(bad(
            "ipv6.address",
            "guests choose their own address in a /64 only; other lengths need ipv6.dhcp.stateful=true",
        ));
    }
    Ok(Some(Ipv6 {
        address,
        nat: switch(config, "ipv6.nat", false)?,
        how: nat(config, "ipv6.nat.address", "ipv6.nat.order", |a: &Ipv6Addr| {
            !a.is_loopback() && !a.is_multicast() && !a.is_unicast_link_local()
        })?,
        dhcp,
        stateful,
        ranges: ranges(config, address, stateful)?,
        expiry: expiry(config, "ipv6.dhcp.expiry")?,
        routes: list(config, "ipv6.routes", |text| text.parse().ok().map(|net: Ipv6Net| net.trunc()))?,
        routing: switch(config, "ipv6.routing", true)?,
        firewall: switch(config, "ipv6.firewall", true)?,
    }))
}

fn ranges(config: &Config, net: Ipv6Net, stateful: bool) -> Result<Vec<(Ipv6Addr, Ipv6Addr)>> {
    const KEY: &str = "ipv6.dhcp.ranges";
    let Some(text) = config.get(KEY) else {
        return Ok(vec![(Ipv6Addr::from(u128::from(net.network()) + 2), net.broadcast())]);
    };
    if !stateful {
        return Err(bad(KEY, "guests choose their own addresses unless ipv6.dhcp.stateful=true"));
    }
    super::ranges(KEY, text, |text| {
        let address: Ipv6Addr = text.parse().map_err(|_| bad(KEY, format!("{} is not an address", quoted(text))))?;
        let inside = net.contains(&address) && address != net.network();
        if inside { Ok(address) } else { Err(bad(KEY, format!("{address} is not a host in {}", net.trunc()))) }
    })
}
