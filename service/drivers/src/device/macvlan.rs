//! `macvlan`: a hardware address of its own on a link of the host. The host itself is not reached by it.

use super::parent;
use crate::network::Made;
use async_trait::async_trait;
use lxhost_engine::ports::{NicDriver, NicKind, NicPlan, NicSpec};
use lxhost_model::Result;
use lxhost_netlink::Handle;

/// Interfaces that share a link by hardware address.
pub(super) struct Macvlan {
    links: Handle,
    made: Made,
}

impl Macvlan {
    pub(super) fn new(links: Handle, made: Made) -> Self {
        Macvlan { links, made }
    }
}

#[async_trait]
impl NicDriver for Macvlan {
    async fn attach(&self, plan: &NicPlan) -> Result<NicSpec> {
        let parent = parent::used(&self.links, &self.made, plan).await?;
        let mode = plan.nic.mode.clone().unwrap_or_else(|| "bridge".to_owned());
        Ok(NicSpec::new(plan, NicKind::Macvlan { parent, mode }))
    }

    async fn detach(&self, plan: &NicPlan) -> Result<()> {
        parent::release(&self.made, plan).await
    }
}
