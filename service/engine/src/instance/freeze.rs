//! `instance.freeze` and `instance.thaw`: all processes of an instance stand still, and go on.

use super::questions;
use crate::Result;
use crate::core::instance_of;
use crate::ports::{State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::{Action, ObjectId, Status, Trigger};

/// Freezes an instance.
pub struct Freeze {
    id: ObjectId,
}

impl Freeze {
    /// Freezes the instance `id`.
    pub fn new(id: ObjectId) -> Self {
        Freeze { id }
    }
}

#[async_trait]
impl Verb for Freeze {
    fn name(&self) -> &'static str {
        "instance.freeze"
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
            Status::Running => Ok(()),
            _ => Err(super::not_running(&instance)),
        }
    }

    async fn plan(&self, _view: &View<'_>) -> Result<Plan> {
        Ok(Plan {
            writes: vec![Write::Transition(self.id, Trigger::Freeze)],
            steps: vec![Step::Freeze(self.id)],
            finish: vec![Write::Transition(self.id, Trigger::FreezeDone)],
            failed: vec![Write::Transition(self.id, Trigger::Thawed)],
            recovery: Recovery::Undo,
        })
    }
}

/// Lets a frozen instance run again.
pub struct Thaw {
    id: ObjectId,
}

impl Thaw {
    /// Thaws the instance `id`.
    pub fn new(id: ObjectId) -> Self {
        Thaw { id }
    }
}

#[async_trait]
impl Verb for Thaw {
    fn name(&self) -> &'static str {
        "instance.thaw"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        questions(state, self.id, Action::InstanceOperate, self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        let instance = instance_of(state, self.id)?;
        let why = || {
            crate::Error::new(crate::Kind::InvalidState, format!("instance {} is {}, not frozen", instance.name, instance.status))
        };
        (instance.status == Status::Frozen).then_some(()).ok_or_else(why)
    }

    async fn plan(&self, _view: &View<'_>) -> Result<Plan> {
        let thawed = vec![Write::Transition(self.id, Trigger::Thawed)];
        // A failed thaw leaves it frozen: no write.
        Ok(Plan { writes: vec![], steps: vec![Step::Thaw(self.id)], finish: thawed, failed: vec![], recovery: Recovery::Resume })
    }
}
