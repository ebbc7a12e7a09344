//! `network.up`: a network that has a record and is not on the host (any more) is brought up. A
//! prerequisite of starts, and what the daemon does after a boot.

use crate::Result;
use crate::ports::State;
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::Network;
use std::sync::Arc;

/// Brings a network up.
pub(crate) struct Up {
    network: Arc<Network>,
}

impl Up {
    pub(crate) fn new(network: Arc<Network>) -> Self {
        Up { network }
    }
}

#[async_trait]
impl Verb for Up {
    fn name(&self) -> &'static str {
        "network.up"
    }

    fn questions(&self, _state: &State) -> Vec<Question> {
        vec![]
    }

    fn key(&self) -> Option<String> {
        Some("network.create".to_owned())
    }

    fn writes_whole(&self) -> Option<&'static str> {
        Some(super::FIREWALL)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        // As it is by now; one that is gone or going stays down.
        let now = view.state.networks.get(&self.network.id).filter(|network| !network.is_leaving());
        let steps = now.map(|network| Step::NetworkUp(Network::clone(network))).into_iter().collect();
        Ok(Plan { writes: vec![], steps, finish: vec![], failed: vec![], recovery: Recovery::Resume })
    }
}
