//! `volume.copy`: a volume with its snapshots, or one snapshot, once more under another name or on another pool. Within
//! its pool a copy shares what the file system can share. Instances that run with the original stand still for as long
//! as its file system needs.

use super::across::Across;
use super::users::{Held, still};
use super::{by_id, free, place, question, snapshot};
use crate::job::Output;
use crate::ports::{self, Origin, Row, State, Write};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Ports, Result, quota};
use async_trait::async_trait;
use lxhost_model::config::Config;
use lxhost_model::name::{PoolName, SnapshotName, VolumeName};
use lxhost_model::{ObjectId, Volume, VolumeSnapshot};
use std::sync::Arc;

/// What is copied, and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copying {
    /// The volume.
    pub volume: ObjectId,
    /// A snapshot of it instead of what it holds now.
    pub snapshot: Option<SnapshotName>,
    /// Without its snapshots.
    pub volume_only: bool,
    /// The pool of the copy; `None`: that of the original.
    pub pool: Option<PoolName>,
    /// Its name.
    pub name: VolumeName,
}

/// Copies a volume.
pub struct Copy {
    what: Copying,
    /// Identity of the copy.
    id: ObjectId,
    /// The id under which what runs is taken meanwhile.
    taken: ObjectId,
    users: Held,
}

impl Copy {
    /// Copies what `what` says.
    pub fn new(ports: &Ports, what: Copying) -> Self {
        let random = || ObjectId::from_random(ports.host.random());
        Copy { what, id: random(), taken: random(), users: Held::default() }
    }

    /// Identity the copy is going to have.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// The record of the copy, but for the time.
    fn record(&self, state: &State) -> Result<Volume> {
        let original = by_id(state, self.what.volume)?;
        let was = match &self.what.snapshot {
            None => Volume::clone(&original),
            Some(name) => snapshot::find(state, original.id, name)?.volume.clone(),
        };
        Ok(Volume {
            id: self.id,
            project: original.project.clone(),
            pool: self.what.pool.clone().unwrap_or_else(|| original.pool.clone()),
            name: self.what.name.clone(),
            volatile: Config::new(),
            generation: 0,
            ..was
        })
    }

    /// The snapshots that are copied, too.
    fn snapshots<'a>(&self, state: &'a State) -> Vec<&'a Arc<VolumeSnapshot>> {
        match self.what.snapshot.is_none() && !self.what.volume_only {
            true => snapshot::whole(state, self.what.volume),
            false => vec![],
        }
    }

    /// Within the pool.
    fn beside(&self, view: &View<'_>, (original, copies): (&Volume, &[VolumeSnapshot])) -> Result<Vec<Step>> {
        let state = &view.state;
        let pool = place(view.ports, state, original)?;
        let users = match self.what.snapshot {
            None => self.users.live(state, original.id)?,
            Some(_) => vec![],
        };
        let from = match &self.what.snapshot {
            None => Origin::Root { instance: original.id, live: !users.is_empty() },
            Some(name) => Origin::Snapshot(snapshot::find(state, original.id, name)?.id),
        };
        let copy = Step::CopyRoot { pool: pool.clone(), from, to: self.id };
        let mut steps = still(view, &pool, &users, copy)?;
        for (snapshot, copy) in self.snapshots(state).into_iter().zip(copies) {
            steps.push(Step::CopySnapshot { pool: pool.clone(), from: snapshot.id, to: copy.id, instance: self.id });
        }
        steps.push(Step::KeepCopy { pool, instance: self.id });
        Ok(steps)
    }

    /// To another pool.
    fn across(&self, view: &View<'_>, original: &Volume, made: (&Volume, &[VolumeSnapshot])) -> Result<Vec<Step>> {
        let state = &view.state;
        let (from, users) = match &self.what.snapshot {
            Some(name) => (ports::Held::Snapshot(snapshot::find(state, original.id, name)?.id), vec![]),
            None => {
                let users = self.users.live(state, original.id)?;
                let held = if users.is_empty() { ports::Held::Instance(original.id) } else { ports::Held::Taken(self.taken) };
                (held, users)
            }
        };
        Across { original, from, users, snapshots: self.snapshots(state), made }.steps(view)
    }
}

#[async_trait]
impl Verb for Copy {
    fn name(&self) -> &'static str {
        "volume.copy"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let Some(original) = state.volumes.get(&self.what.volume) else {
            return vec![super::question_of(state, self.what.volume, self.name())];
        };
        // Rules that allow names have to allow both.
        let pool = self.what.pool.as_ref().unwrap_or(&original.pool);
        let both = [(&original.pool, &original.name), (pool, &self.what.name)];
        both.map(|(pool, name)| question(pool, &original.project, name.as_str(), self.name())).into()
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    /// What stands still for this is let run by nobody else.
    fn holds(&self, state: &State) -> Vec<ObjectId> {
        match self.what.snapshot {
            Some(_) => vec![],
            None => [vec![self.what.volume], self.users.ids(state, self.what.volume)].concat(),
        }
    }

    fn shares(&self, state: &State) -> Vec<ObjectId> {
        let pool = self.what.pool.as_ref().and_then(|pool| state.pool(pool)).map(|pool| pool.id);
        let original = self.what.snapshot.as_ref().map(|_| self.what.volume);
        pool.into_iter().chain(original).collect()
    }

    fn check(&self, state: &State) -> Result<()> {
        let copy = self.record(state)?;
        super::pool_of(state, &copy)?;
        free(state, &copy)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        let original = by_id(state, self.what.volume)?;
        let copy = Volume { created: view.now, ..self.record(state)? };
        let random = || ObjectId::from_random(view.ports.host.random());
        let copies: Vec<VolumeSnapshot> = self.snapshots(state).iter().map(|one| one.copied(random(), &copy)).collect();
        let steps = match copy.pool == original.pool {
            true => self.beside(view, (&original, &copies))?,
            false => self.across(view, &original, (&copy, &copies))?,
        };
        let steps = quota::bounded(view, &place(view.ports, state, &copy)?, (self.id, copy.quota()?), steps).await?;
        let mut finish = vec![Write::Insert(Row::Volume(copy))];
        finish.extend(copies.into_iter().map(|copy| Write::Insert(Row::VolumeSnapshot(copy))));
        Ok(Plan { writes: vec![], steps, finish, failed: vec![], recovery: Recovery::Undo })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::object("volume", self.id) })
    }
}
