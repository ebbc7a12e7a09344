//! Networks of type `physical`: an interface of the host, or a VLAN on it, that one instance has to itself while it
//! runs. Depends on `uplink`; reached through the registry.

use super::uplink::{Uplink, without_addresses};
use super::{Surroundings, from_netlink};
use async_trait::async_trait;
use lxhost_engine::ports::{NetworkDriver, NetworkRecords, NetworkState, NicKind, NicPlan, NicSpec};
use lxhost_model::config::Config;
use lxhost_model::{Error, Kind, Network, Result};
use std::sync::Arc;

/// Networks of type `physical`.
pub(super) struct PhysicalNetworks {
    on: Surroundings,
}

/// The type's name.
pub(super) const KIND: &str = "physical";

impl PhysicalNetworks {
    pub(super) fn new(on: Surroundings) -> Self {
        PhysicalNetworks { on }
    }

    /// Refuses a link at which this host is reached, or that is not there.
    async fn spare(&self, name: &str) -> Result<()> {
        let refuse = |why: String| Err(Error::new(Kind::Conflict, format!("interface {name} {why}")));
        let Some(link) = self.on.links.link(name).await.map_err(from_netlink)? else {
            return refuse("is not on this host now; an instance may have it".to_owned());
        };
        if link.kind.as_deref() == Some("bridge") || link.controller.is_some() {
            return refuse("is a bridge or a port of one".to_owned());
        }
        let addresses = self.on.links.addresses().await.map_err(from_netlink)?;
        match addresses.iter().find(|address| address.link == link.index && !address.link_local) {
            Some(own) => refuse(format!("has the address {}, at which this host could not be reached any more", own.net)),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl NetworkDriver for PhysicalNetworks {
    fn interface(&self, network: &Network) -> String {
        Uplink::read(network).and_then(|uplink| uplink.link()).map(|link| link.to_string()).unwrap_or_default()
    }

    fn outside(&self, network: &Network) -> Vec<String> {
        Uplink::read(network).map(|uplink| vec![uplink.parent.to_string()]).unwrap_or_default()
    }

    async fn complete(&self, network: &Network, others: &NetworkRecords) -> Result<Config> {
        let named = |e: Error| e.context(format!("network {}", network.name));
        let uplink = Uplink::read(network)?;
        uplink.check(&self.on.links).await.map_err(named)?;
        let link = uplink.link()?;
        let same = |other: &&Arc<Network>| {
            other.id != network.id && other.kind == KIND && Uplink::read(other).and_then(|o| o.link()).is_ok_and(|l| l == link)
        };
        if let Some(other) = others.networks.iter().find(same) {
            return Err(named(Error::new(Kind::Conflict, format!("interface {link} is that of network {} already", other.name))));
        }
        // A VLAN that is made for it is nobody's.
        if link == uplink.parent {
            self.spare(link.as_str()).await.map_err(named)?;
        }
        Ok(network.config.clone())
    }

    async fn up(&self, network: &Network, _all: &NetworkRecords) -> Result<()> {
        let uplink = Uplink::read(network)?;
        // An interface that an instance has is not here, and comes back.
        if uplink.link()? == uplink.parent {
            return Ok(());
        }
        uplink.up(&self.on).await.map(drop).map_err(|e| e.context(format!("bring up network {}", network.name)))
    }

    async fn down(&self, network: &Network, _rest: &NetworkRecords) -> Result<()> {
        Uplink::read(network)?.down(&self.on).await
    }

    async fn is_up(&self, network: &Network) -> Result<bool> {
        let uplink = Uplink::read(network)?;
        Ok(uplink.link()? == uplink.parent || uplink.found(&self.on.links).await?.is_some())
    }

    async fn join(&self, network: &Network, nic: &NicPlan) -> Result<NicSpec> {
        without_addresses(nic)?;
        let uplink = Uplink::read(network)?;
        if uplink.link()? != uplink.parent {
            uplink.up(&self.on).await?;
        }
        let parent = uplink.link()?.to_string();
        self.spare(&parent).await?;
        let spec = NicSpec::new(nic, NicKind::Physical { parent });
        Ok(NicSpec { mac: nic.nic.hwaddr.clone(), mtu: nic.mtu.or(uplink.mtu), ..spec })
    }

    async fn state(&self, network: &Network, _others: &[Arc<Network>]) -> Result<NetworkState> {
        Uplink::read(network)?.state(&self.on.links).await
    }
}
