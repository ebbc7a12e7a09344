//! Which keys an interface of each kind has.

use super::NicType;
use crate::config::{nearest, parse_bool};
use crate::name::quoted;
use crate::{Error, Kind};
use std::collections::BTreeMap;

type Keys = BTreeMap<String, String>;

/// Keys of every interface.
const ALL: &[&str] = &["type", "nictype", "name", "hwaddr", "mtu", "attached"];
const PAIR: &[&str] = &["host_name", "limits.ingress", "limits.egress", "limits.max", "ipv4.routes", "ipv6.routes"];
const BRIDGED: &[&str] = &[
    "ipv4.address",
    "ipv6.address",
    "security.mac_filtering",
    "security.ipv4_filtering",
    "security.ipv6_filtering",
    "security.port_isolation",
    "vlan",
    "vlan.tagged",
];
const SHARED: &[&str] = &["parent", "mode", "vlan"];
const IPVLAN: &[&str] = &["ipv4.address", "ipv4.gateway", "ipv4.host_table", "ipv6.address", "ipv6.gateway", "ipv6.host_table"];
const ROUTED: &[&str] = &[
    "parent",
    "vlan",
    "ipv4.address",
    "ipv4.gateway",
    "ipv4.host_address",
    "ipv4.host_table",
    "ipv4.host_tables",
    "ipv6.address",
    "ipv6.gateway",
    "ipv6.host_address",
    "ipv6.host_table",
    "ipv6.host_tables",
];

/// Keys that LXD or Incus have for interfaces and that have no effect here, each with the reason.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("acceleration", "it is for OVN"),
    ("boot.priority", "it is for virtual machines"),
    ("connected", "use attached=false, or set the host's end down"),
    ("gvrp", "VLANs are not announced by GVRP"),
    ("io.bus", "it is for virtual machines"),
    ("ipv4.address.external", "it is for OVN"),
    ("ipv4.neighbor_probe", "addresses are not probed"),
    ("ipv4.routes.external", "routes are not published by BGP; use ipv4.routes"),
    ("ipv6.address.external", "it is for OVN"),
    ("ipv6.neighbor_probe", "addresses are not probed"),
    ("ipv6.routes.external", "routes are not published by BGP; use ipv6.routes"),
    ("limits.priority", "packets have no priorities here"),
    ("maas.subnet.ipv4", "lxhost does not register with MAAS"),
    ("maas.subnet.ipv6", "lxhost does not register with MAAS"),
    ("nested", "it is for OVN"),
    ("pci", "it is for SR-IOV"),
    ("productid", "it is for SR-IOV"),
    ("queue.tx.length", "the kernel chooses it"),
    ("security.acls", "ACLs are set on networks"),
    ("security.acls.default.egress.action", "ACLs are set on networks"),
    ("security.acls.default.egress.logged", "ACLs are set on networks"),
    ("security.acls.default.ingress.action", "ACLs are set on networks"),
    ("security.acls.default.ingress.logged", "ACLs are set on networks"),
    ("security.promiscuous", "it is for OVN"),
    ("security.trusted", "it is for SR-IOV"),
    ("vendorid", "it is for SR-IOV"),
    ("vrf", "interfaces are in the host's main routing table"),
];

/// The same of one kind.
const NOT_OF: &[(NicType, &str, &str)] = &[
    (NicType::Ipvlan, "hwaddr", "an ipvlan nic has the hardware address of its parent"),
    (NicType::Physical, "vlan.tagged", "a physical nic carries what tags the guest gives its frames"),
];

/// Keys of [`WITHOUT_EFFECT`] that may say no.
const OFF: &[&str] = &["gvrp", "ipv4.neighbor_probe", "ipv6.neighbor_probe"];

/// The kind that the keys name; `None` for an interface in a managed network.
pub(super) fn kind(keys: &Keys) -> Result<Option<NicType>, Error> {
    let bad = |why: String| Error::new(Kind::InvalidConfig, why);
    let set = |key: &str| keys.get(key).filter(|value| !value.is_empty());
    match (set("network"), set("nictype")) {
        (Some(_), Some(_)) => Err(bad("network says what kind of interface it is; leave nictype out".to_owned())),
        (Some(_), None) if set("parent").is_some() => Err(bad("network says where it leads; leave parent out".to_owned())),
        (Some(_), None) => Ok(None),
        (None, None) => Err(bad("it names no network: set network, or nictype and parent".to_owned())),
        (None, Some(word)) => {
            let kind = NicType::ALL.into_iter().find(|kind| kind.as_str() == word);
            let names = NicType::ALL.map(NicType::as_str).join(", ");
            match kind {
                None if matches!(word.as_str(), "ovn" | "sriov") => {
                    Err(Error::new(Kind::Unsupported, format!("nictype {word} is not supported; one of {names}")))
                }
                None => Err(bad(format!("nictype {}: expected one of {names}", quoted(word)))),
                Some(NicType::P2p | NicType::Routed) => Ok(kind),
                Some(other) if set("parent").is_none() => {
                    Err(bad(format!("nictype {} needs a parent: a link of this host", other.as_str())))
                }
                Some(_) => Ok(kind),
            }
        }
    }
}

fn of(kind: Option<NicType>) -> Vec<&'static str> {
    let own: &[&[&str]] = match kind {
        None => &[&["network", "mode"], PAIR, BRIDGED],
        Some(NicType::Bridged) => &[&["parent"], PAIR, BRIDGED],
        Some(NicType::Macvlan) => &[SHARED],
        Some(NicType::Ipvlan) => &[SHARED, IPVLAN],
        Some(NicType::P2p) => &[PAIR],
        Some(NicType::Routed) => &[PAIR, ROUTED],
        Some(NicType::Physical) => &[&["parent", "vlan"]],
    };
    ALL.iter().copied().chain(own.iter().flat_map(|keys| keys.iter().copied())).collect()
}

/// Checks that every key belongs to the kind.
pub(super) fn check(keys: &Keys, kind: Option<NicType>) -> Result<(), Error> {
    let known = of(kind);
    for (key, value) in keys {
        if let Some((.., why)) = NOT_OF.iter().find(|(other, name, _)| kind == Some(*other) && name == key) {
            return Err(Error::new(Kind::Unsupported, format!("key {key} is not supported: {why}")));
        }
        // An unset key is not a key of another kind.
        if known.contains(&key.as_str()) || (value.is_empty() && matches!(key.as_str(), "network" | "nictype" | "parent")) {
            continue;
        }
        if OFF.contains(&key.as_str()) && parse_bool(value) == Some(false) {
            continue;
        }
        if let Some((_, why)) = WITHOUT_EFFECT.iter().find(|(name, _)| name == key) {
            return Err(Error::new(Kind::Unsupported, format!("key {key} is not supported: {why}")));
        }
        let what = kind.map_or("a nic in a network", |kind| match kind {
            NicType::Bridged => "a bridged nic",
            NicType::Macvlan => "a macvlan nic",
            NicType::Ipvlan => "an ipvlan nic",
            NicType::P2p => "a p2p nic",
            NicType::Routed => "a routed nic",
            NicType::Physical => "a physical nic",
        });
        let near = nearest(key, known.iter().copied()).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        return Err(Error::new(Kind::InvalidConfig, format!("{what} has no key {}{near}", quoted(key))));
    }
    Ok(())
}
