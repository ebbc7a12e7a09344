//! `profile.create`.

use super::questions;
use crate::job::Output;
use crate::ports::{Row, State, Write};
use crate::step::Outcome;
use crate::verb::{Finish, Plan, Question, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::Profile;

/// Makes a profile.
pub struct Create {
    profile: Profile,
}

impl Create {
    /// Makes `profile`.
    ///
    /// # Errors
    /// `InvalidConfig`.
    pub fn new(profile: Profile) -> Result<Self> {
        super::check(&profile)?;
        Ok(Create { profile })
    }

    /// Makes a profile of our own.
    pub(crate) fn of(profile: Profile) -> Self {
        Create { profile }
    }
}

#[async_trait]
impl Verb for Create {
    fn name(&self) -> &'static str {
        "profile.create"
    }

    fn questions(&self, _state: &State) -> Vec<Question> {
        questions(&self.profile, self.name())
    }

    fn key(&self) -> Option<String> {
        Some("profile.create".to_owned())
    }

    fn check(&self, state: &State) -> Result<()> {
        match state.profile(&self.profile.project, &self.profile.name) {
            Some(_) => Err(Error::new(Kind::AlreadyExists, format!("profile {} exists already", self.profile.name))),
            None => Ok(()),
        }
    }

    async fn plan(&self, _view: &View<'_>) -> Result<Plan> {
        Ok(Plan::writes(vec![Write::Insert(Row::Profile(self.profile.clone()))]))
    }

    fn finish(&self, _plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: vec![], output: Output::object("profile", self.profile.id) })
    }
}
