//! `network.replace-forward`: other keys and ports for a forward, in force at once.

use super::super::by_id;
use super::{check, known, plan, question};
use crate::Result;
use crate::ports::{State, same};
use crate::verb::{Plan, Question, Verb, View};
use async_trait::async_trait;
use lxhost_model::config::Config;
use lxhost_model::forward::PortKeys;
use lxhost_model::{Forward, Network, ObjectId};
use std::net::IpAddr;

/// Changes a forward. Connections there are stay.
pub struct Replace {
    /// The network.
    pub id: ObjectId,
    /// The address it listens on.
    pub listen: IpAddr,
    /// Its keys from now on.
    pub config: Config,
    /// Its ports from now on.
    pub ports: Vec<PortKeys>,
    /// Its description from now on; `None` stays.
    pub description: Option<String>,
    /// Generation of the network the caller has read; `None`: whatever it is now.
    pub expected: Option<u64>,
}

impl Replace {
    fn changed(&self, state: &State) -> Result<Network> {
        let mut network = Network::clone(by_id(state, self.id)?.as_ref());
        let before = known(&network, self.listen)?;
        same(network.generation, self.expected.unwrap_or(network.generation), format_args!("network {}", network.name))?;
        let description = self.description.as_ref().unwrap_or(&before.description).clone();
        let forward = Forward { description, config: self.config.clone(), ports: self.ports.clone() };
        network.forwards.insert(self.listen, forward);
        check(state, &network)?;
        Ok(network)
    }
}

#[async_trait]
impl Verb for Replace {
    fn name(&self) -> &'static str {
        "network.replace-forward"
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
