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
    original: Original,
    pool: Option<PoolName>,
    name: VolumeName,
    /// Identity of the copy.
    id: ObjectId,
}

impl Copy {
    /// Copies what `what` says.
    pub fn new(ports: &Ports, what: Copying) -> Self {
        let Copying { volume, snapshot, volume_only, pool, name } = what;
        let id = ObjectId::from_random(ports.host.random());
        Copy { original: Original::new(ports, volume, snapshot, volume_only), pool, name, id }
    }

    /// Identity the copy is going to have.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// The record of the copy, but for the time.
    fn record(&self, state: &State) -> Result<Volume> {
        let original = by_id(state, self.original.volume)?;
        let was = match &self.original.snapshot {
            None => Volume::clone(&original),
            Some(name) => snapshot::find(state, original.id, name)?.volume.clone(),
        };
        Ok(Volume {
            id: self.id,
            project: original.project.clone(),
            pool: self.pool.clone().unwrap_or_else(|| original.pool.clone()),
            name: self.name.clone(),
            volatile: Config::new(),
            generation: 0,
            ..was
        })
    }
}

/// What a copy is made of.
pub(super) struct Original {
    /// The volume.
    pub(super) volume: ObjectId,
    /// A snapshot of it instead of what it holds now.
    pub(super) snapshot: Option<SnapshotName>,
    /// Without its snapshots.
    alone: bool,
    /// The id under which what runs is taken meanwhile.
    taken: ObjectId,
    users: Held,
}

impl Original {
    pub(super) fn new(ports: &Ports, volume: ObjectId, snapshot: Option<SnapshotName>, alone: bool) -> Self {
        let taken = ObjectId::from_random(ports.host.random());
        Original { volume, snapshot, alone, taken, users: Held::default() }
    }

    /// What stands still for this is let run by nobody else.
    pub(super) fn holds(&self, state: &State) -> Vec<ObjectId> {
        match self.snapshot {
            Some(_) => vec![],
            None => [vec![self.volume], self.users.ids(state, self.volume)].concat(),
        }
    }

    /// A snapshot may be copied beside anything else that leaves it there.
    pub(super) fn shares(&self) -> Option<ObjectId> {
        self.snapshot.as_ref().map(|_| self.volume)
    }

    /// Whether its snapshots come, too.
    pub(super) fn has_snapshots(&self) -> bool {
        self.snapshot.is_none() && !self.alone
    }

    /// The snapshots that are copied, too.
    pub(super) fn snapshots<'a>(&self, state: &'a State) -> Vec<&'a Arc<VolumeSnapshot>> {
        if self.has_snapshots() { snapshot::whole(state, self.volume) } else { vec![] }
    }

    /// The steps that make `copy`, with copies of these `snapshots`; and those.
    pub(super) fn copying(
        &self,
        view: &View<'_>,
        copy: &Volume,
        snapshots: &[&Arc<VolumeSnapshot>],
    ) -> Result<(Vec<Step>, Vec<VolumeSnapshot>)> {
        let original = by_id(&view.state, self.volume)?;
        let random = || ObjectId::from_random(view.ports.host.random());
        let copies: Vec<VolumeSnapshot> = snapshots.iter().map(|one| one.copied(random(), copy)).collect();
        let steps = match copy.pool == original.pool {
            true => self.beside(view, &original, (copy, snapshots, &copies))?,
            false => self.across(view, &original, (copy, snapshots, &copies))?,
        };
        Ok((steps, copies))
    }

    /// Within the pool.
    fn beside(&self, view: &View<'_>, original: &Volume, (copy, snapshots, copies): Made<'_>) -> Result<Vec<Step>> {
        let state = &view.state;
        let pool = place(view.ports, state, original)?;
        let users = match self.snapshot {
            None => self.users.live(state, original.id)?,
            Some(_) => vec![],
        };
        let from = match &self.snapshot {
            None => Origin::Root { instance: original.id, live: !users.is_empty() },
            Some(name) => Origin::Snapshot(snapshot::find(state, original.id, name)?.id),
        };
        let mut steps = still(view, &pool, &users, Step::CopyRoot { pool: pool.clone(), from, to: copy.id })?;
        for (snapshot, to) in snapshots.iter().zip(copies) {
            steps.push(Step::CopySnapshot { pool: pool.clone(), from: snapshot.id, to: to.id, instance: copy.id });
        }
        steps.push(Step::KeepCopy { pool, instance: copy.id });
        Ok(steps)
    }

    /// To another pool.
    fn across(&self, view: &View<'_>, original: &Volume, (copy, snapshots, copies): Made<'_>) -> Result<Vec<Step>> {
        let state = &view.state;
        let (from, users) = match &self.snapshot {
            Some(name) => (ports::Held::Snapshot(snapshot::find(state, original.id, name)?.id), vec![]),
            None => {
                let users = self.users.live(state, original.id)?;
                let held = if users.is_empty() { ports::Held::Instance(original.id) } else { ports::Held::Taken(self.taken) };
                (held, users)
            }
        };
        Across { original, from, users, snapshots: snapshots.to_vec(), made: (copy, copies) }.steps(view)
    }
}

/// A copy, the snapshots that are copied, and what they become.
type Made<'a> = (&'a Volume, &'a [&'a Arc<VolumeSnapshot>], &'a [VolumeSnapshot]);

#[async_trait]
impl Verb for Copy {
    fn name(&self) -> &'static str {
        "volume.copy"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let Some(original) = state.volumes.get(&self.original.volume) else {
            return vec![super::question_of(state, self.original.volume, self.name())];
        };
        // Rules that allow names have to allow both.
        let pool = self.pool.as_ref().unwrap_or(&original.pool);
        let both = [(&original.pool, &original.name), (pool, &self.name)];
        both.map(|(pool, name)| question(pool, &original.project, name.as_str(), self.name())).into()
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn holds(&self, state: &State) -> Vec<ObjectId> {
        self.original.holds(state)
    }

    fn shares(&self, state: &State) -> Vec<ObjectId> {
        let pool = self.pool.as_ref().and_then(|pool| state.pool(pool)).map(|pool| pool.id);
        pool.into_iter().chain(self.original.shares()).collect()
    }

    fn check(&self, state: &State) -> Result<()> {
        let copy = self.record(state)?;
        super::pool_of(state, &copy)?;
        free(state, &copy)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        let copy = Volume { created: view.now, ..self.record(state)? };
        let (steps, copies) = self.original.copying(view, &copy, &self.original.snapshots(state))?;
        let steps = quota::bounded(view, &place(view.ports, state, &copy)?, (self.id, copy.quota()?), steps).await?;
        let mut finish = vec![Write::Insert(Row::Volume(copy))];
        finish.extend(copies.into_iter().map(|copy| Write::Insert(Row::VolumeSnapshot(copy))));
        Ok(Plan { writes: vec![], steps, finish, failed: vec![], recovery: Recovery::Undo })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::object("volume", self.id) })
    }
}
