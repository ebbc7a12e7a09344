//! `acl.create`: rules that no network carries yet.

use super::question;
use crate::job::Output;
use crate::ports::{Row, State, Write};
use crate::step::Outcome;
use crate::verb::{Finish, Plan, Question, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::Acl;

/// Makes an ACL.
pub struct Create {
    acl: Acl,
}

impl Create {
    /// Makes `acl`.
    ///
    /// # Errors
    /// `InvalidConfig`, naming the rule; `Unsupported`.
    pub fn new(acl: Acl) -> Result<Self> {
        acl.check()?;
        Ok(Create { acl })
    }
}

#[async_trait]
impl Verb for Create {
    fn name(&self) -> &'static str {
        "acl.create"
    }

    fn questions(&self, _state: &State) -> Vec<Question> {
        vec![question(self.acl.name.as_str(), self.name())]
    }

    fn check(&self, state: &State) -> Result<()> {
        match state.acl(&self.acl.project, &self.acl.name) {
            Some(_) => Err(Error::new(Kind::AlreadyExists, format!("ACL {} exists already", self.acl.name))),
            None => super::check(state, &self.acl),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        super::check(&view.state, &self.acl)?;
        Ok(Plan::writes(vec![Write::Insert(Row::Acl(self.acl.clone()))]))
    }

    fn finish(&self, _plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: vec![], output: Output::object("acl", self.acl.id) })
    }
}
