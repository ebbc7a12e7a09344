//! `instance.stop`: orderly, and by force when its time is over or when asked at once.

use super::{not_running, questions, ran};
use crate::core::instance_of;
use crate::ports::{State, Write};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Result, instance};
use async_trait::async_trait;
use lxhost_model::instance::{Exit, ExitReason};
use lxhost_model::{Action, ObjectId, Status, Trigger};
use std::sync::Mutex;

/// Stops an instance.
pub struct Stop {
    id: ObjectId,
    force: bool,
    seconds: Option<u64>,
    delete: Mutex<bool>,
}

impl Stop {
    /// Stops the instance `id`: by `force` at once, else orderly, and by force after `seconds` (0 = no limit,
    /// `None` = as configured).
    pub fn new(id: ObjectId, force: bool, seconds: Option<u64>) -> Self {
        Stop { id, force, seconds, delete: Mutex::new(false) }
    }
}

#[async_trait]
impl Verb for Stop {
    fn name(&self) -> &'static str {
        "instance.stop"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        questions(state, self.id, Action::InstanceOperate, self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        let instance = instance_of(state, self.id)?;
        match instance.status {
            Status::Stopped | Status::Error => Err(not_running(&instance)),
            _ => Ok(()),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let instance = instance_of(&view.state, self.id)?;
        let ran = ran(&view.state, &instance);
        let mut steps = vec![];
        if !self.force {
            if instance.status == Status::Frozen {
                steps.push(Step::Thaw(self.id));
            }
            let configured = || u64::from(instance::stop_seconds(&instance::expand(&view.state, &instance).config));
            steps.push(Step::ShutDown { instance: self.id, seconds: self.seconds.unwrap_or_else(configured) });
        }
        steps.extend([Step::Kill(ran.clone()), Step::Settle(ran)]);
        if let Ok(mut delete) = self.delete.lock() {
            *delete = instance.ephemeral;
        }
        Ok(Plan {
            writes: vec![Write::Transition(self.id, Trigger::Stop)],
            steps,
            finish: vec![Write::Transition(self.id, Trigger::Exited)],
            failed: vec![Write::Transition(self.id, Trigger::StopFailed)],
            // A guest that was told to stop and outlived the daemon is left alone: adoption finds it running.
            recovery: if self.force { Recovery::Resume } else { Recovery::Undo },
        })
    }

    fn finish(&self, _plan: &Plan, outcome: &Outcome, state: &State) -> Result<Finish> {
        let exit = match (self.force || outcome.killed, &outcome.exit) {
            (false, Some(exit)) => exit.clone(),
            (false, None) => Exit { reason: ExitReason::Poweroff, status: 0 },
            (true, _) => Exit { reason: ExitReason::Killed, status: 0 },
        };
        let writes = instance::exited::end_of_run(state, self.id, exit)?;
        Ok(Finish { writes, ..Finish::default() })
    }

    fn then(&self) -> Option<Box<dyn Verb>> {
        let delete = self.delete.lock().is_ok_and(|delete| *delete);
        delete.then(|| Box::new(super::Delete::new(self.id, false).at_once(true)) as Box<dyn Verb>)
    }
}
