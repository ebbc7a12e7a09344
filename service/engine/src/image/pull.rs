//! `image.pull`: an image from a remote, kept under what the remote calls it.

use super::{Arrival, normal, question, source, split_remote};
use crate::ports::State;
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Ports, Result};
use async_trait::async_trait;
use lxhost_model::Action;
use lxhost_model::config::Config;
use lxhost_model::name::{ImageAlias, ProjectName};

/// Gets an image from a remote.
pub struct Pull {
    arrival: Arrival,
    remote: String,
    name: String,
}

impl Pull {
    /// Gets `remote:name` into `project` under `aliases`.
    ///
    /// # Errors
    /// `NoSuchImage` when there is no such remote.
    pub fn new(ports: &Ports, project: ProjectName, remote: &str, name: &str, aliases: Vec<ImageAlias>) -> Result<Self> {
        source(ports, remote)?;
        let mut arrival = Arrival::asked(ports.host.random(), project, aliases, Config::new());
        arrival.source = normal(&format!("{remote}:{name}"));
        Ok(Pull { arrival, remote: remote.to_owned(), name: name.to_owned() })
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
        let _ = self.arrival.now.set(view.now);
        let step = Step::TakeIn { from: Some((self.remote.clone(), self.name.clone())) };
        Ok(Plan { writes: vec![], steps: vec![step], finish: vec![], failed: vec![], recovery: Recovery::Undo })
    }

    fn finish(&self, _plan: &Plan, outcome: &Outcome, state: &State) -> Result<Finish> {
        self.arrival.finish(state, outcome)
    }
}
