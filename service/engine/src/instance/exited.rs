//! `instance.exited`: a guest ended by itself; its run is cleaned up, and it is started again when it
//! asked for a reboot, deleted when it was ephemeral. Asked for by nobody but the supervisor.

use super::{Delete, Start, ran};
use crate::core::instance_of;
use crate::ports::{Row, State, Write};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::instance::{Exit, ExitReason};
use lxhost_model::{Instance, ObjectId, Status, Trigger};
use std::sync::OnceLock;

/// Deals with the end of a run.
pub(crate) struct Exited {
    id: ObjectId,
    exit: Exit,
    ephemeral: OnceLock<bool>,
}

impl Exited {
    pub(crate) fn new(id: ObjectId, exit: Exit) -> Self {
        Exited { id, exit, ephemeral: OnceLock::new() }
    }
}

/// The transaction that ends a run: the exit is kept, the status moves.
pub(crate) fn end_of_run(state: &State, id: ObjectId, exit: Exit) -> Result<Vec<Write>> {
    let mut record = Instance::clone(instance_of(state, id)?.as_ref());
    record.last_exit = Some(exit);
    Ok(vec![Write::Update(Row::Instance(record)), Write::Transition(id, Trigger::Exited)])
}

#[async_trait]
impl Verb for Exited {
    fn name(&self) -> &'static str {
        "instance.exited"
    }

    fn questions(&self, _state: &State) -> Vec<Question> {
        vec![]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let instance = instance_of(&view.state, self.id)?;
        if !instance.status.is_live() {
            return Err(Error::new(Kind::NotRunning, format!("instance {} is {} already", instance.name, instance.status)));
        }
        let _ = self.ephemeral.set(instance.ephemeral);
        let ran = ran(&view.state, &instance);
        let mut writes = vec![];
        if matches!(instance.status, Status::Running | Status::Frozen) {
            writes.push(Write::Transition(self.id, Trigger::Stop));
        }
        let finish = vec![Write::Transition(self.id, Trigger::Exited)];
        let steps = vec![Step::Kill(ran.clone()), Step::Settle(ran)];
        // What could not be cleaned up needs somebody's attention.
        let failed = vec![Write::Transition(self.id, Trigger::Broken)];
        Ok(Plan { writes, steps, finish, failed, recovery: Recovery::Resume })
    }

    fn finish(&self, _plan: &Plan, _outcome: &Outcome, state: &State) -> Result<Finish> {
        Ok(Finish { writes: end_of_run(state, self.id, self.exit.clone())?, ..Finish::default() })
    }

    fn then(&self) -> Option<Box<dyn Verb>> {
        match self.exit.reason {
            ExitReason::Reboot => Some(Box::new(Start::new(self.id))),
            _ if self.ephemeral.get() == Some(&true) => Some(Box::new(Delete::new(self.id, false).at_once(true))),
            _ => None,
        }
    }
}
