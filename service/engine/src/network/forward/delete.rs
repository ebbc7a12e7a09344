//! `network.delete-forward`: an address of the host is its own again.

use super::super::by_id;
use super::{known, plan, question};
use crate::Result;
use crate::ports::State;
use crate::verb::{Plan, Question, Verb, View};
use async_trait::async_trait;
use lxhost_model::{Network, ObjectId};
use std::net::IpAddr;

/// Deletes a forward. Connections there are stay.
pub struct Delete {
    /// The network.
    pub id: ObjectId,
    /// The address it listens on.
    pub listen: IpAddr,
}

impl Delete {
    fn changed(&self, state: &State) -> Result<Network> {
        let mut network = Network::clone(by_id(state, self.id)?.as_ref());
        known(&network, self.listen)?;
        network.forwards.remove(&self.listen);
        Ok(network)
    }
}

#[async_trait]
impl Verb for Delete {
    fn name(&self) -> &'static str {
        "network.delete-forward"
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
