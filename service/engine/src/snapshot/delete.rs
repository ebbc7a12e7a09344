//! `snapshot.delete`: a snapshot, or all whose time is over, and what they keep are gone; the instance, and what was made of it, go on.

use super::{find, is_left, is_over, questions};
use crate::core::instance_of;
use crate::instance::pool_of;
use crate::ports::{RowKey, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result, trash};
use async_trait::async_trait;
use lxhost_model::name::SnapshotName;
use lxhost_model::{Discarded, ObjectId, Snapshot, Status};
use std::sync::Arc;

/// Deletes snapshots.
pub struct Delete {
    instance: ObjectId,
    /// Which; `None`: those whose time is over.
    name: Option<SnapshotName>,
    at_once: bool,
}

impl Delete {
    /// Deletes the snapshot `name` of `instance`.
    pub fn new(instance: ObjectId, name: SnapshotName) -> Self {
        Delete { instance, name: Some(name), at_once: false }
    }

    /// For good, whatever the pool says about the trash.
    #[must_use]
    pub fn at_once(self, at_once: bool) -> Self {
        Delete { at_once, ..self }
    }

    /// Deletes those of `instance` whose time is over.
    pub fn over(instance: ObjectId) -> Self {
        Delete { instance, name: None, at_once: true }
    }

    /// The one that is named has to be there.
    fn look(&self, state: &State) -> Result<()> {
        self.name.as_ref().map_or(Ok(()), |name| find(state, self.instance, name).map(drop))
    }
}

#[async_trait]
impl Verb for Delete {
    fn name(&self) -> &'static str {
        "snapshot.delete"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let name = self.name.as_ref().map(ToString::to_string).unwrap_or_default();
        questions(state, self.instance, &name, self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.instance)
    }

    fn check(&self, state: &State) -> Result<()> {
        let instance = instance_of(state, self.instance)?;
        self.look(state)?;
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
        self.look(&view.state)?;
        let chosen = |one: &&Arc<Snapshot>| match &self.name {
            Some(name) => one.name == *name,
            None => is_over(one, view.now),
        };
        let gone = view.state.snapshots_of(self.instance).filter(|one| chosen(one) || is_left(one));
        // What another one has taken the place of is not missed.
        let expires = lxhost_model::trash::end(&pool, view.now).filter(|_| !self.at_once);
        let (kept, gone): (Vec<_>, Vec<_>) = gone.partition(|one| expires.is_some() && !is_left(one));
        let kept = kept.into_iter().map(|one| Discarded::Snapshot(Box::new(Snapshot::clone(one))));
        let writes = kept.flat_map(|what| trash::put(what, view.now, expires.unwrap_or_default(), None)).collect();
        let gone: Vec<ObjectId> = gone.into_iter().map(|one| one.id).collect();
        Ok(Plan {
            writes,
            steps: gone.iter().map(|id| Step::RemoveSnapshot { pool: pool.clone(), snapshot: *id }).collect(),
            finish: gone.iter().map(|id| Write::Delete(RowKey::Snapshot(self.instance, *id))).collect(),
            failed: vec![],
            recovery: Recovery::Resume,
        })
    }
}
