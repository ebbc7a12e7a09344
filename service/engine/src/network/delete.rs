//! `network.delete`: a network that nobody uses is gone from records and host.

use super::{by_id, changeable, question_about, unused};
use crate::Result;
use crate::ports::{RowKey, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::{Network, ObjectId};

/// Deletes a network.
pub struct Delete {
    id: ObjectId,
}

impl Delete {
    /// Deletes the network `id`.
    pub fn new(id: ObjectId) -> Self {
        Delete { id }
    }
}

#[async_trait]
impl Verb for Delete {
    fn name(&self) -> &'static str {
        "network.delete"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        vec![question_about(state, self.id, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        unused(state, changeable(state, self.id)?.as_ref())
    }

    fn writes_whole(&self) -> Option<&'static str> {
        Some(super::FIREWALL)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let network = by_id(&view.state, self.id)?;
        Ok(Plan {
            writes: vec![],
            steps: vec![Step::NetworkDown(Network::clone(&network))],
            finish: vec![Write::Delete(RowKey::Network(self.id))],
            failed: vec![],
            recovery: Recovery::Resume,
        })
    }
}
