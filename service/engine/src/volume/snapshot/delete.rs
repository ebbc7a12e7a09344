//! `volume-snapshot.delete`: a snapshot of a volume, or all whose time is over, are gone; the volume goes on.

use super::super::{by_id, place};
use super::{find, is_left, is_over, question};
use crate::Result;
use crate::ports::{RowKey, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::name::SnapshotName;
use lxhost_model::{ObjectId, VolumeSnapshot};
use std::sync::Arc;

/// Deletes snapshots of a volume.
pub struct Delete {
    volume: ObjectId,
    /// Which; `None`: those whose time is over.
    name: Option<SnapshotName>,
}

impl Delete {
    /// Deletes the snapshot `name` of `volume`.
    pub fn new(volume: ObjectId, name: SnapshotName) -> Self {
        Delete { volume, name: Some(name) }
    }

    /// Deletes those of `volume` whose time is over.
    pub fn over(volume: ObjectId) -> Self {
        Delete { volume, name: None }
    }
}

#[async_trait]
impl Verb for Delete {
    fn name(&self) -> &'static str {
        "volume-snapshot.delete"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let name = self.name.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![question(state, self.volume, &name, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.volume)
    }

    fn check(&self, state: &State) -> Result<()> {
        // The one that is named has to be there.
        match &self.name {
            Some(name) => find(state, self.volume, name).map(drop),
            None => by_id(state, self.volume).map(drop),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        let pool = place(view.ports, state, by_id(state, self.volume)?.as_ref())?;
        let chosen = |one: &&Arc<VolumeSnapshot>| match &self.name {
            Some(name) => one.name == *name,
            None => is_over(one, view.now),
        };
        let gone = state.snapshots_of_volume(self.volume).filter(|one| chosen(one) || is_left(one));
        let gone: Vec<ObjectId> = gone.map(|one| one.id).collect();
        Ok(Plan {
            writes: vec![],
            steps: gone.iter().map(|id| Step::RemoveSnapshot { pool: pool.clone(), snapshot: *id }).collect(),
            finish: gone.iter().map(|id| Write::Delete(RowKey::VolumeSnapshot(self.volume, *id))).collect(),
            failed: vec![],
            recovery: Recovery::Resume,
        })
    }
}
