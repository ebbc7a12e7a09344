//! Proxies that take their places on a host that is not there.

use crate::{Faults, locked};
use async_trait::async_trait;
use lxhost_engine::ports::{Proxies, ProxyPlan};
use lxhost_model::{Error, Kind, ObjectId, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The one port of the simulated machine that somebody else has.
const TAKEN: &str = "tcp:0.0.0.0:22";

/// Proxies of the simulated machine.
#[derive(Debug)]
pub struct SimProxies {
    open: Mutex<BTreeMap<(ObjectId, String), ProxyPlan>>,
    faults: Arc<Faults>,
}

impl SimProxies {
    pub(crate) fn new(faults: Arc<Faults>) -> SimProxies {
        SimProxies { open: Mutex::default(), faults }
    }

    /// Those that are open.
    pub fn open(&self) -> Vec<ProxyPlan> {
        locked(&self.open).values().cloned().collect()
    }

    /// One dies for good.
    pub fn lose(&self, instance: ObjectId, device: &str) {
        locked(&self.open).remove(&(instance, device.to_owned()));
    }
}

#[async_trait]
impl Proxies for SimProxies {
    async fn open(&self, plan: &ProxyPlan, _leader: u32) -> Result<()> {
        self.faults.pass("proxies.open")?;
        if !plan.proxy.inside && plan.proxy.pairs().iter().any(|(listen, _)| listen == TAKEN) {
            return Err(Error::new(Kind::Conflict, format!("{TAKEN} is taken by sshd (process 1)")));
        }
        locked(&self.open).insert((plan.instance, plan.device.to_string()), plan.clone());
        Ok(())
    }

    async fn close(&self, plan: &ProxyPlan) -> Result<()> {
        self.faults.pass("proxies.close")?;
        locked(&self.open).remove(&(plan.instance, plan.device.to_string()));
        Ok(())
    }

    async fn sweep(&self, instance: ObjectId) -> Result<()> {
        self.faults.pass("proxies.sweep")?;
        locked(&self.open).retain(|(id, _), _| *id != instance);
        Ok(())
    }

    async fn is_open(&self, plan: &ProxyPlan) -> Result<bool> {
        self.faults.pass("proxies.is_open")?;
        Ok(locked(&self.open).contains_key(&(plan.instance, plan.device.to_string())))
    }
}
