//! `volume-snapshot.delete`: a snapshot of a volume, or all whose time is over, are gone; the volume goes on.

use super::super::{by_id, place, pool_of};
use super::{find, is_left, is_over, question};
use crate::ports::{RowKey, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Result, trash};
use async_trait::async_trait;
use lxhost_model::name::SnapshotName;
use lxhost_model::{Discarded, ObjectId, VolumeSnapshot};
use std::sync::Arc;

/// Deletes snapshots of a volume.
pub struct Delete {
    volume: ObjectId,
    /// Which; `None`: those whose time is over.
    name: Option<SnapshotName>,
    at_once: bool,
}

impl Delete {
    /// Deletes the snapshot `name` of `volume`.
    pub fn new(volume: ObjectId, name: SnapshotName) -> Self {
        Delete { volume, name: Some(name), at_once: false }
    }

    /// For good, whatever the pool says about the trash.
    #[must_use]
    pub fn at_once(self, at_once: bool) -> Self {
        Delete { at_once, ..self }
    }

    /// Deletes those of `volume` whose time is over.
    pub fn over(volume: ObjectId) -> Self {
        Delete { volume, name: None, at_once: true }
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
        let volume = by_id(state, self.volume)?;
        let pool = place(view.ports, state, &volume)?;
        let chosen = |one: &&Arc<VolumeSnapshot>| match &self.name {
            Some(name) => one.name == *name,
            None => is_over(one, view.now),
        };
        let gone = state.snapshots_of_volume(self.volume).filter(|one| chosen(one) || is_left(one));
        // What another one has taken the place of is not missed.
        let expires = lxhost_model::trash::end(&*pool_of(state, &volume)?, view.now).filter(|_| !self.at_once);
        let (kept, gone): (Vec<_>, Vec<_>) = gone.partition(|one| expires.is_some() && !is_left(one));
        let kept = kept.into_iter().map(|one| Discarded::VolumeSnapshot(Box::new(VolumeSnapshot::clone(one))));
        let writes = kept.flat_map(|what| trash::put(what, view.now, expires.unwrap_or_default(), None)).collect();
        let gone: Vec<ObjectId> = gone.into_iter().map(|one| one.id).collect();
        Ok(Plan {
            writes,
            steps: gone.iter().map(|id| Step::RemoveSnapshot { pool: pool.clone(), snapshot: *id }).collect(),
            finish: gone.iter().map(|id| Write::Delete(RowKey::VolumeSnapshot(self.volume, *id))).collect(),
            failed: vec![],
            recovery: Recovery::Resume,
        })
    }
}
