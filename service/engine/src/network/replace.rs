//! `network.replace`: other keys and description for a network, on the host at once.

use super::{changeable, guard, listener};
use crate::Result;
use crate::ports::{NetworkRecords, Row, State, Write, same};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::config::{Config, check_text};
use lxhost_model::{Network, ObjectId};

/// Changes a network. Who is attached stays so; addresses that guests have are theirs until they ask again.
pub struct Replace {
    /// The network.
    pub id: ObjectId,
    /// Its keys from now on; addresses left out are chosen anew.
    pub config: Config,
    /// Its description from now on; `None` stays.
    pub description: Option<String>,
    /// Generation the caller has read; `None`: whatever it is now.
    pub expected: Option<u64>,
}

impl Replace {
    fn changed(&self, state: &State) -> Result<Network> {
        let mut network = Network::clone(changeable(state, self.id)?.as_ref());
        same(network.generation, self.expected.unwrap_or(network.generation), format_args!("network {}", network.name))?;
        self.config.iter().try_for_each(|(key, value)| check_text(key, value))?;
        network.config.clone_from(&self.config);
        if let Some(description) = &self.description {
            check_text("description", description)?;
            network.description.clone_from(description);
        }
        Ok(network)
    }
}

#[async_trait]
impl Verb for Replace {
    fn name(&self) -> &'static str {
        "network.replace"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let name = state.networks.get(&self.id).map(|network| network.name.to_string()).unwrap_or_default();
        guard(&name, &self.config, self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        self.changed(state).map(drop)
    }

    fn writes_whole(&self) -> Option<&'static str> {
        Some(super::FIREWALL)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let mut network = self.changed(&view.state)?;
        let others = NetworkRecords::claimed(&view.state).without(network.id);
        network.config = view.ports.networks.driver(&network.kind)?.complete(&network, &others).await?;
        listener::check(&view.state, &network)?;
        Ok(Plan {
            writes: vec![],
            steps: vec![Step::NetworkUp(network.clone())],
            finish: vec![Write::Update(Row::Network(network))],
            failed: vec![],
            recovery: Recovery::Undo,
        })
    }
}
