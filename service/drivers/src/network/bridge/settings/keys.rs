//! Names of a bridge's keys: those there are, and those of other systems that this one says no to. Pure.

use super::bad;
use lxhost_model::config::{Config, check_text, nearest};
use lxhost_model::name::quoted;
use lxhost_model::{Error, Kind, Result};

/// Keys there are beside `user.*` and `tunnel.*`.
const KEYS: &[&str] = &[
    "bridge.driver",
    "bridge.external_interfaces",
    "bridge.hwaddr",
    "bridge.mtu",
    "dns.domain",
    "dns.mode",
    "dns.nameservers",
    "dns.search",
    "ipv4.address",
    "ipv4.dhcp",
    "ipv4.dhcp.expiry",
    "ipv4.dhcp.gateway",
    "ipv4.dhcp.ranges",
    "ipv4.dhcp.routes",
    "ipv4.firewall",
    "ipv4.nat",
    "ipv4.nat.address",
    "ipv4.nat.order",
    "ipv4.routes",
    "ipv4.routing",
    "ipv6.address",
    "ipv6.dhcp",
    "ipv6.dhcp.expiry",
    "ipv6.dhcp.ranges",
    "ipv6.dhcp.stateful",
    "ipv6.firewall",
    "ipv6.nat",
    "ipv6.nat.address",
    "ipv6.nat.order",
    "ipv6.routes",
    "ipv6.routing",
    "mtu",
    "parent",
    "security.acls",
    "security.acls.default.egress.action",
    "security.acls.default.egress.logged",
    "security.acls.default.ingress.action",
    "security.acls.default.ingress.logged",
    "vlan",
];

/// Beginnings of keys that other systems have, and what to do here instead.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("bgp.", "lxhost speaks no BGP; have bird or frr announce the subnet"),
    ("bridge.mode", "there are no fan networks; use a network of type vxlan"),
    ("dns.zone.", "lxhost serves no zones to other name servers"),
    ("fan.", "there are no fan networks; use a network of type vxlan"),
    ("ipv4.ovn.", "there are no OVN networks"),
    ("ipv6.ovn.", "there are no OVN networks"),
    ("maas.", "lxhost does not register with MAAS"),
    ("raw.dnsmasq", "a raw line could have dnsmasq run a program; use ipv4.dhcp.*, ipv6.dhcp.* and dns.*"),
];

/// Checks that every key is known and every value is text.
///
/// # Errors
/// `Unsupported`, naming the key; `InvalidConfig`, with the nearest known key.
pub(in super::super) fn check_keys(config: &Config) -> Result<()> {
    for (key, value) in config {
        check_text(key, value)?;
        if is_users(key) || KEYS.contains(&key.as_str()) || key.starts_with("tunnel.") {
            continue;
        }
        if let Some((_, instead)) = UNSUPPORTED.iter().find(|(begin, _)| key.starts_with(begin)) {
            return Err(Error::new(Kind::Unsupported, format!("network key {} is not supported: {instead}", quoted(key))));
        }
        let near = nearest(key, KEYS.iter().copied()).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        return Err(bad(key, format!("unknown key of a bridge{near}")));
    }
    Ok(())
}

/// Whether a key is the user's own (`user.*`).
pub(in super::super::super) fn is_users(key: &str) -> bool {
    key.strip_prefix("user.").is_some_and(|rest| {
        (1..=255).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    })
}
