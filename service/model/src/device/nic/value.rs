//! Values of the keys of an interface.

use super::{Family, Gateway, NicType, Rates, Untagged, Vlans};
use crate::config::parse_bool;
use crate::name::quoted;
use crate::{Error, Kind};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

type Keys = BTreeMap<String, String>;

/// Most addresses or routes of one key.
const MOST: usize = 64;

fn bad(key: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::InvalidConfig, format!("{key}: {why}"))
}

fn set<'a>(keys: &'a Keys, key: &str) -> Option<&'a str> {
    keys.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// Whether the kernel's tools, files below /proc/sys and rules can all hold it as the name of an interface.
pub fn is_link_name(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && !matches!(text, "." | ".." | "all" | "default")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && !text.starts_with('-')
}

pub(super) fn link(keys: &Keys, key: &str) -> Result<Option<String>, Error> {
    let Some(text) = set(keys, key) else { return Ok(None) };
    let fine = is_link_name(text) && text != "lo";
    let why = || bad(key, format_args!("{} cannot be the name of a network interface", quoted(text)));
    fine.then(|| Some(text.to_owned())).ok_or_else(why)
}

pub(super) fn switch(keys: &Keys, key: &str) -> Result<Option<bool>, Error> {
    set(keys, key).map(|value| parse_bool(value).ok_or_else(|| bad(key, "expected true or false"))).transpose()
}

/// Whether it is a hardware address of one station.
pub fn is_hwaddr(text: &str) -> bool {
    let byte =
        |part: &str| if part.len() == 2 { u8::from_str_radix(part, 16).ok().filter(|_| !part.starts_with('+')) } else { None };
    let bytes: Option<Vec<u8>> = text.split(':').take(7).map(byte).collect();
    bytes.is_some_and(|bytes| bytes.len() == 6 && bytes.first().is_some_and(|b| b & 1 == 0) && bytes.iter().any(|b| *b != 0))
}

/// A hardware address of one station, in lower case.
pub(super) fn mac(keys: &Keys, key: &str) -> Result<Option<String>, Error> {
    let Some(text) = set(keys, key) else { return Ok(None) };
    let why = || bad(key, format_args!("{} is not a hardware address of one station (aa:bb:cc:dd:ee:ff)", quoted(text)));
    is_hwaddr(text).then(|| Some(text.to_ascii_lowercase())).ok_or_else(why)
}

pub(super) fn mtu(keys: &Keys) -> Result<Option<u32>, Error> {
    let Some(text) = set(keys, "mtu") else { return Ok(None) };
    let number = text.parse().ok().filter(|mtu| (68..=65_535).contains(mtu));
    number.map(Some).ok_or_else(|| bad("mtu", "expected a number of bytes from 68 to 65535"))
}

pub(super) fn mode(keys: &Keys, kind: Option<NicType>) -> Result<Option<String>, Error> {
    let Some(text) = set(keys, "mode") else { return Ok(None) };
    let words: &[&str] = match kind {
        Some(NicType::Ipvlan) => &["l2", "l3s"],
        _ => &["bridge", "vepa", "passthru", "private"],
    };
    let why = || bad("mode", format_args!("expected one of {}", words.join(", ")));
    words.contains(&text).then(|| Some(text.to_owned())).ok_or_else(why)
}

fn list<'a>(keys: &'a Keys, key: &str) -> Result<Vec<&'a str>, Error> {
    let Some(text) = set(keys, key) else { return Ok(Vec::new()) };
    let parts: Vec<&str> = text.split(',').map(str::trim).take(MOST + 1).collect();
    if parts.len() > MOST { Err(bad(key, format_args!("more than {MOST}"))) } else { Ok(parts) }
}

/// An address or network of the family that the key begins with.
fn net(key: &str, text: &str) -> Result<IpNet, Error> {
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let of_family = |net: &IpNet| net.addr().is_ipv4() == key.starts_with("ipv4");
    let family = if key.starts_with("ipv4") { "IPv4" } else { "IPv6" };
    net.filter(of_family).ok_or_else(|| bad(key, format_args!("{} is not an {family} address", quoted(text))))
}

/// An address that a guest can have.
fn host(key: &str, text: &str) -> Result<IpNet, Error> {
    let net = net(key, text)?;
    let address = net.addr();
    let unusable = address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || matches!(address, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
    if unusable { Err(bad(key, format_args!("{address} is not the address of a host"))) } else { Ok(net) }
}

fn address(keys: &Keys, key: &str) -> Result<Option<IpAddr>, Error> {
    let Some(text) = set(keys, key) else { return Ok(None) };
    let net = host(key, text)?;
    if net.prefix_len() == net.max_prefix_len() {
        Ok(Some(net.addr()))
    } else {
        Err(bad(key, "expected an address without a prefix"))
    }
}

/// What the keys that begin with `family` say.
pub(super) fn family(keys: &Keys, family: &str) -> Result<Family, Error> {
    let key = |name: &str| format!("{family}.{name}");
    let none = set(keys, &key("address")) == Some("none");
    let mut found = Family { none, host_address: address(keys, &key("host_address"))?, ..Family::default() };
    if !none {
        let name = key("address");
        found.addresses = list(keys, &name)?.into_iter().map(|text| host(&name, text)).collect::<Result<_, _>>()?;
    }
    let name = key("routes");
    found.routes = list(keys, &name)?.into_iter().map(|text| net(&name, text)).collect::<Result<_, _>>()?;
    if let Some(route) = found.routes.iter().find(|route| route.trunc() != **route || route.prefix_len() == 0) {
        return Err(bad(&name, format_args!("{route} is not a network; {} is", route.trunc())));
    }
    for name in [key("host_table"), key("host_tables")] {
        for text in list(keys, &name)? {
            let table = text.parse().ok().filter(|table| *table > 0);
            found.host_tables.push(table.ok_or_else(|| bad(&name, "expected numbers of routing tables"))?);
        }
    }
    let name = key("gateway");
    found.gateway = match set(keys, &name) {
        None | Some("auto") => Gateway::Auto,
        Some("none") => Gateway::None,
        Some(_) => address(keys, &name)?.map_or(Gateway::Auto, Gateway::Is),
    };
    Ok(found)
}

/// Bits per second: a number with `kbit`, `Mbit`, `Gbit`, `Tbit` or the binary `Kibit`… (LXD's units).
fn rate(keys: &Keys, key: &str) -> Result<Option<u64>, Error> {
    const UNITS: [(&str, u64); 9] = [
        ("", 1),
        ("bit", 1),
        ("kbit", 1000),
        ("Mbit", 1_000_000),
        ("Gbit", 1_000_000_000),
        ("Tbit", 1_000_000_000_000),
        ("Kibit", 1 << 10),
        ("Mibit", 1 << 20),
        ("Gibit", 1 << 30),
    ];
    let Some(text) = set(keys, key) else { return Ok(None) };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| *factor);
    let bits = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    let bits = bits.filter(|bits| (8_000..=1_000_000_000_000).contains(bits));
    bits.map(Some).ok_or_else(|| bad(key, "expected bits per second from 8kbit to 1Tbit, such as 10Mbit"))
}

pub(super) fn rates(keys: &Keys) -> Result<Rates, Error> {
    let (max, ingress, egress) = (rate(keys, "limits.max")?, rate(keys, "limits.ingress")?, rate(keys, "limits.egress")?);
    if max.is_some() && (ingress.is_some() || egress.is_some()) {
        return Err(bad("limits.max", "it is the same as limits.ingress and limits.egress; leave those out"));
    }
    Ok(Rates { ingress: max.or(ingress), egress: max.or(egress) })
}

fn vlan(key: &str, text: &str) -> Result<u16, Error> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|id| digits && (1..=4094).contains(id));
    number.ok_or_else(|| bad(key, format_args!("{} is not a VLAN (1 to 4094)", quoted(text))))
}

pub(super) fn vlans(keys: &Keys) -> Result<Vlans, Error> {
    let untagged = match set(keys, "vlan") {
        None => Untagged::Usual,
        Some("none") => Untagged::None,
        Some(text) => Untagged::Is(vlan("vlan", text)?),
    };
    let mut tagged = Vec::new();
    for part in list(keys, "vlan.tagged")? {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (vlan("vlan.tagged", first.trim())?, vlan("vlan.tagged", last.trim())?);
        if first > last {
            return Err(bad("vlan.tagged", format_args!("{first}-{last} is not a range")));
        }
        tagged.extend(first..=last);
    }
    tagged.sort_unstable();
    tagged.dedup();
    if matches!(untagged, Untagged::Is(id) if tagged.contains(&id)) {
        return Err(bad("vlan.tagged", "it has the VLAN of untagged frames, too"));
    }
    Ok(Vlans { untagged, tagged })
}
