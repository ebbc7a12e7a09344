//! Proxies: relayed by a process in a unit of its own (`relay`), or by the kernel, which gives packets another
//! destination (`nat`). Which, the device says.

mod nat;
mod relay;

pub(crate) use nat::PROXY_TABLES;

use crate::network::Surroundings;
use async_trait::async_trait;
use lxhost_engine::ports::{Proxies, ProxyPlan, Relays};
use lxhost_model::{ObjectId, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// Proxies of this host.
pub struct HostProxies {
    on: Surroundings,
    relays: Arc<dyn Relays>,
    /// Where processes are looked for.
    proc: PathBuf,
    tables: nat::Tables,
}

impl HostProxies {
    /// Proxies in `surroundings`, with processes of `relays`.
    pub fn new(surroundings: Surroundings, relays: Arc<dyn Relays>) -> Self {
        HostProxies { on: surroundings, relays, proc: PathBuf::from("/proc"), tables: nat::Tables::default() }
    }
}

#[async_trait]
impl Proxies for HostProxies {
    async fn open(&self, plan: &ProxyPlan, leader: u32) -> Result<()> {
        match &plan.target {
            Some(target) => {
                self.tables.note(plan).await;
                nat::open(&self.on.links, &self.proc, plan, target).await
            }
            None => relay::open(self.relays.as_ref(), &self.proc, plan, leader).await,
        }
    }

    async fn close(&self, plan: &ProxyPlan) -> Result<()> {
        match &plan.target {
            Some(_) => nat::close(plan).await,
            None => relay::close(self.relays.as_ref(), plan).await,
        }
    }

    async fn sweep(&self, instance: ObjectId) -> Result<()> {
        self.tables.sweep(instance).await
    }

    async fn is_open(&self, plan: &ProxyPlan) -> Result<bool> {
        match &plan.target {
            Some(_) => nat::is_open(plan).await,
            None => self.relays.is_active(&relay::unit(plan)).await,
        }
    }
}

#[cfg(test)]
pub(crate) fn plan_of(keys: &[(&str, &str)], target: Option<&str>) -> ProxyPlan {
    let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    use lxhost_engine::ports::ProxyTarget;
    ProxyPlan {
        instance: lxhost_model::ObjectId::from_random([9; 16]),
        machine: "c1".into(),
        device: "web".parse().unwrap(),
        proxy: lxhost_model::device::Proxy::read(&keys).unwrap(),
        target: target.map(|address| ProxyTarget { address: address.parse().unwrap(), nic: "eth0".into(), host_name: None }),
    }
}
