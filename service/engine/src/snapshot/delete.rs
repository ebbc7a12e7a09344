//! `snapshot.delete`: a snapshot and what it keeps are gone; the instance, and what was made of it, go on.

use super::{find, is_left, questions};
use crate::core::instance_of;
use crate::instance::pool_of;
use crate::ports::{RowKey, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::name::SnapshotName;
use lxhost_model::{ObjectId, Status};

/// Deletes a snapshot.
pub struct Delete {
    instance: ObjectId,
    name: SnapshotName,
}

impl Delete {
    /// Deletes the snapshot `name` of `instance`.
    pub fn new(instance: ObjectId, name: SnapshotName) -> Self {
        Delete { instance, name }
    }
}

#[async_trait]
impl Verb for Delete {
    fn name(&self) -> &'static str {
        "snapshot.delete"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        questions(state, self.instance, self.name.as_str(), self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.instance)
    }

    fn check(&self, state: &State) -> Result<()> {
        let instance = instance_of(state, self.instance)?;
        find(state, self.instance, &self.name)?;
        match instance.status {
            Status::Deleting | Status::Creating => {
                Err(Error::new(Kind::InvalidState, format!("instance {} is {}", instance.name, instance.status)))
            }
            _ => Ok(()),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let pool = pool_of(&view.state, instance_of(&view.state, self.instance)?.as_ref())?;
        find(&view.state, self.instance, &self.name)?;
        let gone = view.state.snapshots_of(self.instance).filter(|one| one.name == self.name || is_left(one));
        let gone: Vec<ObjectId> = gone.map(|one| one.id).collect();
        Ok(Plan {
            writes: vec![],
            steps: gone.iter().map(|id| Step::RemoveSnapshot { pool: pool.clone(), snapshot: *id }).collect(),
            finish: gone.iter().map(|id| Write::Delete(RowKey::Snapshot(self.instance, *id))).collect(),
            failed: vec![],
            recovery: Recovery::Resume,
        })
    }
}
