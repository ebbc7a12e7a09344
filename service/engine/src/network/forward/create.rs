//! `network.create-forward`: an address of the host whose ports lead to instances of a network.

use super::super::by_id;
use super::{check, plan, question};
use crate::ports::State;
use crate::verb::{Plan, Question, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::{Forward, Network, ObjectId};
use std::net::IpAddr;

/// Makes a forward.
pub struct Create {
    /// The network.
    pub id: ObjectId,
    /// The address it listens on.
    pub listen: IpAddr,
    /// The forward.
    pub forward: Forward,
}

impl Create {
    fn changed(&self, state: &State) -> Result<Network> {
        let mut network = Network::clone(by_id(state, self.id)?.as_ref());
        match network.forwards.insert(self.listen, self.forward.clone()) {
            Some(_) => {
                let what = format!("network {} has a forward of {} already", network.name, self.listen);
                Err(Error::new(Kind::AlreadyExists, what))
            }
            None => check(state, &network).map(|()| network),
        }
    }
}

#[async_trait]
impl Verb for Create {
    fn name(&self) -> &'static str {
        "network.create-forward"
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
