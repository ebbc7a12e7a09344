//! Keys of a bridge that begin with `dns.`. Pure.

use super::{bad, list};
use lxhost_model::Result;
use lxhost_model::config::Config;
use std::net::IpAddr;

/// Domain of a network that names none.
const DOMAIN: &str = "lxhost";

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

/// DNS as guests are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dns {
    /// Domains that are tried for names without a dot; empty: the network's own.
    pub(crate) search: Vec<String>,
    /// Name servers; empty: the bridge.
    pub(crate) servers: Vec<IpAddr>,
}

pub(super) fn mode(config: &Config) -> Result<Names> {
    match config.get("dns.mode").map_or("managed", String::as_str) {
        "managed" => Ok(Names::Managed),
        "dynamic" => Ok(Names::Dynamic),
        "none" => Ok(Names::None),
        _ => Err(bad("dns.mode", "expected one of managed, dynamic, none")),
    }
}

pub(super) fn domain(config: &Config) -> Result<String> {
    let expected = || bad("dns.domain", "expected labels of letters, digits and dashes, separated by dots");
    checked(config.get("dns.domain").map_or(DOMAIN, String::as_str)).ok_or_else(expected)
}

pub(super) fn told(config: &Config) -> Result<Dns> {
    let servers: Vec<IpAddr> = list(config, "dns.nameservers", |text| text.parse().ok())?;
    if servers.iter().any(|server| server.is_unspecified() || server.is_loopback() || server.is_multicast()) {
        return Err(bad("dns.nameservers", "guests could not reach such an address"));
    }
    Ok(Dns { search: list(config, "dns.search", checked)?, servers })
}

/// A domain of labels of letters, digits and dashes, in lower case.
fn checked(domain: &str) -> Option<String> {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    (domain.len() <= 190 && domain.split('.').all(label)).then(|| domain.to_ascii_lowercase())
}
