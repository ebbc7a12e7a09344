//! Ports of bridges: who is one, which VLANs they carry, whether they see each other.

use crate::{Done, Error, Handle, Result, VlanId};
use futures_util::TryStreamExt;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{
    AfSpecBridge, BridgeVlanInfoFlags, InfoBridgePort, InfoPortData, LinkAttribute, LinkExtentMask, LinkInfo, LinkMessage,
};
use rtnetlink::{LinkBridgePort, LinkBridgeVlan, LinkMessageBuilder, LinkUnspec};
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
    /// ```no_run
    /// # async fn example() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::Handle;
    /// let handle = Handle::open()?;
    /// let _ = handle.ensure_port("eth1", "br0").await?;
    /// // Not to be seen by others that are isolated.
    /// let _ = handle.ensure_isolation("eth1", true).await?;
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```no_run
    /// # async fn example() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::{Bridge, Handle, PortVlans};
    /// let handle = Handle::open()?;
    /// let bridge = Bridge::new("br0".parse()?, "0a:00:00:00:00:01".parse()?);
    /// let _ = handle.ensure_bridge(&Bridge { vlan_filtering: true, ..bridge }).await?;
    /// let _ = handle.ensure_port("eth1", "br0").await?;
    /// let vlans = PortVlans { untagged: Some("100".parse()?), tagged: vec!["200".parse()?, "201".parse()?] };
    /// let _ = handle.ensure_port_vlans("eth1", &vlans).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel` when it is no port, or the kernel's bridges know no VLANs.
    pub async fn ensure_port_vlans(&self, name: &str, vlans: &PortVlans) -> Result<Done> {
        let itself = self.existing(name).await?.kind.as_deref() == Some("bridge");
        let message = self.vlan_message(name).await?;
        let (wanted, present) = (vlans.wanted(), carried(&message));
        let index = message.header.index;
        let what = |run: &Run| format!("VLANs {} to {} of port {name}", run.first, run.last);
        let on = |run: &Run| {
            let message = if itself { LinkBridgeVlan::new(index).bridge_self() } else { LinkBridgeVlan::new(index) };
            run.on(message).build()
        };
        let mut done = Done::Already;
        for run in runs(present.iter().filter(|(id, _)| !wanted.contains_key(id))) {
            let request = self.requests()?.link().del_with_message(on(&run)).execute();
            request.await.map_err(|e| Error::from_request(what(&run), e))?;
            done = Done::Changed;
        }
        for run in runs(wanted.iter().filter(|(id, flags)| present.get(id) != Some(flags))) {
            let request = self.requests()?.link().set(on(&run)).execute();
            request.await.map_err(|e| Error::from_request(what(&run), e))?;
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
        let answer = self
            .requests()?
            .link()
            .get()
            .set_filter_mask(AddressFamily::Bridge, vec![LinkExtentMask::BrvlanCompressed])
            .execute();
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

/// VLANs in a row that are carried alike.
struct Run {
    first: u16,
    last: u16,
    flags: BridgeVlanInfoFlags,
}

impl Run {
    fn on(&self, message: LinkMessageBuilder<LinkBridgeVlan>) -> LinkMessageBuilder<LinkBridgeVlan> {
        if self.first == self.last {
            return message.vlan(self.first, self.flags);
        }
        message.vlan_range_start(self.first, self.flags).vlan_range_end(self.last, self.flags)
    }
}

/// VLANs in their order as runs; that of frames without a tag stands alone.
fn runs<'a>(vlans: impl Iterator<Item = (&'a u16, &'a BridgeVlanInfoFlags)>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (id, flags) in vlans {
        match runs.last_mut() {
            Some(run) if run.last + 1 == *id && run.flags == *flags && !flags.contains(BridgeVlanInfoFlags::Pvid) => {
                run.last = *id
            }
            _ => runs.push(Run { first: *id, last: *id, flags: *flags }),
        }
    }
    runs
}

fn carried(message: &LinkMessage) -> BTreeMap<u16, BridgeVlanInfoFlags> {
    let specs = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::AfSpecBridge(specs) => Some(specs),
        _ => None,
    });
    let own = BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged;
    let (mut carried, mut begin) = (BTreeMap::new(), None);
    for spec in specs.into_iter().flatten() {
        let AfSpecBridge::VlanInfo(vlan) = spec else { continue };
        if vlan.flags.contains(BridgeVlanInfoFlags::RangeBegin) {
            begin = Some(vlan.vid);
            continue;
        }
        let first = begin.take().unwrap_or(vlan.vid);
        carried.extend((first..=vlan.vid).map(|id| (id, vlan.flags & own)));
    }
    carried
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vlans_in_a_row_are_one_request() {
        let ids = |ids: &[u16]| ids.iter().map(|id| VlanId::new(*id).unwrap()).collect();
        let port = PortVlans { untagged: Some(VlanId::new(10).unwrap()), tagged: ids(&[2, 3, 9, 11, 12, 4094]) };
        let runs: Vec<(u16, u16)> = runs(port.wanted().iter()).iter().map(|run| (run.first, run.last)).collect();
        assert_eq!(runs, [(2, 3), (9, 9), (10, 10), (11, 12), (4094, 4094)]);
    }
}
