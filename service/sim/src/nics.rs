//! Interfaces that join no network, on links that nobody has.

use crate::{Faults, locked};
use async_trait::async_trait;
use lxhost_engine::ports::{HostEnd, NicDriver, NicKind, NicKinds, NicPlan, NicSpec, Port};
use lxhost_model::device::NicType;
use lxhost_model::{Error, Kind, ObjectId, Result};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// The one link that a simulated machine has beside its networks.
const LINK: &str = "eth0";

/// Kinds of interfaces of the simulated machine.
#[derive(Debug, Clone)]
pub struct SimNics {
    attached: Arc<Mutex<BTreeSet<(ObjectId, String)>>>,
    faults: Arc<Faults>,
}

impl SimNics {
    pub(crate) fn new(faults: Arc<Faults>) -> SimNics {
        SimNics { attached: Arc::default(), faults }
    }

    /// Interfaces that were attached, by instance and name.
    pub fn attached(&self) -> BTreeSet<(ObjectId, String)> {
        locked(&self.attached).clone()
    }
}

#[async_trait]
impl NicDriver for SimNics {
    async fn attach(&self, plan: &NicPlan) -> Result<NicSpec> {
        self.faults.pass("nic.attach")?;
        let parent = plan.nic.parent.clone().unwrap_or_default();
        if !parent.is_empty() && parent != LINK {
            return Err(Error::new(Kind::Conflict, format!("parent: this host has no network interface {parent}")));
        }
        let digits: String = plan.mac.chars().filter(char::is_ascii_hexdigit).collect();
        let end = HostEnd { name: format!("sim{digits}"), ..HostEnd::default() };
        let kind = match plan.nic.kind {
            Some(NicType::Macvlan) => NicKind::Macvlan { parent, mode: "bridge".to_owned() },
            Some(NicType::Ipvlan) => NicKind::Ipvlan { parent, mode: "l3s".to_owned() },
            Some(NicType::Physical) => NicKind::Physical { parent },
            Some(NicType::P2p | NicType::Routed) => NicKind::Pair(end),
            Some(NicType::Bridged) | None => NicKind::Bridged(Port { end, bridge: parent, ..Port::default() }),
        };
        locked(&self.attached).insert((plan.instance, plan.name.clone()));
        Ok(NicSpec::new(plan, kind))
    }

    async fn detach(&self, plan: &NicPlan) -> Result<()> {
        self.faults.pass("nic.detach")?;
        locked(&self.attached).remove(&(plan.instance, plan.name.clone()));
        Ok(())
    }
}

impl NicKinds for SimNics {
    fn driver(&self, _kind: NicType) -> Result<Arc<dyn NicDriver>> {
        Ok(Arc::new(self.clone()))
    }
}
