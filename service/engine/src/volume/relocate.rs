//! `volume.move`: a volume that nobody uses, and its snapshots, on another pool. It is what it was, under its id, on the
//! old pool until everything is on the new one. What lay on the old one is removed then.

use super::across::Across;
use super::{by_id, free, place, pool_of, question, snapshot, unused};
use crate::job::Output;
use crate::ports::{Held, Row, State, Write};
use crate::step::{Leftover, Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result, quota};
use async_trait::async_trait;
use lxhost_model::name::{PoolName, VolumeName};
use lxhost_model::{ObjectId, Pool, Volume, VolumeSnapshot};
use std::sync::OnceLock;

/// Moves a volume to another pool.
pub struct Move {
    id: ObjectId,
    pool: PoolName,
    /// Its name there; `None`: the one it has.
    name: Option<VolumeName>,
    /// What lies on the old pool.
    left: OnceLock<Leftover>,
}

impl Move {
    /// Moves the volume `id` to `pool`, where it is called `name` if that is another.
    pub fn new(id: ObjectId, pool: PoolName, name: Option<VolumeName>) -> Self {
        Move { id, pool, name, left: OnceLock::new() }
    }

    fn moved(&self, volume: &Volume) -> Volume {
        let name = self.name.clone().unwrap_or_else(|| volume.name.clone());
        Volume { pool: self.pool.clone(), name, ..volume.clone() }
    }
}

#[async_trait]
impl Verb for Move {
    fn name(&self) -> &'static str {
        "volume.move"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let Some(volume) = state.volumes.get(&self.id) else {
            return vec![super::question_of(state, self.id, self.name())];
        };
        // Rules that allow names have to allow both.
        let both = [Volume::clone(volume), self.moved(volume)];
        both.map(|one| question(&one.pool, &one.project, one.name.as_str(), self.name())).into()
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn shares(&self, state: &State) -> Vec<ObjectId> {
        state.pool(&self.pool).map(|pool| pool.id).into_iter().collect()
    }

    fn check(&self, state: &State) -> Result<()> {
        let volume = by_id(state, self.id)?;
        let moved = self.moved(&volume);
        pool_of(state, &moved)?;
        if volume.pool == self.pool {
            let what = format!("volume {} lies on pool {} already", volume.title(), self.pool);
            return Err(Error::new(Kind::InvalidArgs, what));
        }
        // Devices know it by pool and name.
        unused(state, &volume)?;
        free(state, &moved)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        let volume = by_id(state, self.id)?;
        let moved = self.moved(&volume);
        let kept = snapshot::whole(state, self.id);
        let snapshots: Vec<VolumeSnapshot> = kept
            .iter()
            .map(|one| {
                let was = Volume { pool: moved.pool.clone(), name: moved.name.clone(), ..one.volume.clone() };
                VolumeSnapshot { volume: was, ..VolumeSnapshot::clone(one) }
            })
            .collect();
        let (old, new) = (place(view.ports, state, &volume)?, place(view.ports, state, &moved)?);
        let ids: Vec<ObjectId> = kept.iter().map(|one| one.id).collect();
        let leftover = |pool: Pool| Leftover { pool, instance: self.id, snapshots: ids.clone(), image: None };
        // What an earlier move could not remove there would be in the way.
        let mut steps = vec![Step::ClearOut(Box::new(leftover(new.clone())))];
        let (from, users) = (Held::Instance(self.id), vec![]);
        let across = Across { original: &volume, from, users, snapshots: kept, made: (&moved, &snapshots) };
        steps.extend(quota::bounded(view, &new, (self.id, moved.quota()?), across.steps(view)?).await?);
        let mut finish = vec![Write::Update(Row::Volume(moved))];
        finish.extend(snapshots.into_iter().map(|one| Write::Update(Row::VolumeSnapshot(one))));
        let _ = self.left.set(leftover(old));
        Ok(Plan { writes: vec![], steps, finish, failed: vec![], recovery: Recovery::Undo })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::object("volume", self.id) })
    }

    fn after(&self) -> Vec<Step> {
        self.left.get().map(|left| Step::ClearOut(Box::new(left.clone()))).into_iter().collect()
    }
}
