//! `instance.rename`: another name for a stopped instance; its id and path stay.

use super::questions;
use crate::core::instance_of;
use crate::ports::{Row, State, Write};
use crate::verb::{Plan, Question, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::name::InstanceName;
use lxhost_model::{Action, Instance, ObjectId, Status};

/// Renames an instance.
pub struct Rename {
    id: ObjectId,
    name: InstanceName,
}

impl Rename {
    /// Calls the instance `id` `name`.
    pub fn new(id: ObjectId, name: InstanceName) -> Self {
        Rename { id, name }
    }
}

#[async_trait]
impl Verb for Rename {
    fn name(&self) -> &'static str {
        "instance.rename"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        // Rules that allow names have to allow both.
        let mut questions = questions(state, self.id, Action::InstanceConfigure, self.name());
        if let Some(instance) = state.instances.get(&self.id) {
            let renamed = Instance { name: self.name.clone(), ..Instance::clone(instance) };
            questions.push(Question::about(Action::InstanceConfigure, &renamed, self.name()));
        }
        questions
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let instance = instance_of(&view.state, self.id)?;
        if instance.status != Status::Stopped {
            return Err(Error::new(
                Kind::InvalidState,
                format!("instance {} is {}; stop it first", instance.name, instance.status),
            ));
        }
        let renamed = Instance { name: self.name.clone(), ..Instance::clone(&instance) };
        Ok(Plan::writes(vec![Write::Update(Row::Instance(renamed))]))
    }
}
