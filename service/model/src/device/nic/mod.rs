//! Devices of type `nic`: network interfaces of an instance, read from their keys. Names are LXD's.
//!
//! Pure. What a host makes of them is the business of `drivers/device` and `drivers/network`.

mod keys;
mod value;

pub use value::{is_hwaddr, is_link_name};

use crate::name::NetworkName;
use crate::{Error, Kind};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Kinds of interfaces (`nictype`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NicType {
    /// A pair of which the host's end is a port of a bridge.
    Bridged,
    /// A hardware address of its own on a link of the host.
    Macvlan,
    /// An address of its own on a link of the host, with that link's hardware address.
    Ipvlan,
    /// A pair of which the host's end is left to the host.
    P2p,
    /// A pair over which the host routes, answering for the guest on its own link.
    Routed,
    /// A link of the host, which the guest has to itself.
    Physical,
}

impl NicType {
    /// All of them.
    pub const ALL: [NicType; 6] =
        [NicType::Bridged, NicType::Macvlan, NicType::Ipvlan, NicType::P2p, NicType::Routed, NicType::Physical];

    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            NicType::Bridged => "bridged",
            NicType::Macvlan => "macvlan",
            NicType::Ipvlan => "ipvlan",
            NicType::P2p => "p2p",
            NicType::Routed => "routed",
            NicType::Physical => "physical",
        }
    }
}

/// What an interface shall be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Nic {
    /// Managed network that it joins; it says what kind the interface is.
    pub network: Option<NetworkName>,
    /// Its kind, where it joins none.
    pub kind: Option<NicType>,
    /// Link of the host that it lies on or is.
    pub parent: Option<String>,
    /// Name inside; `None`: the device's.
    pub name: Option<String>,
    /// Hardware address.
    pub hwaddr: Option<String>,
    /// Largest packet, bytes.
    pub mtu: Option<u32>,
    /// Name of the host's end of a pair.
    pub host_name: Option<String>,
    /// Whether it is plugged in.
    pub attached: bool,
    /// How it shares its parent (macvlan, ipvlan).
    pub mode: Option<String>,
    /// IPv4.
    pub ipv4: Family,
    /// IPv6.
    pub ipv6: Family,
    /// Rates that it is held to.
    pub rates: Rates,
    /// What it is kept from.
    pub filter: Filter,
    /// Whether it is kept from the other isolated ports of its bridge.
    pub isolated: bool,
    /// VLANs.
    pub vlans: Vlans,
}

/// What an interface has of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Family {
    /// Fixed addresses; without a prefix in the key, of all bits.
    pub addresses: Vec<IpNet>,
    /// It shall have none of this family.
    pub none: bool,
    /// Router of its default route.
    pub gateway: Gateway,
    /// Address of the host's end.
    pub host_address: Option<IpAddr>,
    /// Routing tables of the host that lead to it, beside the main one.
    pub host_tables: Vec<u32>,
    /// Networks behind it, which the host routes to it.
    pub routes: Vec<IpNet>,
}

/// Router of a default route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Gateway {
    /// As usual for the kind.
    #[default]
    Auto,
    /// There is none.
    None,
    /// This one.
    Is(IpAddr),
}

/// Bits per second; `None`: as many as can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rates {
    /// To the guest.
    pub ingress: Option<u64>,
    /// From the guest.
    pub egress: Option<u64>,
}

/// What a guest may not pretend to be; `None`: as usual for the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Filter {
    /// Another hardware address.
    pub mac: Option<bool>,
    /// Another IPv4 address.
    pub ipv4: Option<bool>,
    /// Another IPv6 address.
    pub ipv6: Option<bool>,
}

/// VLANs of an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Vlans {
    /// That of frames without a tag.
    pub untagged: Untagged,
    /// Those of frames with a tag.
    pub tagged: Vec<u16>,
}

/// VLAN of frames without a tag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Untagged {
    /// As usual.
    #[default]
    Usual,
    /// Such frames are dropped.
    None,
    /// This one.
    Is(u16),
}

impl Vlans {
    /// Whether frames without a tag are in another VLAN of a managed bridge than the network itself, which is in the
    /// first, or in none.
    pub fn elsewhere(&self) -> bool {
        !matches!(self.untagged, Untagged::Usual | Untagged::Is(1))
    }
}

impl Default for Nic {
    fn default() -> Self {
        Nic {
            network: None,
            kind: None,
            parent: None,
            name: None,
            hwaddr: None,
            mtu: None,
            host_name: None,
            attached: true,
            mode: None,
            ipv4: Family::default(),
            ipv6: Family::default(),
            rates: Rates::default(),
            filter: Filter::default(),
            isolated: false,
            vlans: Vlans::default(),
        }
    }
}

impl Nic {
    /// Reads the keys of a device.
    ///
    /// # Errors
    /// `InvalidConfig` for a key that does not belong to its kind, a malformed value, or values that contradict
    /// each other; `Unsupported` for a key of LXD's that has no effect here.
    pub fn read(keys: &BTreeMap<String, String>) -> Result<Self, Error> {
        let kind = keys::kind(keys)?;
        keys::check(keys, kind)?;
        let text = |key: &str| keys.get(key).filter(|value| !value.is_empty());
        let nic = Nic {
            network: text("network").map(|name| name.parse()).transpose()?,
            kind,
            parent: value::link(keys, "parent")?,
            name: value::link(keys, "name")?,
            hwaddr: value::mac(keys, "hwaddr")?,
            mtu: value::mtu(keys)?,
            host_name: value::link(keys, "host_name")?,
            attached: value::switch(keys, "attached")?.unwrap_or(true),
            mode: value::mode(keys, kind)?,
            ipv4: value::family(keys, "ipv4")?,
            ipv6: value::family(keys, "ipv6")?,
            rates: value::rates(keys)?,
            filter: Filter {
                mac: value::switch(keys, "security.mac_filtering")?,
                ipv4: value::switch(keys, "security.ipv4_filtering")?,
                ipv6: value::switch(keys, "security.ipv6_filtering")?,
            },
            isolated: value::switch(keys, "security.port_isolation")?.unwrap_or(false),
            vlans: value::vlans(keys)?,
        };
        nic.agrees()?;
        Ok(nic)
    }

    /// Whether the keys agree with each other.
    fn agrees(&self) -> Result<(), Error> {
        let bad = |why: &str| Err(Error::new(Kind::InvalidConfig, why.to_owned()));
        if self.filter.mac == Some(false) && (self.filter.ipv4 == Some(true) || self.filter.ipv6 == Some(true)) {
            return bad("security.mac_filtering=false: without it addresses cannot be filtered");
        }
        let addresses = [&self.ipv4, &self.ipv6].into_iter().flat_map(|family| &family.addresses).count();
        match self.kind {
            Some(NicType::Ipvlan | NicType::Routed) if addresses == 0 => {
                bad("it needs an address: set ipv4.address or ipv6.address")
            }
            Some(NicType::Ipvlan | NicType::Routed) => Ok(()),
            _ if self.ipv4.addresses.len() > 1 || self.ipv6.addresses.len() > 1 => bad("it can have one fixed address only"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
