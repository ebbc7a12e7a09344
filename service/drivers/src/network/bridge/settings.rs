//! Keys of a bridge: their names, what a value may be, and the typed settings they make together.
//! Pure; everything that ends up in a file of dnsmasq or nft comes from these types.

use ipnet::{Ipv4Net, Ipv6Net};
use lxhost_model::config::{Config, check_text, nearest, parse_bool};
use lxhost_model::name::quoted;
use lxhost_model::{Error, Kind, Network, Result};
use lxhost_netlink::{LinkName, Mac};
use std::net::Ipv4Addr;

/// Keys there are beside `user.*`.
pub(super) const KEYS: &[&str] = &[
    "bridge.mtu",
    "dns.domain",
    "dns.mode",
    "ipv4.address",
    "ipv4.dhcp",
    "ipv4.dhcp.ranges",
    "ipv4.firewall",
    "ipv4.nat",
    "ipv6.address",
    "ipv6.dhcp",
    "ipv6.dhcp.stateful",
    "ipv6.firewall",
    "ipv6.nat",
    "mtu",
];

/// Domain of a network that names none.
const DOMAIN: &str = "lxhost";
/// Most ranges one network may have.
const MAX_RANGES: usize = 64;

/// A managed bridge as its record describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Interface on the host.
    pub(crate) interface: LinkName,
    /// Its hardware address, made of the network's id: the bridge is ours when it has it.
    pub(crate) mac: Mac,
    /// Largest packet, if chosen.
    pub(crate) mtu: Option<u32>,
    /// IPv4, if the network has it.
    pub(crate) ipv4: Option<Ipv4>,
    /// IPv6, if the network has it.
    pub(crate) ipv6: Option<Ipv6>,
    /// Domain its names are in.
    pub(crate) domain: String,
    /// Which names it answers.
    pub(crate) names: Names,
}

/// IPv4 on a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ipv4 {
    /// The bridge's own address and the subnet.
    pub(crate) address: Ipv4Net,
    /// Whether what leaves the subnet is masqueraded.
    pub(crate) nat: bool,
    /// Whether addresses are given out.
    pub(crate) dhcp: bool,
    /// First and last of the addresses given out.
    pub(crate) ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Whether filter rules are made.
    pub(crate) firewall: bool,
}

/// IPv6 on a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ipv6 {
    /// The bridge's own address and the subnet.
    pub(crate) address: Ipv6Net,
    /// Whether what leaves the subnet is masqueraded.
    pub(crate) nat: bool,
    /// Whether DHCPv6 answers (options only, unless `stateful`).
    pub(crate) dhcp: bool,
    /// Whether DHCPv6 gives out addresses, instead of SLAAC.
    pub(crate) stateful: bool,
    /// Whether filter rules are made.
    pub(crate) firewall: bool,
}

/// Which names of instances DNS answers (`dns.mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Those the daemon knows.
    Managed,
    /// Those the guests say they have.
    Dynamic,
    /// None.
    None,
}

/// An address as a key gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<N> {
    /// The host shall choose.
    Auto,
    /// The network has none of this family.
    None,
    /// This one.
    Given(N),
}

fn bad(key: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::InvalidConfig, format!("network key {}: {why}", quoted(key)))
}

impl Settings {
    /// The settings of a record, in which every address is chosen.
    ///
    /// # Errors
    /// `InvalidConfig`, naming the key; `InvalidName` for a network whose interface cannot be made.
    pub(crate) fn read(network: &Network) -> Result<Self> {
        let config = &network.config;
        check_keys(config)?;
        let (interface, mac) = identity(network)?;
        let mtu = mtu(config)?;
        let settings = Settings {
            interface,
            mac,
            mtu,
            ipv4: ipv4(config)?,
            ipv6: ipv6(config)?,
            domain: domain(config)?,
            names: match config.get("dns.mode").map_or("managed", String::as_str) {
                "managed" => Names::Managed,
                "dynamic" => Names::Dynamic,
                "none" => Names::None,
                _ => return Err(bad("dns.mode", "expected one of managed, dynamic, none")),
            },
        };
        if settings.ipv6.is_some() && mtu.is_some_and(|mtu| mtu < 1280) {
            return Err(bad("bridge.mtu", "IPv6 needs at least 1280; or set ipv6.address=none"));
        }
        Ok(settings)
    }

    /// Whether the bridge needs a dnsmasq.
    pub(crate) fn serves(&self) -> bool {
        self.ipv4.is_some() || self.ipv6.is_some()
    }
}

/// What tells the network's link from others: its name and hardware address, whatever the keys say.
///
/// # Errors
/// `InvalidName`.
pub(super) fn identity(network: &Network) -> Result<(LinkName, Mac)> {
    Ok((interface(network)?, mac(network)?))
}

fn interface(network: &Network) -> Result<LinkName> {
    let name = network.interface();
    // Directories below /proc/sys/net/*/conf that are no interfaces.
    if matches!(name.as_str(), "all" | "default") {
        return Err(Error::new(Kind::InvalidName, format!("a network cannot be called {name}")));
    }
    name.parse().map_err(|e: lxhost_netlink::Error| Error::new(Kind::InvalidName, format!("network {}: {e}", network.name)))
}

/// Locally administered, and as lasting as the record.
fn mac(network: &Network) -> Result<Mac> {
    let id = network.id.bytes();
    let bytes = [(id[0] & 0xfc) | 0x02, id[1], id[2], id[3], id[4], id[5]];
    Mac::new(bytes).map_err(|e| Error::failed(e.to_string()))
}

/// Checks that every key is known and every value is text.
///
/// # Errors
/// `InvalidConfig`, with the nearest known key.
pub(super) fn check_keys(config: &Config) -> Result<()> {
    for (key, value) in config {
        check_text(key, value)?;
        let open = key.strip_prefix("user.").is_some_and(|rest| {
            !rest.is_empty()
                && rest.len() <= 255
                && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        });
        if !open && !KEYS.contains(&key.as_str()) {
            let near = nearest(key, KEYS.iter().copied()).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
            return Err(bad(key, format!("unknown key of a bridge{near}")));
        }
    }
    Ok(())
}

fn switch(config: &Config, key: &str, default: bool) -> Result<bool> {
    config.get(key).map_or(Ok(default), |value| parse_bool(value).ok_or_else(|| bad(key, "expected true or false")))
}

fn mtu(config: &Config) -> Result<Option<u32>> {
    let read = |key: &str| -> Result<Option<u32>> {
        let Some(value) = config.get(key) else { return Ok(None) };
        let mtu = value.parse().ok().filter(|mtu| (68..=65535).contains(mtu));
        mtu.map(Some).ok_or_else(|| bad(key, "expected a number of bytes from 68 to 65535"))
    };
    match (read("bridge.mtu")?, read("mtu")?) {
        (Some(a), Some(b)) if a != b => Err(bad("mtu", "it contradicts bridge.mtu")),
        (a, b) => Ok(a.or(b)),
    }
}

/// A domain of labels of letters, digits and dashes.
fn domain(config: &Config) -> Result<String> {
    let domain = config.get("dns.domain").map_or(DOMAIN, String::as_str);
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    if domain.len() <= 190 && domain.split('.').all(label) {
        Ok(domain.to_ascii_lowercase())
    } else {
        Err(bad("dns.domain", "expected labels of letters, digits and dashes, separated by dots"))
    }
}

/// What `ipv4.address` asks for.
pub(super) fn wanted_ipv4(config: &Config) -> Result<Wanted<Ipv4Net>> {
    const KEY: &str = "ipv4.address";
    let net: Ipv4Net = match config.get(KEY).map_or("auto", String::as_str) {
        "auto" => return Ok(Wanted::Auto),
        "none" => return Ok(Wanted::None),
        text => text.parse().map_err(|_| bad(KEY, "expected auto, none, or an address with a prefix such as 10.1.2.1/24"))?,
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

/// What `ipv6.address` asks for.
pub(super) fn wanted_ipv6(config: &Config) -> Result<Wanted<Ipv6Net>> {
    const KEY: &str = "ipv6.address";
    let net: Ipv6Net = match config.get(KEY).map_or("auto", String::as_str) {
        "auto" => return Ok(Wanted::Auto),
        "none" => return Ok(Wanted::None),
        text => text.parse().map_err(|_| bad(KEY, "expected auto, none, or an address with a prefix such as fd42::1/64"))?,
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

fn ipv4(config: &Config) -> Result<Option<Ipv4>> {
    let (nat, dhcp) = (switch(config, "ipv4.nat", false)?, switch(config, "ipv4.dhcp", true)?);
    let firewall = switch(config, "ipv4.firewall", true)?;
    let address = match wanted_ipv4(config)? {
        Wanted::Given(net) => net,
        Wanted::None if config.contains_key("ipv4.dhcp.ranges") => {
            return Err(bad("ipv4.dhcp.ranges", "the network has no IPv4 (ipv4.address=none)"));
        }
        Wanted::None => return Ok(None),
        Wanted::Auto => return Err(bad("ipv4.address", "it is not chosen yet")),
    };
    let ranges = match config.get("ipv4.dhcp.ranges") {
        Some(text) => ranges(text, address)?,
        None => vec![whole(address)],
    };
    Ok(Some(Ipv4 { address, nat, dhcp, ranges, firewall }))
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
    let mut ranges: Vec<(Ipv4Addr, Ipv4Addr)> = Vec::new();
    for part in text.split(',').map(str::trim).take(MAX_RANGES + 1) {
        let (first, last) = part.split_once('-').ok_or_else(|| bad(KEY, "expected FIRST-LAST, separated by commas"))?;
        let read = |s: &str| s.trim().parse::<Ipv4Addr>().map_err(|_| bad(KEY, format!("{} is not an address", quoted(s))));
        let (first, last) = (read(first)?, read(last)?);
        if first > last || ![first, last].iter().all(|a| net.contains(a) && *a != net.network() && *a != net.broadcast()) {
            return Err(bad(KEY, format!("{first}-{last} is not a range of hosts in {}", net.trunc())));
        }
        if ranges.iter().any(|(f, l)| first <= *l && *f <= last) {
            return Err(bad(KEY, format!("{first}-{last} overlaps another range")));
        }
        ranges.push((first, last));
    }
    if ranges.len() > MAX_RANGES { Err(bad(KEY, format!("more than {MAX_RANGES} ranges"))) } else { Ok(ranges) }
}

fn ipv6(config: &Config) -> Result<Option<Ipv6>> {
    let (nat, dhcp) = (switch(config, "ipv6.nat", false)?, switch(config, "ipv6.dhcp", true)?);
    let (stateful, firewall) = (switch(config, "ipv6.dhcp.stateful", false)?, switch(config, "ipv6.firewall", true)?);
    let address = match wanted_ipv6(config)? {
        Wanted::Given(net) => net,
        Wanted::None => return Ok(None),
        Wanted::Auto => return Err(bad("ipv6.address", "it is not chosen yet")),
    };
    if address.prefix_len() != 64 && !(dhcp && stateful) {
        return Err(bad(
            "ipv6.address",
            "guests choose their own address in a /64 only; other lengths need ipv6.dhcp.stateful=true",
        ));
    }
    Ok(Some(Ipv6 { address, nat, dhcp, stateful: dhcp && stateful, firewall }))
}

#[cfg(test)]
#[path = "settings_tests.rs"]
pub(super) mod tests;
