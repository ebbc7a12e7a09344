//! `image.import`: an image from files that the caller hands over.

use super::{Arrival, question, record};
use crate::job::Output;
use crate::ports::{ImageFiles, State};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::config::Config;
use lxhost_model::name::{ImageAlias, ProjectName};
use lxhost_model::{Action, ObjectId};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Imports an image.
pub struct Import {
    arrival: Arrival,
    files: Mutex<Option<ImageFiles>>,
    now: OnceLock<u64>,
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
        let id = ObjectId::from_random(random);
        let arrival = Arrival { id, project, aliases, properties, source: String::new(), cached: false };
        Ok(Import { arrival, files: Mutex::new(Some(files)), now: OnceLock::new() })
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
        let taken =
            |alias: &&ImageAlias| state.images.values().any(|i| i.project == self.arrival.project && i.aliases.contains(alias));
        match self.arrival.aliases.iter().find(taken) {
            Some(alias) => Err(Error::new(Kind::AlreadyExists, format!("image alias {alias} exists already"))),
            None => Ok(()),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let _ = self.now.set(view.now);
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
        let imported = outcome.imported.as_ref().ok_or_else(|| Error::failed("the image was not taken in"))?;
        let (id, writes) = record(state, &self.arrival, imported, self.now.get().copied().unwrap_or(0));
        let mut output = Output::object("image", id);
        output.texts.insert("fingerprint", imported.fingerprint.to_string());
        Ok(Finish { writes, output })
    }
}
