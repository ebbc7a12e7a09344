//! `acl.delete`: an ACL that nobody uses is gone.

use super::{by_id, question_of, unused};
use crate::Result;
use crate::ports::{RowKey, State, Write};
use crate::verb::{Plan, Question, Verb, View};
use async_trait::async_trait;
use lxhost_model::ObjectId;

/// Deletes an ACL.
pub struct Delete {
    id: ObjectId,
}

impl Delete {
    /// Deletes the ACL `id`.
    pub fn new(id: ObjectId) -> Self {
        Delete { id }
    }
}

#[async_trait]
impl Verb for Delete {
    fn name(&self) -> &'static str {
        "acl.delete"
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
        Ok(Plan::writes(vec![Write::Delete(RowKey::Acl(self.id))]))
    }
}
