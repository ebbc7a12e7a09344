//! Keys of a bridge: what a value may be, and the typed settings they make together, a file for each
//! family of keys. Pure; everything that ends up in a file of dnsmasq or nft comes from these types.

mod acls;
mod ipv4;
mod ipv6;
mod keys;
mod names;
mod outside;

pub(crate) use acls::Carried;
pub(crate) use ipv4::Ipv4;
pub(super) use ipv4::wanted_ipv4;
pub(crate) use ipv6::Ipv6;
pub(super) use ipv6::wanted_ipv6;
pub(super) use keys::check_keys;
pub(in super::super) use keys::is_users;
pub(crate) use names::{Dns, Names};
pub(crate) use outside::External;
pub(super) use outside::externals;
use outside::has_outside;
pub(in super::super) use outside::vlan_name;

use ipnet::IpNet;
use lxhost_model::config::{Config, parse_bool};
use lxhost_model::forward::Diversion;
use lxhost_model::name::quoted;
use lxhost_model::{Error, Kind, Network, Result};
use lxhost_netlink::{LinkName, Mac, Vxlan};

/// Most items of one list.
const MAX_ITEMS: usize = 64;
/// What packets may have on a bridge with a tunnel, when no key says so: room for the headers of both families
/// on the usual 1500 (Incus' default).
const TUNNELED: u32 = 1400;

/// A managed bridge as its record describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Interface on the host.
    pub(crate) interface: LinkName,
    /// Its hardware address: chosen, or made of the network's id.
    pub(crate) mac: Mac,
    /// Largest packet, if chosen.
    pub(crate) mtu: Option<u32>,
    /// Interfaces of the host that are ports of it.
    pub(crate) externals: Vec<External>,
    /// Tunnels that are ports of it; one to a group may lack its parent.
    pub(crate) tunnels: Vec<Vxlan>,
    /// IPv4, if the network has it.
    pub(crate) ipv4: Option<Ipv4>,
    /// IPv6, if the network has it.
    pub(crate) ipv6: Option<Ipv6>,
    /// Domain its names are in.
    pub(crate) domain: String,
    /// Which names it answers.
    pub(crate) names: Names,
    /// What guests are told of DNS.
    pub(crate) dns: Dns,
    /// What may go to and from them.
    pub(crate) acls: Carried,
    /// What comes to addresses of the host and goes to instances.
    pub(crate) forwards: Vec<Diversion>,
}

/// How packets get another source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nat<A> {
    /// The source; `None`: the address of the interface they leave by.
    pub(crate) source: Option<A>,
    /// Whether other rules of the host come first.
    pub(crate) last: bool,
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

impl<N> Wanted<N> {
    /// The address, if the key gives one.
    pub(in super::super) fn given(self) -> Option<N> {
        match self {
            Wanted::Given(net) => Some(net),
            Wanted::Auto | Wanted::None => None,
        }
    }
}

pub(in super::super) fn bad(key: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::InvalidConfig, format!("network key {}: {why}", quoted(key)))
}

impl Settings {
    /// Whether other firewalls of this host are asked to let it pass.
    pub(crate) fn asks_firewalls(&self) -> bool {
        self.ipv4.as_ref().is_some_and(|v| v.firewall) || self.ipv6.as_ref().is_some_and(|v| v.firewall)
    }

    /// The settings of a record, in which every address is chosen.
    ///
    /// # Errors
    /// `InvalidConfig`, naming the key; `Unsupported`; `InvalidName` for a network whose interface cannot be made.
    pub(crate) fn read(network: &Network) -> Result<Self> {
        let config = &network.config;
        check_keys(config)?;
        if config.get("bridge.driver").is_some_and(|driver| driver != "native") {
            let why = "network key bridge.driver: there are the kernel's own bridges (native) only";
            return Err(Error::new(Kind::Unsupported, why));
        }
        let interface = interface(network)?;
        let tunnels = outside::tunnels(config, &interface)?;
        if network.kind == super::VXLAN && tunnels.is_empty() {
            return Err(bad("tunnel.id", format!("a network of type {} needs the number of its segment", super::VXLAN)));
        }
        let externals = externals(config)?;
        if network.kind == super::VLAN && externals.iter().all(|external| external.vlan.is_none()) {
            let key = if externals.is_empty() { "parent" } else { "vlan" };
            return Err(bad(key, format!("a network of type {} needs parent= and vlan=", super::VLAN)));
        }
        let settings = Settings {
            mac: chosen_mac(config)?.map_or_else(|| own_mac(network), Ok)?,
            mtu: mtu(config)?.or((!tunnels.is_empty()).then_some(TUNNELED)),
            externals,
            interface,
            tunnels,
            ipv4: ipv4::read(config)?,
            ipv6: ipv6::read(config)?,
            domain: names::domain(config)?,
            names: names::mode(config)?,
            dns: names::told(config)?,
            acls: acls::read(network)?,
            // One that an older version took and this one does not is left out.
            forwards: network.diversions().collect(),
        };
        if settings.ipv6.is_some() && settings.mtu.is_some_and(|mtu| mtu < 1280) {
            return Err(bad("bridge.mtu", "IPv6 needs at least 1280; or set ipv6.address=none"));
        }
        Ok(settings)
    }

    /// Further subnets that are reached through guests.
    pub(super) fn routes(&self) -> impl Iterator<Item = IpNet> {
        let ipv4 = self.ipv4.iter().flat_map(|v| v.routes.iter().map(|net| IpNet::V4(*net)));
        ipv4.chain(self.ipv6.iter().flat_map(|v| v.routes.iter().map(|net| IpNet::V6(*net))))
    }

    /// Whether the bridge needs a dnsmasq.
    pub(crate) fn serves(&self) -> bool {
        self.ipv4.is_some() || self.ipv6.is_some()
    }
}

/// Name of the network's interface.
///
/// # Errors
/// `InvalidName`.
pub(in super::super) fn interface(network: &Network) -> Result<LinkName> {
    let name = network.interface();
    // Directories below /proc/sys/net/*/conf that are no interfaces.
    if matches!(name.as_str(), "all" | "default") {
        return Err(Error::new(Kind::InvalidName, format!("a network cannot be called {name}")));
    }
    name.parse().map_err(|e: lxhost_netlink::Error| Error::new(Kind::InvalidName, format!("network {}: {e}", network.name)))
}

/// Locally administered, and as lasting as the record.
pub(super) fn own_mac(network: &Network) -> Result<Mac> {
    let id = network.id.bytes();
    let bytes = [(id[0] & 0xfc) | 0x02, id[1], id[2], id[3], id[4], id[5]];
    Mac::new(bytes).map_err(|e| Error::failed(e.to_string()))
}

/// The hardware address that the keys give it.
pub(super) fn chosen_mac(config: &Config) -> Result<Option<Mac>> {
    const KEY: &str = "bridge.hwaddr";
    config.get(KEY).map(|text| text.parse().map_err(|e| bad(KEY, e))).transpose()
}

fn switch(config: &Config, key: &str, default: bool) -> Result<bool> {
    config.get(key).map_or(Ok(default), |value| parse_bool(value).ok_or_else(|| bad(key, "expected true or false")))
}

/// The size of packets that a key gives.
///
/// # Errors
/// `InvalidConfig`.
pub(in super::super) fn number_of_bytes(config: &Config, key: &str) -> Result<Option<u32>> {
    let Some(value) = config.get(key) else { return Ok(None) };
    let mtu = value.parse().ok().filter(|mtu| (68..=65535).contains(mtu));
    mtu.map(Some).ok_or_else(|| bad(key, "expected a number of bytes from 68 to 65535"))
}

fn mtu(config: &Config) -> Result<Option<u32>> {
    match (number_of_bytes(config, "bridge.mtu")?, number_of_bytes(config, "mtu")?) {
        (Some(a), Some(b)) if a != b => Err(bad("mtu", "it contradicts bridge.mtu")),
        (a, b) => Ok(a.or(b)),
    }
}

/// The items of a list, separated by commas.
fn list<T>(config: &Config, key: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let Some(text) = config.get(key) else { return Ok(vec![]) };
    let item = |word: &str| read(word).ok_or_else(|| bad(key, format!("{} is malformed", quoted(word))));
    let items: Vec<T> = text.split(',').map(str::trim).take(MAX_ITEMS + 1).map(item).collect::<Result<_>>()?;
    if items.len() > MAX_ITEMS { Err(bad(key, format!("more than {MAX_ITEMS} of them"))) } else { Ok(items) }
}

/// Ranges `FIRST-LAST`, separated by commas; `host` reads an address that may be in one.
fn ranges<A: Ord + Copy + std::fmt::Display>(key: &str, text: &str, host: impl Fn(&str) -> Result<A>) -> Result<Vec<(A, A)>> {
    let mut ranges: Vec<(A, A)> = Vec::new();
    for part in text.split(',').map(str::trim).take(MAX_ITEMS + 1) {
        let (first, last) = part.split_once('-').ok_or_else(|| bad(key, "expected FIRST-LAST, separated by commas"))?;
        let (first, last) = (host(first.trim())?, host(last.trim())?);
        if first > last {
            return Err(bad(key, format!("{first}-{last} ends before it begins")));
        }
        if ranges.iter().any(|(f, l)| first <= *l && *f <= last) {
            return Err(bad(key, format!("{first}-{last} overlaps another range")));
        }
        ranges.push((first, last));
    }
    if ranges.len() > MAX_ITEMS { Err(bad(key, format!("more than {MAX_ITEMS} ranges"))) } else { Ok(ranges) }
}

/// How long a lease lasts, as dnsmasq has it: seconds, or a number with m, h, d or w; at least two minutes.
fn expiry(config: &Config, key: &str) -> Result<String> {
    let Some(text) = config.get(key) else { return Ok("1h".to_owned()) };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        "w" => Some(604_800),
        _ => None,
    };
    let number = digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
    let seconds = number.zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
    match seconds.filter(|seconds| (120..=u64::from(u32::MAX) / 2).contains(seconds)) {
        Some(_) if text.ends_with('s') => Ok(digits.to_owned()),
        Some(_) => Ok(text.clone()),
        None if text == "infinite" => Ok(text.clone()),
        None => Err(bad(key, "expected a time such as 30m, 12h or 7d, at least 2m, or infinite")),
    }
}

/// The keys that say how packets get another source.
fn nat<A: std::str::FromStr>(config: &Config, address: &str, order: &str, fits: impl Fn(&A) -> bool) -> Result<Nat<A>> {
    let source = match config.get(address) {
        None => None,
        Some(text) => Some(text.parse().ok().filter(fits).ok_or_else(|| bad(address, "expected an address of this host"))?),
    };
    match config.get(order).map_or("before", String::as_str) {
        "before" => Ok(Nat { source, last: false }),
        "after" => Ok(Nat { source, last: true }),
        _ => Err(bad(order, "expected before or after")),
    }
}

#[cfg(test)]
pub(in super::super) mod tests;
