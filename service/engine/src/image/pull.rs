//! `image.pull`: an image from a remote, kept under what the remote calls it.

use super::{Arrival, normal, question, record, source, split_remote};
use crate::job::Output;
use crate::ports::State;
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Ports, Result};
use async_trait::async_trait;
use lxhost_model::config::Config;
use lxhost_model::name::{ImageAlias, ProjectName};
use lxhost_model::{Action, ObjectId};
use std::sync::OnceLock;

/// Gets an image from a remote.
pub struct Pull {
    arrival: Arrival,
    remote: String,
    name: String,
    now: OnceLock<u64>,
}

impl Pull {
    /// Gets `remote:name` into `project` under `aliases`.
    ///
    /// # Errors
    /// `NoSuchImage` when there is no such remote.
    pub fn new(ports: &Ports, project: ProjectName, remote: &str, name: &str, aliases: Vec<ImageAlias>) -> Result<Self> {
        source(ports, remote)?;
        let arrival = Arrival {
            id: ObjectId::from_random(ports.host.random()),
            project,
            aliases,
            properties: Config::new(),
            source: normal(&format!("{remote}:{name}")),
            cached: false,
        };
        Ok(Pull { arrival, remote: remote.to_owned(), name: name.to_owned(), now: OnceLock::new() })
    }

    /// Gets `reference` for a launch: it may be dropped when nobody uses it.
    pub(crate) fn cached(ports: &Ports, project: ProjectName, reference: &str) -> Result<Self> {
        let (remote, name) = split_remote(reference)?;
        let mut pull = Pull::new(ports, project, remote, name, vec![])?;
        pull.arrival.cached = true;
        Ok(pull)
    }
}

#[async_trait]
impl Verb for Pull {
    fn name(&self) -> &'static str {
        "image.pull"
    }

    fn questions(&self, _state: &State) -> Vec<Question> {
        let mut question = question(Action::ImagePull, &self.name, &self.arrival.project, self.name());
        question.details.push(("remote", self.remote.clone()));
        vec![question]
    }

    fn key(&self) -> Option<String> {
        Some(format!("image.pull {}", self.arrival.source))
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let _ = self.now.set(view.now);
        let step = Step::TakeIn { from: Some((self.remote.clone(), self.name.clone())) };
        Ok(Plan { writes: vec![], steps: vec![step], finish: vec![], failed: vec![], recovery: Recovery::Undo })
    }

    fn finish(&self, _plan: &Plan, outcome: &Outcome, state: &State) -> Result<Finish> {
        let imported = outcome.imported.as_ref().ok_or_else(|| Error::failed("the image was not taken in"))?;
        let (id, writes) = record(state, &self.arrival, imported, self.now.get().copied().unwrap_or(0));
        let mut output = Output::object("image", id);
        output.texts.insert("fingerprint", imported.fingerprint.to_string());
        Ok(Finish { writes, output })
    }
}
