//! `physical`: a link of the host that the guest has to itself until it ends. The launcher brings it back.

use super::{from_netlink, parent};
use crate::network::Made;
use async_trait::async_trait;
use lxhost_engine::ports::{NicDriver, NicKind, NicPlan, NicSpec};
use lxhost_model::device::nic::Untagged;
use lxhost_model::{Error, Kind, Result};
use lxhost_netlink::Handle;

/// Links of the host.
pub(super) struct Physical {
    links: Handle,
    made: Made,
}

impl Physical {
    pub(super) fn new(links: Handle, made: Made) -> Self {
        Physical { links, made }
    }

    /// What carries the host's own traffic stays.
    async fn refuse_used(&self, name: &str) -> Result<()> {
        let refuse = |what: &str| Err(Error::new(Kind::InUse, format!("parent: {name} {what}")));
        let link = self.links.link(name).await.map_err(from_netlink)?;
        let Some(link) = link else { return Ok(()) };
        if link.controller.is_some() {
            return refuse("is a port of a bridge or bond");
        }
        if link.kind.as_deref() == Some("bridge") {
            return refuse("is a bridge; use nictype=bridged");
        }
        let routes = self.links.routes().await.map_err(from_netlink)?;
        if routes.iter().any(|route| route.link == Some(link.index) && route.destination.prefix_len() == 0) {
            return refuse("carries this host's default route");
        }
        Ok(())
    }
}

#[async_trait]
impl NicDriver for Physical {
    async fn attach(&self, plan: &NicPlan) -> Result<NicSpec> {
        let name = plan.nic.parent.clone().unwrap_or_default();
        let spec = |parent| NicSpec { mac: plan.nic.hwaddr.clone(), ..NicSpec::new(plan, NicKind::Physical { parent }) };
        let vlan = matches!(plan.nic.vlans.untagged, Untagged::Is(_));
        // One that is inside already is not here, and a change of the instance goes on.
        if !vlan && !self.links.link_exists(&name).await.map_err(from_netlink)? {
            return Err(Error::new(Kind::Conflict, format!("parent: this host has no network interface {name}")));
        }
        if !vlan {
            self.refuse_used(&name).await?;
        }
        Ok(spec(parent::used(&self.links, &self.made, plan).await?))
    }

    async fn detach(&self, plan: &NicPlan) -> Result<()> {
        parent::release(&self.made, plan).await
    }
}
