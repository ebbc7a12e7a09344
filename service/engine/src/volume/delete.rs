//! `volume.delete`: a volume that nobody uses is gone, with what is in it and its snapshots.

use super::{by_id, place, pool_of, question_of, unused};
use crate::ports::{RowKey, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Result, trash};
use async_trait::async_trait;
use lxhost_model::{Discarded, ObjectId, Pool, Volume, VolumeSnapshot};

/// Deletes a volume.
pub struct Delete {
    id: ObjectId,
    at_once: bool,
}

impl Delete {
    /// Deletes the volume `id`.
    pub fn new(id: ObjectId) -> Self {
        Delete { id, at_once: false }
    }

    /// For good, whatever its pool says about the trash.
    #[must_use]
    pub fn at_once(self, at_once: bool) -> Self {
        Delete { at_once, ..self }
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
        let state = &view.state;
        let volume = by_id(state, self.id)?;
        let (pool, volumes) = (Pool::clone(pool_of(state, &volume)?.as_ref()), place(view.ports, state, &volume)?);
        if let Some(expires) = lxhost_model::trash::end(&pool, view.now).filter(|_| !self.at_once) {
            let snapshots = state.snapshots_of_volume(self.id).map(|one| VolumeSnapshot::clone(one)).collect();
            let what = Discarded::Volume(Box::new(Volume::clone(&volume)), snapshots);
            return Ok(Plan::writes(trash::put(what, view.now, expires, None)));
        }
        let (mut steps, mut finish) = (trash::removing(view.ports, state, self.id)?, trash::forget(state, self.id));
        for snapshot in state.snapshots_of_volume(self.id) {
            steps.push(Step::RemoveSnapshot { pool: volumes.clone(), snapshot: snapshot.id });
            finish.push(Write::Delete(RowKey::VolumeSnapshot(self.id, snapshot.id)));
        }
        steps.push(Step::RemoveVolume { pool, volume: self.id });
        finish.push(Write::Delete(RowKey::Volume(self.id)));
        Ok(Plan { writes: vec![], steps, finish, failed: vec![], recovery: Recovery::Resume })
    }
}
