//! `network.delete-forward`, `network.delete-load-balancer`: an address of the host is its own again.

use super::super::changeable;
use super::{Listener, known, plan, question};
use crate::Result;
use crate::ports::State;
use crate::verb::{Plan, Question, Verb, View};
use async_trait::async_trait;
use lxhost_model::{Network, ObjectId};
use std::marker::PhantomData;
use std::net::IpAddr;

/// Deletes a forward or a load balancer. Connections there are stay.
pub struct Delete<L> {
    id: ObjectId,
    listen: IpAddr,
    kind: PhantomData<L>,
}

impl<L: Listener> Delete<L> {
    /// Deletes what listens on `listen` in the network `id`.
    pub fn new(id: ObjectId, listen: IpAddr) -> Self {
        Delete { id, listen, kind: PhantomData }
    }

    fn changed(&self, state: &State) -> Result<Network> {
        let mut network = Network::clone(changeable(state, self.id)?.as_ref());
        known::<L>(&network, self.listen)?;
        L::of_mut(&mut network).remove(&self.listen);
        Ok(network)
    }
}

#[async_trait]
impl<L: Listener> Verb for Delete<L> {
    fn name(&self) -> &'static str {
        L::VERBS[2]
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
