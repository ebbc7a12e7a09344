//! `instance.refresh`: a stopped copy holds what its original does once more. Snapshots that both have stay; others come
//! and go. Its configuration is its own. It is what it was until everything is there.

use super::{Original, pool_of, questions};
use crate::core::instance_of;
use crate::job::Output;
use crate::ports::{Row, RowKey, State, Write};
use crate::refresh::{compare, exchange, remove};
use crate::snapshot::is_left;
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Ports, Result};
use async_trait::async_trait;
use lxhost_model::{Action, Instance, ObjectId, Snapshot, Status};
use std::sync::{Arc, OnceLock};

/// Brings a copy up to date.
pub struct Refresh {
    copy: ObjectId,
    original: Original,
    /// The snapshot that the new root is until it takes its place.
    made: ObjectId,
    /// Whether the original was in use when the job was opened: then nobody else may hold it.
    live: OnceLock<bool>,
    /// What removes what nobody needs then.
    after: OnceLock<Vec<Step>>,
}

impl Refresh {
    /// Makes `copy` hold what `original` does.
    pub fn new(ports: &Ports, copy: ObjectId, original: Original) -> Self {
        let made = ObjectId::from_random(ports.host.random());
        Refresh { copy, original, made, live: OnceLock::new(), after: OnceLock::new() }
    }

    /// Whether the original is in use.
    fn is_live(&self, state: &State) -> bool {
        *self.live.get_or_init(|| self.original.is_live(state))
    }

    /// The snapshots that are missing in the copy, and those that go.
    fn snapshots<'a>(&self, state: &'a State) -> (Vec<&'a Arc<Snapshot>>, Vec<&'a Arc<Snapshot>>) {
        if self.original.snapshot.is_some() || self.original.instance_only {
            return (vec![], vec![]);
        }
        let all = |id| state.snapshots_of(id).filter(|one| !is_left(one)).collect::<Vec<_>>();
        compare(&all(self.original.instance), &all(self.copy), |one| (&one.name, one.created))
    }
}

#[async_trait]
impl Verb for Refresh {
    fn name(&self) -> &'static str {
        "instance.refresh"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        // What it held is gone, as when a snapshot is restored; and it has everything that is in the original.
        let mut all = questions(state, self.copy, Action::InstanceSnapshot, self.name());
        all.extend(questions(state, self.original.instance, Action::InstanceMigrate, self.name()));
        all
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.copy)
    }

    fn holds(&self, state: &State) -> Vec<ObjectId> {
        if self.is_live(state) { vec![self.original.instance] } else { vec![] }
    }

    fn shares(&self, state: &State) -> Vec<ObjectId> {
        if self.is_live(state) { vec![] } else { vec![self.original.instance] }
    }

    fn check(&self, state: &State) -> Result<()> {
        let copy = instance_of(state, self.copy)?;
        if self.copy == self.original.instance {
            return Err(Error::new(Kind::InvalidArgs, format!("{} cannot be a copy of itself", copy.name)));
        }
        if copy.status != Status::Stopped {
            let what = format!("instance {} is {}; stop it first", copy.name, copy.status);
            return Err(Error::new(Kind::InvalidState, what));
        }
        self.original.check(state)?;
        let original = self.original.record(state)?;
        let image = if copy.pool == instance_of(state, self.original.instance)?.pool { &original.image } else { &None };
        if copy.image != *image {
            let what = format!("instance {} was made of another image than {}: it is no copy of it", copy.name, original.name);
            return Err(Error::new(Kind::Conflict, what));
        }
        Ok(())
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        if self.original.is_live(state) != self.is_live(state) {
            return Err(Error::new(Kind::Busy, "what is copied has just been started or stopped; try again"));
        }
        let copy = instance_of(state, self.copy)?;
        let pool = pool_of(state, &copy)?;
        let (missing, dropped) = self.snapshots(state);
        let root = Instance { id: self.made, ..Instance::clone(&copy) };
        let copying = self.original.copying(view, pool.clone(), &root, &missing)?;
        let mut steps = copying.steps;
        steps.extend(exchange(&pool, self.copy, self.made));
        let mut finish: Vec<Write> = dropped.iter().map(|one| Write::Delete(RowKey::Snapshot(self.copy, one.id))).collect();
        finish.extend(copying.snapshots.into_iter().map(|one| Write::Insert(Row::Snapshot(of(one, self.copy)))));
        let gone: Vec<ObjectId> = dropped.iter().map(|one| one.id).chain([self.made]).collect();
        let _ = self.after.set(remove(&pool, &gone));
        Ok(Plan { writes: vec![], steps, finish, failed: vec![], recovery: Recovery::Undo })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::object("instance", self.copy) })
    }

    fn after(&self) -> Vec<Step> {
        self.after.get().cloned().unwrap_or_default()
    }
}

/// A snapshot that was copied for the root to be, as one of `copy`.
fn of(snapshot: Snapshot, copy: ObjectId) -> Snapshot {
    Snapshot { instance: Instance { id: copy, ..snapshot.instance.clone() }, ..snapshot }
}
