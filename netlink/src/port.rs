//! Ports of bridges: who is one, which VLANs they carry, whether they see each other.

use crate::{Done, Error, Handle, Result, VlanId};
use futures_util::TryStreamExt;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{
    AfSpecBridge, BridgeVlanInfoFlags, InfoBridgePort, InfoPortData, LinkAttribute, LinkExtentMask, LinkInfo, LinkMessage,
};
use rtnetlink::{LinkBridgePort, LinkBridgeVlan, LinkUnspec};
use std::collections::BTreeMap;

/// VLANs that a port carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortVlans {
    /// VLAN of frames without a tag, both ways; `None`: such frames are dropped.
    pub untagged: Option<VlanId>,
    /// VLANs whose frames have their tag.
    pub tagged: Vec<VlanId>,
}

impl PortVlans {
    fn wanted(&self) -> BTreeMap<u16, BridgeVlanInfoFlags> {
        let tagged = self.tagged.iter().map(|id| (id.number(), BridgeVlanInfoFlags::empty()));
        let own = BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged;
        tagged.chain(self.untagged.map(|id| (id.number(), own))).collect()
    }
}

impl Handle {
    /// Makes the link called `name` a port of `bridge`, whatever it was a port of.
    ///
    /// # Errors
    /// `NoSuchLink` for either; `Kernel`, as for a link that has ports itself.
    pub async fn ensure_port(&self, name: &str, bridge: &str) -> Result<Done> {
        let (link, controller) = (self.existing(name).await?, self.existing(bridge).await?);
        if link.controller == Some(controller.index) {
            return Ok(Done::Already);
        }
        let message = LinkUnspec::new_with_index(link.index).controller(controller.index).build();
        self.change(message, format!("add {name} to bridge {bridge}")).await?;
        Ok(Done::Changed)
    }

    /// Makes the link called `name` no port of anything.
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel`.
    pub async fn leave_bridge(&self, name: &str) -> Result<Done> {
        let link = self.existing(name).await?;
        if link.controller.is_none() {
            return Ok(Done::Already);
        }
        self.change(LinkUnspec::new_with_index(link.index).nocontroller().build(), format!("take {name} from its bridge"))
            .await?;
        Ok(Done::Changed)
    }

    /// Keeps the port called `name` from the other isolated ports of its bridge, or no longer.
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel` (`EOPNOTSUPP`, `EINVAL`) when it is no port.
    pub async fn ensure_isolation(&self, name: &str, isolated: bool) -> Result<Done> {
        let message = self.link_message(name).await?;
        if port(&message).contains(&InfoBridgePort::Isolated(isolated)) {
            return Ok(Done::Already);
        }
        let change = LinkBridgePort::new(message.header.index).isolated(isolated).build();
        self.change(change, format!("isolate port {name}")).await?;
        Ok(Done::Changed)
    }

    /// Has the bridge send back by the port called `name` what has come by it, or no longer.
    ///
    /// # Errors
    /// As `ensure_isolation`.
    pub async fn ensure_hairpin(&self, name: &str, hairpin: bool) -> Result<Done> {
        let message = self.link_message(name).await?;
        if port(&message).contains(&InfoBridgePort::HairpinMode(hairpin)) {
            return Ok(Done::Already);
        }
        let change = LinkBridgePort::new(message.header.index).hairpin(hairpin).build();
        self.change(change, format!("hairpin of port {name}")).await?;
        Ok(Done::Changed)
    }

    /// Has the port called `name` (or, by its own name, the bridge itself) carry exactly these VLANs. They take
    /// effect on a bridge with `vlan_filtering`.
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel` when it is no port, or the kernel's bridges know no VLANs.
    pub async fn ensure_port_vlans(&self, name: &str, vlans: &PortVlans) -> Result<Done> {
        let itself = self.existing(name).await?.kind.as_deref() == Some("bridge");
        let message = self.vlan_message(name).await?;
        let (wanted, present) = (vlans.wanted(), carried(&message));
        let index = message.header.index;
        let what = |id: &u16| format!("VLAN {id} of port {name}");
        let on = |id: u16, flags: BridgeVlanInfoFlags| {
            let message = LinkBridgeVlan::new(index);
            if itself { message.bridge_self().vlan(id, flags).build() } else { message.vlan(id, flags).build() }
        };
        let mut done = Done::Already;
        for (id, flags) in present.iter().filter(|(id, _)| !wanted.contains_key(id)) {
            let request = self.requests()?.link().del_with_message(on(*id, *flags)).execute();
            request.await.map_err(|e| Error::from_request(what(id), e))?;
            done = Done::Changed;
        }
        for (id, flags) in wanted.iter().filter(|(id, flags)| present.get(id) != Some(flags)) {
            let request = self.requests()?.link().set(on(*id, *flags)).execute();
            request.await.map_err(|e| Error::from_request(what(id), e))?;
            done = Done::Changed;
        }
        Ok(done)
    }

    async fn link_message(&self, name: &str) -> Result<LinkMessage> {
        let index = self.existing(name).await?.index;
        let mut answer = self.requests()?.link().get().match_index(index).execute();
        let message = answer.try_next().await.map_err(|e| Error::from_request(format!("look at port {name}"), e))?;
        message.ok_or_else(|| Error::NoSuchLink(name.to_owned()))
    }

    /// What bridges say of a port: the kernel answers for all of them or none.
    async fn vlan_message(&self, name: &str) -> Result<LinkMessage> {
        let index = self.existing(name).await?.index;
        let what = || format!("look at port {name}");
        let _alone = self.alone().await;
        let answer = self.requests()?.link().get().set_filter_mask(AddressFamily::Bridge, vec![LinkExtentMask::Brvlan]).execute();
        let messages: Vec<LinkMessage> = answer.try_collect().await.map_err(|e| Error::from_request(what(), e))?;
        let found = messages.into_iter().find(|message| message.header.index == index);
        found.ok_or_else(|| Error::Answer { what: what(), why: "it is no port of a bridge".to_owned() })
    }
}

fn port(message: &LinkMessage) -> &[InfoBridgePort] {
    let infos = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let data = infos.into_iter().flatten().find_map(|info| match info {
        LinkInfo::PortData(InfoPortData::BridgePort(infos)) => Some(infos.as_slice()),
        _ => None,
    });
    data.unwrap_or_default()
}

fn carried(message: &LinkMessage) -> BTreeMap<u16, BridgeVlanInfoFlags> {
    let specs = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::AfSpecBridge(specs) => Some(specs),
        _ => None,
    });
    let own = BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged;
    let vlan = |spec: &AfSpecBridge| match spec {
        AfSpecBridge::VlanInfo(vlan) => Some((vlan.vid, vlan.flags & own)),
        _ => None,
    };
    specs.into_iter().flatten().filter_map(vlan).collect()
}
