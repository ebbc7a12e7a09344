//! VLANs: links that carry the frames of their parent that have one tag.

use crate::wanted::Wanted;
use crate::{Done, Error, Handle, LinkName, Mac, Result};
use rtnetlink::packet_route::link::{InfoData, InfoVlan, VlanProtocol};
use rtnetlink::{LinkMessageBuilder, LinkVlan};
use std::fmt;
use std::str::FromStr;

/// Number of a VLAN: 1 to 4094 (IEEE 802.1Q; 0 means "none" and 4095 is reserved).
///
/// ```
/// use lxhost_netlink::VlanId;
/// assert_eq!("100".parse::<VlanId>()?, VlanId::new(100)?);
/// assert!(VlanId::new(0).is_err() && VlanId::new(4095).is_err());
/// # Ok::<(), lxhost_netlink::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VlanId(u16);

impl VlanId {
    /// The VLAN of that number.
    ///
    /// # Errors
    /// `InvalidVlan`.
    pub fn new(number: u16) -> Result<Self> {
        if (1..=4094).contains(&number) { Ok(VlanId(number)) } else { Err(Error::InvalidVlan(number.to_string())) }
    }

    /// The number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl FromStr for VlanId {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let bad = || Error::InvalidVlan(s.chars().take(32).collect());
        s.parse().ok().filter(|_| s.bytes().all(|b| b.is_ascii_digit())).and_then(|n| VlanId::new(n).ok()).ok_or_else(bad)
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How frames are tagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tag {
    /// 802.1Q, a customer's tag (0x8100).
    #[default]
    Customer,
    /// 802.1ad, a provider's outer tag (0x88a8).
    Provider,
}

impl Tag {
    fn protocol(self) -> VlanProtocol {
        match self {
            Tag::Customer => VlanProtocol::Ieee8021Q,
            Tag::Provider => VlanProtocol::Ieee8021Ad,
        }
    }
}

/// A VLAN as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vlan {
    /// Name.
    pub name: LinkName,
    /// Link that carries the tagged frames.
    pub parent: LinkName,
    /// Number.
    pub id: VlanId,
    /// Kind of tag.
    pub tag: Tag,
    /// Hardware address; `None` takes the parent's.
    pub mac: Option<Mac>,
    /// Largest packet in bytes; `None` takes the parent's.
    pub mtu: Option<u32>,
}

impl Vlan {
    /// A VLAN of 802.1Q.
    pub fn new(name: LinkName, parent: LinkName, id: VlanId) -> Self {
        Vlan { name, parent, id, tag: Tag::default(), mac: None, mtu: None }
    }
}

impl Handle {
    /// Makes the VLAN (still down) or adapts the one that exists.
    ///
    /// ```no_run
    /// # async fn example() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::{Handle, Vlan};
    /// let handle = Handle::open()?;
    /// let _ = handle.ensure_vlan(&Vlan::new("eth0.100".parse()?, "eth0".parse()?, "100".parse()?)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NoSuchLink` for the parent; `WrongKind` and `Differs` when the name belongs to something else, or to a VLAN
    /// of another parent, number or tag; `Kernel`.
    pub async fn ensure_vlan(&self, vlan: &Vlan) -> Result<Done> {
        let parent = self.existing(vlan.parent.as_str()).await?;
        let wanted = Wanted { name: &vlan.name, kind: "vlan", mac: vlan.mac, mtu: vlan.mtu };
        let create = wanted
            .on(LinkMessageBuilder::<LinkVlan>::new(vlan.name.as_str()))
            .link(parent.index)
            .id(vlan.id.number())
            .protocol(vlan.tag.protocol())
            .build();
        self.ensure_link(&wanted, create, |link| {
            let infos = match &link.data {
                Some(InfoData::Vlan(infos)) => infos.as_slice(),
                _ => &[],
            };
            match () {
                () if link.parent != Some(parent.index) => Some("parent"),
                () if !infos.contains(&InfoVlan::Id(vlan.id.number())) => Some("VLAN"),
                () if !infos.contains(&InfoVlan::Protocol(vlan.tag.protocol())) => Some("kind of tag"),
                () => None,
            }
        })
        .await
    }

    /// Removes the VLAN called `name`.
    ///
    /// # Errors
    /// `WrongKind` when it is not one; `Kernel`.
    pub async fn delete_vlan(&self, name: &str) -> Result<Done> {
        self.delete_kind(name, "vlan").await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_has_a_number_from_1_to_4094() {
        for good in ["1", "100", "4094"] {
            assert_eq!(good.parse::<VlanId>().unwrap().to_string(), good);
        }
        for bad in ["0", "4095", "65536", "-1", "+1", "", "1x", " 1", "99999999999999999999"] {
            assert!(bad.parse::<VlanId>().is_err(), "{bad}");
        }
    }
}
