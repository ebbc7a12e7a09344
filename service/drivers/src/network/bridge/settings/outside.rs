//! Keys that join a bridge with what is outside: interfaces of the host, VLANs on them, tunnels to other
//! hosts. Pure.

use super::bad;
use lxhost_model::Result;
use lxhost_model::config::Config;
use lxhost_model::name::quoted;
use lxhost_netlink::{LinkName, MAX_SEGMENT, VlanId, Vxlan};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Most ports and tunnels of one bridge.
const MOST: usize = 64;
/// Name of the tunnel of a network that has keys `tunnel.id` instead of `tunnel.NAME.id`.
const ONLY: &str = "overlay";
/// Where frames for everybody go when no key says so (Incus' default).
const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(239, 0, 0, 1));

/// An interface of the host that is a port of the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct External {
    /// Its name.
    pub(crate) name: LinkName,
    /// What it is made of when it is not there: a VLAN on another interface.
    pub(crate) vlan: Option<(LinkName, VlanId)>,
    /// Whether it has to be that VLAN: an existing `eth0.100` may be anything.
    pub(crate) exactly: bool,
}

impl External {
    /// `eth0`, `eth0.100`, or `NAME/eth0/100`.
    fn read(key: &str, text: &str) -> Result<Self> {
        let link = |text: &str| text.parse::<LinkName>().map_err(|e| bad(key, e));
        let vlan = |text: &str| text.parse::<VlanId>().map_err(|e| bad(key, e));
        match text.split('/').collect::<Vec<_>>()[..] {
            [name, parent, id] => Ok(External { name: link(name)?, vlan: Some((link(parent)?, vlan(id)?)), exactly: true }),
            [name] => {
                let dotted = name.rsplit_once('.').filter(|(_, id)| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()));
                let vlan = dotted.map(|(parent, id)| Ok((link(parent)?, vlan(id)?))).transpose()?;
                Ok(External { name: link(name)?, vlan, exactly: false })
            }
            _ => Err(bad(key, format!("{} is neither INTERFACE nor NAME/INTERFACE/VLAN", quoted(text)))),
        }
    }
}

impl External {
    /// The VLAN on it, if the keys name one.
    fn with(self, config: &Config) -> Result<Self> {
        let Some(text) = config.get(VLAN) else { return Ok(self) };
        let id: VlanId = text.parse().map_err(|e| bad(VLAN, e))?;
        if self.vlan.is_some() {
            return Err(bad(VLAN, format!("{} is a VLAN already", self.name)));
        }
        Ok(External { name: vlan_name(&self.name, id)?, vlan: Some((self.name, id)), exactly: true })
    }
}

/// The name of a VLAN's link: `eth0.100` where that fits, else one that is as lasting.
pub(in super::super::super) fn vlan_name(parent: &LinkName, id: VlanId) -> Result<LinkName> {
    let plain = format!("{parent}.{id}");
    let digest = || Sha256::new().chain_update(&plain).finalize();
    let name = if plain.len() <= 15 { plain.clone() } else { format!("vl{}", &hex::encode(digest())[..12]) };
    name.parse().map_err(|e: lxhost_netlink::Error| bad(VLAN, e))
}

/// The key that joins a bridge with an interface, as LXD's users write it, and Incus' key for many.
const PARENT: &str = "parent";
/// The key that makes it a VLAN on the interface.
const VLAN: &str = "vlan";
const INTERFACES: &str = "bridge.external_interfaces";

/// Whether a network has an outside: then nobody but the outside gives out addresses unless told.
pub(super) fn has_outside(config: &Config) -> bool {
    [PARENT, INTERFACES].iter().any(|key| config.get(*key).is_some_and(|value| !value.trim().is_empty()))
}

/// Interfaces of the host that the keys name, each once.
pub(in super::super) fn externals(config: &Config) -> Result<Vec<External>> {
    let mut found: Vec<External> = Vec::new();
    for key in [PARENT, INTERFACES] {
        let Some(text) = config.get(key) else { continue };
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let external = External::read(key, word)?;
            let external = if key == PARENT { external.with(config)? } else { external };
            match found.iter().find(|other| other.name == external.name) {
                Some(same) if *same == external => {}
                Some(_) => return Err(bad(key, format!("{} is named twice", external.name))),
                None => found.push(external),
            }
        }
        if key == PARENT && found.len() > 1 {
            return Err(bad(key, format!("expected one interface; use {INTERFACES} for more")));
        }
    }
    if config.contains_key(VLAN) && !config.contains_key(PARENT) {
        return Err(bad(VLAN, "it needs parent=, the interface that the VLAN is on"));
    }
    if found.len() > MOST { Err(bad(INTERFACES, format!("more than {MOST} interfaces"))) } else { Ok(found) }
}

/// The tunnels of the network with that interface; their links are still without the default parent.
pub(super) fn tunnels(config: &Config, interface: &LinkName) -> Result<Vec<Vxlan>> {
    let mut found: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (key, value) in config {
        let Some(rest) = key.strip_prefix("tunnel.") else { continue };
        let (name, word) = rest.rsplit_once('.').unwrap_or((ONLY, rest));
        if name.is_empty() || name.len() > 63 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(bad(key, "the name of a tunnel has letters, digits, dashes"));
        }
        if found.entry(name).or_default().insert(word, value).is_some() {
            return Err(bad(key, format!("it is given as tunnel.{name}.{word} too")));
        }
    }
    if found.len() > MOST {
        return Err(bad("tunnel", format!("more than {MOST} tunnels")));
    }
    found.into_iter().map(|(name, keys)| tunnel(interface, name, &keys)).collect()
}

fn tunnel(interface: &LinkName, name: &str, keys: &BTreeMap<&str, &str>) -> Result<Vxlan> {
    let bad = |word: &str, why: String| bad(&format!("tunnel.{name}.{word}"), why);
    const WORDS: [&str; 8] = ["group", "id", "interface", "local", "port", "protocol", "remote", "ttl"];
    if let Some(word) = keys.keys().find(|word| !WORDS.contains(word)) {
        return Err(bad(word, format!("unknown key of a tunnel; there are {}", WORDS.join(", "))));
    }
    match keys.get("protocol").copied().unwrap_or("vxlan") {
        "vxlan" => {}
        "gre" => {
            let why =
                format!("network key tunnel.{name}.protocol: gre is not supported; use vxlan, which carries the same frames");
            return Err(lxhost_model::Error::new(lxhost_model::Kind::Unsupported, why));
        }
        _ => return Err(bad("protocol", "expected vxlan".into())),
    }
    let number = |word: &str, least: u32, most: u32| match keys.get(word) {
        None => Ok(None),
        Some(text) => match text.parse().ok().filter(|n| (least..=most).contains(n)) {
            Some(n) => Ok(Some(n)),
            None => Err(bad(word, format!("expected a number from {least} to {most}"))),
        },
    };
    let address = |word: &str, multicast: bool| match keys.get(word) {
        None => Ok(None),
        Some(text) => match text.parse::<IpAddr>().ok().filter(|a| a.is_multicast() == multicast && !a.is_unspecified()) {
            Some(address) => Ok(Some(address)),
            None => Err(bad(word, format!("expected the address of a {}", if multicast { "multicast group" } else { "host" }))),
        },
    };
    let (local, remote, group) = (address("local", false)?, address("remote", false)?, address("group", true)?);
    if remote.is_some() && group.is_some() {
        return Err(bad("group", "a tunnel to one host (remote) has no group".into()));
    }
    let family = |address: Option<IpAddr>| address.map(|address| address.is_ipv4());
    let remote = remote.or(group).unwrap_or(GROUP);
    if family(local).is_some_and(|v4| v4 != remote.is_ipv4()) {
        return Err(bad("local", format!("it is of another family than {remote}")));
    }
    let mut vxlan = Vxlan::new(link_name(interface, name)?, number("id", 0, MAX_SEGMENT)?.unwrap_or(0));
    vxlan.parent = keys.get("interface").map(|name| name.parse()).transpose().map_err(|e| bad("interface", format!("{e}")))?;
    vxlan.local = local;
    vxlan.remote = Some(remote);
    vxlan.port = number("port", 0, 65_535)?.filter(|port| *port > 0).map_or(vxlan.port, |port| port as u16);
    vxlan.ttl = number("ttl", 1, 255)?.map(|ttl| ttl as u8);
    Ok(vxlan)
}

/// `NETWORK-TUNNEL` where that fits, else a name that is as lasting.
fn link_name(interface: &LinkName, name: &str) -> Result<LinkName> {
    let plain = format!("{interface}-{name}");
    let digest = || Sha256::new().chain_update(interface.as_str()).chain_update([0]).chain_update(name).finalize();
    let name = if plain.len() <= 15 { plain } else { format!("vx{}", &hex::encode(digest())[..12]) };
    name.parse().map_err(|e: lxhost_netlink::Error| bad("tunnel", e))
}
