//! `image.import`: an image from files that the caller hands over.

use super::{Arrival, question};
use crate::Result;
use crate::ports::{ImageFiles, State};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::Action;
use lxhost_model::config::Config;
use lxhost_model::name::{ImageAlias, ProjectName};
use std::sync::{Mutex, PoisonError};

/// Imports an image.
pub struct Import {
    arrival: Arrival,
    files: Mutex<Option<ImageFiles>>,
}

impl Import {
    /// Imports `files` into `project` under `aliases`; `properties` win over the image's own.
    ///
    /// # Errors
    /// `InvalidConfig` when a property holds control characters.
    pub fn new(
        project: ProjectName,
        files: ImageFiles,
        aliases: Vec<ImageAlias>,
        properties: Config,
        random: [u8; 16],
    ) -> Result<Self> {
        properties.iter().try_for_each(|(key, value)| lxhost_model::config::check_text(key, value))?;
        let arrival = Arrival::asked(random, project, aliases, properties);
        Ok(Import { arrival, files: Mutex::new(Some(files)) })
    }
}

#[async_trait]
impl Verb for Import {
    fn name(&self) -> &'static str {
        "image.import"
    }

    fn questions(&self, _state: &State) -> Vec<Question> {
        let name = self.arrival.aliases.first().map(ToString::to_string).unwrap_or_default();
        vec![question(Action::ImageManage, &name, &self.arrival.project, self.name())]
    }

    fn check(&self, state: &State) -> Result<()> {
        self.arrival.check_free(state)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let _ = self.arrival.now.set(view.now);
        Ok(Plan {
            writes: vec![],
            steps: vec![Step::TakeIn { from: None }],
            finish: vec![],
            failed: vec![],
            recovery: Recovery::Undo,
        })
    }

    fn carry(&self) -> Outcome {
        Outcome { files: self.files.lock().unwrap_or_else(PoisonError::into_inner).take(), ..Outcome::default() }
    }

    fn finish(&self, _plan: &Plan, outcome: &Outcome, state: &State) -> Result<Finish> {
        self.check(state)?;
        self.arrival.finish(state, outcome)
    }
}
