//! `snapshot.restore`: an instance is again what it was, its root and its configuration. One that runs goes on until
//! the root is ready, is killed, and started again. The snapshot stays.

use super::{find, questions, settled};
use crate::core::instance_of;
use crate::instance::{Start, end_of_run, guard, nics, pool_of, proxies, ran, refuse_clashes, refuse_taken};
use crate::ports::{State, Write};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::instance::{Exit, ExitReason};
use lxhost_model::name::SnapshotName;
use lxhost_model::{Instance, ObjectId, Trigger};
use std::sync::OnceLock;

/// Restores a snapshot.
pub struct Restore {
    instance: ObjectId,
    name: SnapshotName,
    ran: OnceLock<bool>,
}

impl Restore {
    /// Makes `instance` what it was when its snapshot `name` was taken.
    pub fn new(instance: ObjectId, name: SnapshotName) -> Self {
        Restore { instance, name, ran: OnceLock::new() }
    }

    /// The record as it will be.
    fn restored(&self, state: &State) -> Result<Instance> {
        let instance = instance_of(state, self.instance)?;
        Ok(find(state, self.instance, &self.name)?.restored(&instance))
    }

    fn has_run(&self) -> bool {
        self.ran.get() == Some(&true)
    }
}

#[async_trait]
impl Verb for Restore {
    fn name(&self) -> &'static str {
        "snapshot.restore"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let mut questions = questions(state, self.instance, self.name.as_str(), self.name());
        // What it was allowed to be then it may not be allowed to be now.
        questions.extend(self.restored(state).ok().into_iter().flat_map(|record| guard(state, &record, self.name())));
        questions
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.instance)
    }

    fn check(&self, state: &State) -> Result<()> {
        settled(instance_of(state, self.instance)?.as_ref())?;
        let record = self.restored(state)?;
        let gone = record.profiles.iter().find(|name| state.profile(&record.project, name).is_none());
        if let Some(profile) = gone {
            let what = format!("profile {profile}, which snapshot {} has, does not exist any more", self.name);
            return Err(Error::new(Kind::NoSuchProfile, what));
        }
        record.config.iter().try_for_each(|(key, value)| lxhost_model::config::check_instance(key, value))
    }

    async fn needs(&self, view: &View<'_>) -> Result<Option<Box<dyn Verb>>> {
        let Ok(record) = self.restored(&view.state) else { return Ok(None) };
        match record.status.is_live() {
            true => crate::instance::needed(view, &nics(&view.state, &record)?).await,
            false => Ok(None),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        let (instance, record) = (instance_of(state, self.instance)?, self.restored(state)?);
        let snapshot = find(state, self.instance, &self.name)?.id;
        let (id, pool, live) = (self.instance, pool_of(state, &instance)?, instance.status.is_live());
        let _ = self.ran.set(live);
        let mut steps = vec![Step::StageRestore { pool: pool.clone(), instance: id, snapshot }];
        let (mut writes, mut finish, mut failed) = (vec![], vec![Write::Restore(id, snapshot)], vec![]);
        if live {
            // What cannot be started again is not stopped.
            refuse_clashes(state, id, &nics(state, &record)?)?;
            refuse_taken(state, id, &proxies(state, &record)?)?;
            let ran = ran(state, &instance);
            steps.extend([Step::Kill(ran.clone()), Step::Settle(ran)]);
            writes.push(Write::Transition(id, Trigger::Stop));
            finish.push(Write::Transition(id, Trigger::Exited));
            failed.push(Write::Transition(id, Trigger::StopFailed));
        }
        steps.push(Step::Restore { pool, instance: id });
        Ok(Plan { writes, steps, finish, failed, recovery: Recovery::Resume })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, state: &State) -> Result<Finish> {
        if !self.has_run() {
            return Ok(Finish { writes: plan.finish.clone(), ..Finish::default() });
        }
        let killed = Exit { reason: ExitReason::Killed, status: 0 };
        let mut writes = end_of_run(state, self.instance, killed)?;
        writes.extend(plan.finish.iter().filter(|write| matches!(write, Write::Restore(..))).cloned());
        Ok(Finish { writes, ..Finish::default() })
    }

    fn then(&self) -> Option<Box<dyn Verb>> {
        self.has_run().then(|| Box::new(Start::new(self.instance)) as Box<dyn Verb>)
    }
}
