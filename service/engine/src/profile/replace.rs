//! `profile.replace`: other keys, devices and description for a profile; interfaces and proxies of the instances that
//! have it and run, at once.

use super::{by_id, questions};
use crate::instance::{named, needed, nics, rewired};
use crate::ports::{Row, State, Write, same};
use crate::verb::{Plan, Question, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::config::Config;
use lxhost_model::device::Devices;
use lxhost_model::{Instance, ObjectId, Profile, Status};
use std::sync::Arc;

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

    /// The records as they will be.
    fn next(&self, state: &State) -> Result<State> {
        let mut next = State::clone(state);
        next.apply(Write::Update(Row::Profile(self.changed(state)?)))?;
        Ok(next)
    }

    /// Instances that have the profile and are not at rest, when it is devices that change.
    fn concerned(&self, state: &State) -> Vec<Arc<Instance>> {
        let Ok(profile) = by_id(state, self.id) else { return vec![] };
        if profile.devices == self.devices {
            return vec![];
        }
        let has = |instance: &&Arc<Instance>| {
            instance.project == profile.project && instance.profiles.contains(&profile.name) && instance.status.is_live()
        };
        state.instances.values().filter(has).cloned().collect()
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

    fn shares(&self, state: &State) -> Vec<ObjectId> {
        let mut shared: Vec<ObjectId> = self.concerned(state).iter().map(|instance| instance.id).collect();
        if let Ok(profile) = by_id(state, self.id) {
            shared.extend(named(state, &profile.project, &self.devices));
        }
        shared
    }

    fn check(&self, state: &State) -> Result<()> {
        self.changed(state).map(drop)
    }

    async fn needs(&self, view: &View<'_>) -> Result<Option<Box<dyn Verb>>> {
        // What cannot be is refused by the plan.
        let Ok(next) = self.next(&view.state) else { return Ok(None) };
        for instance in self.concerned(&view.state) {
            if let Some(need) = needed(view, &nics(&next, &instance).unwrap_or_default()).await? {
                return Ok(Some(need));
            }
        }
        Ok(None)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let (profile, next) = (self.changed(&view.state)?, self.next(&view.state)?);
        let mut steps = vec![];
        for instance in self.concerned(&view.state) {
            if !matches!(instance.status, Status::Running | Status::Frozen) {
                let what = format!("instance {} is {}; try again", instance.name, instance.status);
                return Err(Error::new(Kind::Busy, what));
            }
            let changed = rewired(&view.state, &instance, &next, &instance);
            steps.extend(changed.map_err(|e| e.context(format!("instance {}", instance.name)))?);
        }
        let mut back = Profile::clone(by_id(&view.state, self.id)?.as_ref());
        // The writes raise it.
        back.generation += 1;
        let failed = if steps.is_empty() { vec![] } else { vec![Write::Update(Row::Profile(back))] };
        Ok(Plan { steps, failed, ..Plan::writes(vec![Write::Update(Row::Profile(profile))]) })
    }
}
