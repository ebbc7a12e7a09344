//! `instance.move`: the root of a stopped instance, and its snapshots, on another pool. It is what it was, under its
//! id, on the old pool until everything is on the new one. What lay on the old one is removed then.

use super::across::{Across, placed_on};
use super::{pool_of, questions};
use crate::core::instance_of;
use crate::job::Output;
use crate::ports::{Held, Row, State, Write};
use crate::snapshot::is_left;
use crate::step::{Leftover, Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Ports, Result, quota};
use async_trait::async_trait;
use lxhost_model::name::PoolName;
use lxhost_model::{Action, Instance, ObjectId, Pool, Snapshot, Status};
use std::sync::{Arc, OnceLock};

/// Moves an instance to another pool.
pub struct Move {
    id: ObjectId,
    pool: PoolName,
    /// Never used: nothing is taken of one that stands still.
    taken: ObjectId,
    /// What lies on the old pool.
    left: OnceLock<Leftover>,
}

impl Move {
    /// Moves the instance `id` to `pool`.
    pub fn new(ports: &Ports, id: ObjectId, pool: PoolName) -> Self {
        Move { id, pool, taken: ObjectId::from_random(ports.host.random()), left: OnceLock::new() }
    }
}

#[async_trait]
impl Verb for Move {
    fn name(&self) -> &'static str {
        "instance.move"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        questions(state, self.id, Action::InstanceMigrate, self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        let instance = instance_of(state, self.id)?;
        if instance.status != Status::Stopped {
            let what = format!("instance {} is {}; stop it first", instance.name, instance.status);
            return Err(Error::new(Kind::InvalidState, what));
        }
        if state.pool(&self.pool).is_none() {
            return Err(Error::new(Kind::NoSuchPool, format!("pool {} does not exist", self.pool)));
        }
        if instance.pool == self.pool {
            let what = format!("instance {} lies on pool {} already", instance.name, self.pool);
            return Err(Error::new(Kind::InvalidArgs, what));
        }
        Ok(())
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let state = &view.state;
        let instance = instance_of(state, self.id)?;
        let (old, new) = (pool_of(state, &instance)?, state.pool(&self.pool).ok_or_else(|| Error::failed("the pool is gone"))?);
        let kept: Vec<&Arc<Snapshot>> = state.snapshots_of(self.id).filter(|one| !is_left(one)).collect();
        let across = Across {
            instance: &instance,
            from: Held::Instance(self.id),
            was: &instance,
            taken: self.taken,
            to: self.id,
            snapshots: kept.iter().map(|one| (*one, one.id)).collect(),
        };
        let mut finish = vec![Write::Update(Row::Instance(placed_on(&self.pool, Instance::clone(&instance))?))];
        for snapshot in &kept {
            let was = placed_on(&self.pool, snapshot.instance.clone())?;
            finish.push(Write::Update(Row::Snapshot(Snapshot { instance: was, ..Snapshot::clone(snapshot) })));
        }
        let snapshots: Vec<ObjectId> = kept.iter().map(|one| one.id).collect();
        let leftover =
            |pool: Pool| Leftover { pool, instance: self.id, snapshots: snapshots.clone(), image: instance.image.clone() };
        // What an earlier move could not remove there would be in the way.
        let mut steps = vec![Step::ClearOut(Box::new(leftover(Pool::clone(new))))];
        let size = quota::of_root(state, &instance)?;
        steps.extend(quota::bounded(view, new, (self.id, size), across.steps(view, new)?).await?);
        let _ = self.left.set(leftover(old));
        Ok(Plan { writes: vec![], steps, finish, failed: vec![], recovery: Recovery::Undo })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::object("instance", self.id) })
    }

    fn after(&self) -> Vec<Step> {
        self.left.get().map(|left| Step::ClearOut(Box::new(left.clone()))).into_iter().collect()
    }
}
