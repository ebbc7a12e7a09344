//! `network.create-forward`, `network.create-load-balancer`: an address of the host whose ports lead to instances of a network.

use super::super::changeable;
use super::{Listener, check, plan, question};
use crate::instance::refuse_diversion;
use crate::ports::State;
use crate::verb::{Plan, Question, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::{Network, ObjectId};
use std::net::IpAddr;

/// Makes a forward or a load balancer.
pub struct Create<L> {
    /// The network.
    pub id: ObjectId,
    /// The address it listens on.
    pub listen: IpAddr,
    /// What listens.
    pub listener: L,
}

impl<L: Listener> Create<L> {
    fn changed(&self, state: &State) -> Result<Network> {
        let mut network = Network::clone(changeable(state, self.id)?.as_ref());
        match L::of_mut(&mut network).insert(self.listen, self.listener.clone()) {
            Some(_) => {
                let what = format!("network {} has a {} of {} already", network.name, L::NOUN, self.listen);
                Err(Error::new(Kind::AlreadyExists, what))
            }
            None => {
                check(state, &network)?;
                refuse_diversion(state, &network, self.listen)?;
                Ok(network)
            }
        }
    }
}

#[async_trait]
impl<L: Listener> Verb for Create<L> {
    fn name(&self) -> &'static str {
        L::VERBS[0]
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
