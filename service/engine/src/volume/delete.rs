//! `volume.delete`: a volume that nobody uses is gone, with what is in it.

use super::{by_id, pool_of, question_of, unused};
use crate::Result;
use crate::ports::{RowKey, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::{ObjectId, Pool};

/// Deletes a volume.
pub struct Delete {
    id: ObjectId,
}

impl Delete {
    /// Deletes the volume `id`.
    pub fn new(id: ObjectId) -> Self {
        Delete { id }
    }
}

#[async_trait]
impl Verb for Delete {
    fn name(&self) -> &'static str {
        "volume.delete"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        vec![question_of(state, self.id, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        unused(state, by_id(state, self.id)?.as_ref())
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let pool = Pool::clone(pool_of(&view.state, by_id(&view.state, self.id)?.as_ref())?.as_ref());
        Ok(Plan {
            writes: vec![],
            steps: vec![Step::RemoveVolume { pool, volume: self.id }],
            finish: vec![Write::Delete(RowKey::Volume(self.id))],
            failed: vec![],
            recovery: Recovery::Resume,
        })
    }
}
