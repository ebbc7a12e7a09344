//! `instance.restart`: stop, then start, in one job that holds the instance throughout.

use super::{Start, Stop};
use crate::Result;
use crate::ports::State;
use crate::step::Outcome;
use crate::verb::{Finish, Plan, Question, Verb, View};
use async_trait::async_trait;
use lxhost_model::ObjectId;

/// Restarts an instance.
pub struct Restart {
    id: ObjectId,
    stop: Stop,
}

impl Restart {
    /// Restarts the instance `id`; the stop is that of [`Stop::new`].
    pub fn new(id: ObjectId, force: bool, seconds: Option<u64>) -> Self {
        Restart { id, stop: Stop::new(id, force, seconds) }
    }
}

#[async_trait]
impl Verb for Restart {
    fn name(&self) -> &'static str {
        "instance.restart"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        super::questions(state, self.id, lxhost_model::Action::InstanceOperate, self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        self.stop.check(state)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.stop.plan(view).await
    }

    fn finish(&self, plan: &Plan, outcome: &Outcome, state: &State) -> Result<Finish> {
        self.stop.finish(plan, outcome, state)
    }

    fn then(&self) -> Option<Box<dyn Verb>> {
        Some(Box::new(Start::new(self.id)))
    }
}
