//! `pool.adopt`: a pool that lies somewhere with what is in it gets its record again. Needed by `host.recover`.

use super::question;
use crate::Result;
use crate::job::Output;
use crate::ports::{Row, State, Write};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::Pool;

/// Takes a pool in.
pub(crate) struct Adopt {
    pool: Pool,
}

impl Adopt {
    pub(crate) fn new(pool: Pool) -> Self {
        Adopt { pool }
    }
}

#[async_trait]
impl Verb for Adopt {
    fn name(&self) -> &'static str {
        "pool.adopt"
    }

    fn questions(&self, _state: &State) -> Vec<Question> {
        vec![question(self.pool.name.as_str(), self.name())]
    }

    fn key(&self) -> Option<String> {
        Some("pool.create".to_owned())
    }

    async fn plan(&self, _view: &View<'_>) -> Result<Plan> {
        Ok(Plan {
            writes: vec![],
            steps: vec![Step::AdoptPool(self.pool.clone())],
            finish: vec![Write::Insert(Row::Pool(self.pool.clone()))],
            failed: vec![],
            recovery: Recovery::Undo,
        })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::object("pool", self.pool.id) })
    }
}
