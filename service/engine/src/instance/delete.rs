//! `instance.delete`: the instance and its data are gone; by force also one that runs. On a pool with a trash they go there.

use super::{pool_of, questions, ran};
use crate::core::instance_of;
use crate::ports::{RowKey, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result, quota, trash};
use async_trait::async_trait;
use lxhost_model::{Action, Discarded, Fingerprint, Instance, ObjectId, Pool, Snapshot, Status, Trigger};

/// Deletes an instance.
pub struct Delete {
    id: ObjectId,
    force: bool,
    at_once: bool,
}

impl Delete {
    /// Deletes the instance `id`; with `force` even while it runs.
    pub fn new(id: ObjectId, force: bool) -> Self {
        Delete { id, force, at_once: false }
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
        "instance.delete"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        questions(state, self.id, Action::InstanceDelete, self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        let instance = instance_of(state, self.id)?;
        if !self.force && matches!(instance.status, Status::Running | Status::Frozen) {
            let what = format!("instance {} is {}; stop it first, or use --force", instance.name, instance.status);
            return Err(Error::new(Kind::InvalidState, what));
        }
        Ok(())
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let instance = instance_of(&view.state, self.id)?;
        let mut writes = vec![];
        let mut steps = vec![];
        if instance.status.is_live() {
            writes.extend([Write::Transition(self.id, Trigger::Stop), Write::Transition(self.id, Trigger::Exited)]);
        }
        // A deletion that failed before may have left it running.
        if instance.status != Status::Stopped {
            let ran = ran(&view.state, &instance);
            steps.extend([Step::Kill(ran.clone()), Step::Settle(ran)]);
        }
        writes.push(Write::Transition(self.id, Trigger::Delete));
        let pool = pool_of(&view.state, &instance)?;
        let failed = vec![Write::Transition(self.id, Trigger::Delete)];
        if let Some(expires) = lxhost_model::trash::end(&pool, view.now).filter(|_| !self.at_once) {
            let snapshots = view.state.snapshots_of(self.id).map(|one| Snapshot::clone(one)).collect();
            let quota = quota::of_root(&view.state, &instance).unwrap_or_default();
            let what = Discarded::Instance(Box::new(Instance::clone(&instance)), snapshots);
            let mut finish = trash::put(what, view.now, expires, quota);
            if steps.is_empty() {
                writes.append(&mut finish);
            }
            return Ok(Plan { writes, steps, finish, failed, recovery: Recovery::Resume });
        }
        steps.extend(trash::removing(view.ports, &view.state, self.id)?);
        let mut finish = trash::forget(&view.state, self.id);
        let mut gone: Vec<ObjectId> = trash::of(&view.state, self.id).map(|one| one.id).collect();
        gone.push(self.id);
        for snapshot in view.state.snapshots_of(self.id) {
            steps.push(Step::RemoveSnapshot { pool: pool.clone(), snapshot: snapshot.id });
            finish.push(Write::Delete(RowKey::Snapshot(self.id, snapshot.id)));
        }
        finish.push(Write::Delete(RowKey::Instance(self.id)));
        steps.push(Step::RemoveRoot { pool: pool.clone(), instance: self.id });
        if let Some(image) = instance.image.clone().filter(|image| is_orphan(&view.state, image, &pool, &gone)) {
            steps.push(Step::RemoveImageTree { pool, image, used: false });
        }
        Ok(Plan { writes, steps, finish, failed, recovery: Recovery::Resume })
    }
}

/// Whether the record of an image is gone, and no root on the pool but those that are `gone` needs its tree.
pub(crate) fn is_orphan(state: &State, image: &Fingerprint, pool: &Pool, gone: &[ObjectId]) -> bool {
    let known = state.images.values().any(|other| other.fingerprint == *image);
    let mut others = state.instances.values().filter(|other| !gone.contains(&other.id) && other.pool == pool.name);
    !known && !others.any(|other| other.image.as_ref() == Some(image)) && !trash::needs(state, image, &pool.name, gone)
}
