//! `profile.delete`: a profile that nobody uses is gone.

use super::{by_id, question};
use crate::ports::{RowKey, State, Write};
use crate::verb::{Plan, Question, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::{Action, ObjectId};

/// Deletes a profile.
pub struct Delete {
    id: ObjectId,
}

impl Delete {
    /// Deletes the profile `id`.
    pub fn new(id: ObjectId) -> Self {
        Delete { id }
    }
}

#[async_trait]
impl Verb for Delete {
    fn name(&self) -> &'static str {
        "profile.delete"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let name = by_id(state, self.id).map(|profile| profile.name.to_string()).unwrap_or_default();
        vec![question(Action::ProfileManage, &name, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        let profile = by_id(state, self.id)?;
        let user = state.instances.values().find(|i| i.project == profile.project && i.profiles.contains(&profile.name));
        match user {
            Some(instance) => {
                Err(Error::new(Kind::InUse, format!("profile {} is used by instance {}", profile.name, instance.name)))
            }
            None => Ok(()),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        Ok(Plan::writes(vec![Write::Delete(RowKey::Profile(self.id))]))
    }
}
