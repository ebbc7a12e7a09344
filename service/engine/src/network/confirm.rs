//! `network.confirm`: a change that would have been undone by itself stays.

use super::{by_id, checkpoint, question_about, unused};
use crate::Result;
use crate::ports::{Row, RowKey, State, Write};
use crate::verb::{Plan, Question, Verb, View};
use async_trait::async_trait;
use lxhost_model::{Network, ObjectId};

/// Keeps the change of a network that waits to be confirmed.
pub struct Confirm {
    id: ObjectId,
}

impl Confirm {
    /// Keeps that of the network `id`.
    pub fn new(id: ObjectId) -> Self {
        Confirm { id }
    }
}

#[async_trait]
impl Verb for Confirm {
    fn name(&self) -> &'static str {
        "network.confirm"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        vec![question_about(state, self.id, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        let network = by_id(state, self.id)?;
        checkpoint(&network)?;
        if network.is_leaving() { unused(state, &network) } else { Ok(()) }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let network = by_id(&view.state, self.id)?;
        Ok(Plan::writes(vec![match network.is_leaving() {
            true => Write::Delete(RowKey::Network(self.id)),
            false => Write::Update(Row::Network(Network { checkpoint: None, ..Network::clone(&network) })),
        }]))
    }
}
