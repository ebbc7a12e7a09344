//! The link of the host that an interface lies on, and the VLAN on it that is made where one is wanted.

use super::{from_netlink, link_name};
use crate::network::Made;
use lxhost_engine::ports::NicPlan;
use lxhost_model::device::nic::Untagged;
use lxhost_model::{Error, Kind, Result};
use lxhost_netlink::{Handle, Link, Vlan, VlanId};

/// The parent that the plan names; it has to be there.
pub(super) async fn link(links: &Handle, plan: &NicPlan) -> Result<Link> {
    let name = plan.nic.parent.as_deref().unwrap_or_default();
    let found = links.link(name).await.map_err(from_netlink)?;
    let link = found.ok_or_else(|| Error::new(Kind::Conflict, format!("parent: this host has no network interface {name}")))?;
    if plan.mtu.is_some_and(|mtu| mtu > link.mtu) {
        return Err(Error::new(Kind::InvalidConfig, format!("mtu: {name} carries packets of {} bytes at most", link.mtu)));
    }
    Ok(link)
}

/// Name of the link that is used: the parent, or its VLAN, which is made and set up.
pub(super) async fn used(links: &Handle, made: &Made, plan: &NicPlan) -> Result<String> {
    let parent = link(links, plan).await?;
    let Untagged::Is(number) = plan.nic.vlans.untagged else {
        return match plan.nic.vlans.untagged {
            Untagged::None => Err(Error::new(Kind::InvalidConfig, "vlan: none is for bridged interfaces")),
            _ => Ok(parent.name),
        };
    };
    let name = format!("{}.{number}", parent.name);
    let id = VlanId::new(number).map_err(from_netlink)?;
    made.vlan(&Vlan::new(link_name(&name)?, link_name(&parent.name)?, id)).await?;
    Ok(name)
}

/// Removes the VLAN that was made, when nothing lies on it any more.
pub(super) async fn release(made: &Made, plan: &NicPlan) -> Result<()> {
    match (plan.nic.vlans.untagged, &plan.nic.parent) {
        (Untagged::Is(number), Some(parent)) => made.release(&format!("{parent}.{number}")).await,
        _ => Ok(()),
    }
}
