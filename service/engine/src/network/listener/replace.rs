//! `network.replace-forward`, `network.replace-load-balancer`: other keys and ports, in force at once.

use super::super::changeable;
use super::{Listener, check, known, plan, question};
use crate::Result;
use crate::instance::refuse_diversion;
use crate::ports::{State, same};
use crate::verb::{Plan, Question, Verb, View};
use async_trait::async_trait;
use lxhost_model::{Network, ObjectId};
use std::net::IpAddr;

/// Changes a forward or a load balancer. Connections there are stay.
pub struct Replace<L> {
    /// The network.
    pub id: ObjectId,
    /// The address it listens on.
    pub listen: IpAddr,
    /// What listens from now on.
    pub listener: L,
    /// Generation of the network the caller has read; `None`: whatever it is now.
    pub expected: Option<u64>,
}

impl<L: Listener> Replace<L> {
    fn changed(&self, state: &State) -> Result<Network> {
        let mut network = Network::clone(changeable(state, self.id)?.as_ref());
        known::<L>(&network, self.listen)?;
        same(network.generation, self.expected.unwrap_or(network.generation), format_args!("network {}", network.name))?;
        L::of_mut(&mut network).insert(self.listen, self.listener.clone());
        check(state, &network)?;
        refuse_diversion(state, &network, self.listen)?;
        Ok(network)
    }
}

#[async_trait]
impl<L: Listener> Verb for Replace<L> {
    fn name(&self) -> &'static str {
        L::VERBS[1]
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        vec![question(state, self.id, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        self.changed(state).map(drop)
    }

    fn writes_whole(&self) -> Option<&'static str> {
        Some(crate::network::FIREWALL)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.changed(&view.state).map(plan)
    }
}
