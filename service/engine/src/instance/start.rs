//! `instance.start`: from stopped to a verified, running init.

use super::{questions, ran};
use crate::core::instance_of;
use crate::ports::{State, Write};
use crate::snapshot::Create;
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::{Action, ObjectId, Status, Trigger};

/// Starts an instance.
pub struct Start {
    id: ObjectId,
}

impl Start {
    /// Starts the instance `id`.
    pub fn new(id: ObjectId) -> Self {
        Start { id }
    }
}

#[async_trait]
impl Verb for Start {
    fn name(&self) -> &'static str {
        "instance.start"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        questions(state, self.id, Action::InstanceOperate, self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    /// Its volumes are not changed under it.
    fn shares(&self, state: &State) -> Vec<ObjectId> {
        let Some(instance) = state.instances.get(&self.id).filter(|_| !state.volumes.is_empty()) else { return vec![] };
        super::named(state, &instance.project, &super::expand(state, instance).devices)
    }

    fn check(&self, state: &State) -> Result<()> {
        let instance = instance_of(state, self.id)?;
        match instance.status {
            Status::Running | Status::Frozen => {
                Err(Error::new(Kind::InvalidState, format!("instance {} is {} already", instance.name, instance.status)))
            }
            _ => Ok(()),
        }
    }

    async fn needs(&self, view: &View<'_>) -> Result<Option<Box<dyn Verb>>> {
        let Some(instance) = view.state.instances.get(&self.id) else { return Ok(None) };
        super::nics::needed(view, &super::nics(&view.state, instance)?).await
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let instance = instance_of(&view.state, self.id)?;
        super::refuse_clashes(&view.state, self.id, &super::nics(&view.state, &instance)?)?;
        let proxies = super::proxies(&view.state, &instance)?;
        super::disks(&view.state, &instance)?;
        super::refuse_taken(&view.state, self.id, &proxies)?;
        let (mut steps, snapshots) = Create::at_start(view, &instance)?;
        steps.push(Step::Launch(ran(&view.state, &instance)));
        steps.extend(super::reproxy(&[], &proxies));
        Ok(Plan {
            writes: vec![Write::Transition(self.id, Trigger::Start)],
            steps,
            finish: [vec![Write::Transition(self.id, Trigger::Started)], snapshots].concat(),
            failed: vec![Write::Transition(self.id, Trigger::StartFailed)],
            recovery: Recovery::Undo,
        })
    }
}
