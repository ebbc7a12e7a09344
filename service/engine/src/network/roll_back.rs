//! `network.roll-back`: a network, and what the host had on its interfaces, becomes what it was before a change that
//! nobody has confirmed.

use super::{by_id, checkpoint, question_about};
use crate::ports::{Row, RowKey, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::checkpoint::Undoes;
use lxhost_model::{Network, ObjectId, Timestamp};

/// Undoes the change of a network that waits to be confirmed.
pub struct RollBack {
    id: ObjectId,
    until: Option<Timestamp>,
}

impl RollBack {
    /// Undoes that of the network `id`, at once.
    pub fn new(id: ObjectId) -> Self {
        RollBack { id, until: None }
    }

    /// Undoes the one whose time was over then, and no other.
    pub(super) fn due(id: ObjectId, until: Timestamp) -> Self {
        RollBack { id, until: Some(until) }
    }
}

#[async_trait]
impl Verb for RollBack {
    fn name(&self) -> &'static str {
        "network.roll-back"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        vec![question_about(state, self.id, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        let network = by_id(state, self.id)?;
        let open = checkpoint(&network)?;
        match self.until.is_some_and(|until| until != open.until) {
            true => {
                Err(Error::new(Kind::InvalidState, format!("network {}: another change waits to be confirmed", network.name)))
            }
            false => Ok(()),
        }
    }

    fn writes_whole(&self) -> Option<&'static str> {
        Some(super::FIREWALL)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let network = by_id(&view.state, self.id)?;
        let was = |before: &Network| {
            Write::Update(Row::Network(Network { checkpoint: None, generation: network.generation, ..before.clone() }))
        };
        let write = match &checkpoint(&network)?.undoes {
            Undoes::Creation => Write::Delete(RowKey::Network(self.id)),
            Undoes::Change(before) => was(before),
            Undoes::Deletion => was(&network),
        };
        Ok(Plan {
            writes: vec![],
            steps: vec![Step::NetworkBack(Network::clone(&network))],
            finish: vec![write],
            failed: vec![],
            recovery: Recovery::Resume,
        })
    }
}
