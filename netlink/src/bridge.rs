//! Bridges.

use crate::link::Link;
use crate::wanted::Wanted;
use crate::{Done, Handle, LinkName, Mac, Result};
use rtnetlink::packet_route::link::{BridgeStpState, InfoBridge, InfoData};
use rtnetlink::{LinkBridge, LinkMessageBuilder};

/// A bridge as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Name.
    pub name: LinkName,
    /// Hardware address. It is given at birth, so the bridge keeps it whatever ports join, and
    /// udev's `MACAddressPolicy=persistent` leaves it alone.
    pub mac: Mac,
    /// Largest packet in bytes; `None` leaves it to the kernel (1500, then the least of the ports').
    pub mtu: Option<u32>,
    /// Whether it speaks the spanning tree protocol (IEEE 802.1D), which keeps loops of bridges from forming and
    /// lets a new port wait 30 seconds.
    pub stp: bool,
    /// Whether it tells VLANs apart: then ports carry those of [`Handle::ensure_port_vlans`], and VLAN 1 untagged
    /// unless told otherwise.
    pub vlan_filtering: bool,
}

impl Bridge {
    /// A bridge without spanning tree and VLANs.
    pub fn new(name: LinkName, mac: Mac) -> Self {
        Bridge { name, mac, mtu: None, stp: false, vlan_filtering: false }
    }

    /// What of its own nature an existing bridge lacks.
    fn missing(&self, link: Option<&Link>) -> Vec<InfoBridge> {
        let present = match link.map(|link| &link.data) {
            Some(Some(InfoData::Bridge(infos))) => infos.as_slice(),
            _ => &[],
        };
        let stp = if self.stp { BridgeStpState::KernelStp } else { BridgeStpState::Disabled };
        let wanted =
            [(InfoBridge::StpState(stp), self.stp), (InfoBridge::VlanFiltering(self.vlan_filtering), self.vlan_filtering)];
        // A new bridge has neither.
        let lacks = |(info, on): &(InfoBridge, bool)| if link.is_none() { *on } else { !present.contains(info) };
        wanted.into_iter().filter(lacks).map(|(info, _)| info).collect()
    }
}

impl Handle {
    /// Makes the bridge (still down) or adapts the one that exists; addresses and ports stay.
    ///
    /// ```no_run
    /// # async fn example() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::{Bridge, Handle};
    /// let handle = Handle::open()?;
    /// let _ = handle.ensure_bridge(&Bridge::new("br0".parse()?, "0a:00:00:00:00:01".parse()?)).await?;
    /// let _ = handle.set_up("br0").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `WrongKind` when the name belongs to another kind of link; `Kernel`.
    pub async fn ensure_bridge(&self, bridge: &Bridge) -> Result<Done> {
        let wanted = Wanted { name: &bridge.name, kind: "bridge", mac: Some(bridge.mac), mtu: bridge.mtu };
        let message = wanted.on(LinkMessageBuilder::<LinkBridge>::new(bridge.name.as_str()));
        let create = bridge.missing(None).into_iter().fold(message, LinkMessageBuilder::<LinkBridge>::append_info_data).build();
        let done = self.ensure_link(&wanted, create, |_| None).await?;
        let link = self.existing(bridge.name.as_str()).await?;
        let missing = bridge.missing(Some(&link));
        if missing.is_empty() {
            return Ok(done);
        }
        let message = LinkMessageBuilder::<LinkBridge>::new(bridge.name.as_str());
        let change = missing.into_iter().fold(message, LinkMessageBuilder::<LinkBridge>::append_info_data);
        self.change(change.build(), format!("change bridge {}", bridge.name)).await?;
        Ok(Done::Changed)
    }

    /// Removes the bridge called `name`; its ports stay, without a bridge.
    ///
    /// # Errors
    /// `WrongKind` when it is not a bridge; `Kernel`.
    pub async fn delete_bridge(&self, name: &str) -> Result<Done> {
        self.delete_kind(name, "bridge").await
    }
}
