//! `profile.replace`: other keys, devices and description for a profile.

use super::{by_id, questions};
use crate::Result;
use crate::ports::{Row, State, Write, same};
use crate::verb::{Plan, Question, Verb, View};
use async_trait::async_trait;
use lxhost_model::config::Config;
use lxhost_model::device::Devices;
use lxhost_model::{ObjectId, Profile};

/// Changes a profile.
pub struct Replace {
    /// The profile.
    pub id: ObjectId,
    /// Its keys from now on.
    pub config: Config,
    /// Its devices from now on.
    pub devices: Devices,
    /// Its description from now on; `None` stays.
    pub description: Option<String>,
    /// Generation the caller has read; `None`: whatever it is now.
    pub expected: Option<u64>,
}

impl Replace {
    fn changed(&self, state: &State) -> Result<Profile> {
        let mut profile = Profile::clone(by_id(state, self.id)?.as_ref());
        same(profile.generation, self.expected.unwrap_or(profile.generation), format_args!("profile {}", profile.name))?;
        profile.config.clone_from(&self.config);
        profile.devices.clone_from(&self.devices);
        if let Some(description) = &self.description {
            profile.description.clone_from(description);
        }
        super::check(&profile)?;
        Ok(profile)
    }
}

#[async_trait]
impl Verb for Replace {
    fn name(&self) -> &'static str {
        "profile.replace"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        match self.changed(state) {
            Ok(profile) => questions(&profile, self.name()),
            Err(_) => vec![super::question(lxhost_model::Action::ProfileManage, &self.id.to_string(), self.name())],
        }
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        self.changed(state).map(drop)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        Ok(Plan::writes(vec![Write::Update(Row::Profile(self.changed(&view.state)?))]))
    }
}
