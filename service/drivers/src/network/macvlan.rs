//! Networks of type `macvlan`: interfaces with hardware addresses of their own on an interface of the host. They
//! reach what is behind it and each other, not the host. Depends on `uplink`; reached through the registry.

use super::Surroundings;
use super::uplink::{Uplink, without_addresses};
use async_trait::async_trait;
use lxhost_engine::ports::{NetworkDriver, NetworkRecords, NetworkState, NicKind, NicPlan, NicSpec};
use lxhost_model::config::Config;
use lxhost_model::{Error, Network, Result};
use std::sync::Arc;

/// Networks of type `macvlan`.
pub(super) struct MacvlanNetworks {
    on: Surroundings,
}

impl MacvlanNetworks {
    pub(super) fn new(on: Surroundings) -> Self {
        MacvlanNetworks { on }
    }
}

#[async_trait]
impl NetworkDriver for MacvlanNetworks {
    fn interface(&self, network: &Network) -> String {
        Uplink::read(network).and_then(|uplink| uplink.link()).map(|link| link.to_string()).unwrap_or_default()
    }

    fn outside(&self, network: &Network) -> Vec<String> {
        Uplink::read(network).map(|uplink| vec![uplink.parent.to_string()]).unwrap_or_default()
    }

    async fn complete(&self, network: &Network, _others: &NetworkRecords) -> Result<Config> {
        let uplink = Uplink::read(network)?;
        uplink.check(&self.on.links).await.map_err(|e| e.context(format!("network {}", network.name)))?;
        Ok(network.config.clone())
    }

    async fn up(&self, network: &Network, _all: &NetworkRecords) -> Result<()> {
        let up = Uplink::read(network)?.up(&self.on).await;
        up.map(drop).map_err(|e: Error| e.context(format!("bring up network {}", network.name)))
    }

    async fn down(&self, network: &Network, _rest: &NetworkRecords) -> Result<()> {
        Uplink::read(network)?.down(&self.on).await
    }

    async fn is_up(&self, network: &Network) -> Result<bool> {
        Ok(Uplink::read(network)?.found(&self.on.links).await?.is_some_and(|link| link.up))
    }

    async fn join(&self, network: &Network, nic: &NicPlan) -> Result<NicSpec> {
        without_addresses(nic)?;
        let uplink = Uplink::read(network)?;
        let parent = uplink.up(&self.on).await?.to_string();
        let mode = nic.nic.mode.clone().unwrap_or_else(|| "bridge".to_owned());
        Ok(NicSpec { mtu: nic.mtu.or(uplink.mtu), ..NicSpec::new(nic, NicKind::Macvlan { parent, mode }) })
    }

    async fn state(&self, network: &Network, _others: &[Arc<Network>]) -> Result<NetworkState> {
        Uplink::read(network)?.state(&self.on.links).await
    }
}
