//! `instance.configure`: keys, devices, profiles and description change together or not at all; interfaces of a running
//! instance at once.

use super::{expand, guard, mac, mac_key, nics, questions, rewired};
use crate::core::instance_of;
use crate::job::Output;
use crate::ports::{Row, State, Write, same};
use crate::step::Outcome;
use crate::verb::{Finish, Plan, Question, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::config::{Config, check_instance};
use lxhost_model::device::Devices;
use lxhost_model::name::ProfileName;
use lxhost_model::{Action, Instance, ObjectId, Status};

/// What changes; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Keys to set.
    pub set: Config,
    /// Keys to unset; one that is not set is an error.
    pub unset: Vec<String>,
    /// All keys, instead of `set` and `unset`.
    pub config: Option<Config>,
    /// All devices.
    pub devices: Option<Devices>,
    /// All profiles.
    pub profiles: Option<Vec<ProfileName>>,
    /// The description.
    pub description: Option<String>,
    /// Generation the caller has read; `None`: whatever it is now.
    pub expected: Option<u64>,
}

/// Changes the configuration of an instance.
pub struct Configure {
    id: ObjectId,
    change: Change,
}

impl Configure {
    /// Applies `change` to the instance `id`.
    ///
    /// # Errors
    /// `InvalidConfig` for an unknown key or malformed value.
    pub fn new(id: ObjectId, change: Change) -> Result<Self> {
        change.set.iter().chain(change.config.iter().flatten()).try_for_each(|(key, value)| check_instance(key, value))?;
        Ok(Configure { id, change })
    }

    /// The record as it will be.
    fn changed(&self, state: &State) -> Result<Instance> {
        let change = &self.change;
        let mut record = Instance::clone(instance_of(state, self.id)?.as_ref());
        same(record.generation, change.expected.unwrap_or(record.generation), format_args!("instance {}", record.name))?;
        if let Some(config) = &change.config {
            record.config = config.clone();
        }
        record.config.extend(change.set.clone());
        for key in &change.unset {
            if record.config.remove(key).is_none() {
                let what = format!("configuration key {} is not set on {}", lxhost_model::name::quoted(key), record.name);
                return Err(Error::new(Kind::InvalidConfig, what));
            }
        }
        if record.config.len() > lxhost_model::config::MAX_KEYS {
            return Err(Error::new(Kind::InvalidConfig, "too many configuration keys"));
        }
        if let Some(devices) = &change.devices {
            record.devices = devices.clone();
        }
        if let Some(profiles) = &change.profiles {
            if let Some(unknown) = profiles.iter().find(|name| state.profile(&record.project, name).is_none()) {
                return Err(Error::new(Kind::NoSuchProfile, format!("profile {unknown} does not exist")));
            }
            record.profiles = profiles.clone();
        }
        if let Some(description) = &change.description {
            lxhost_model::config::check_text("description", description)?;
            record.description = description.clone();
        }
        for (device, _) in expand(state, &record).devices.iter().filter(|(_, device)| device.kind() == "nic") {
            record.volatile.entry(mac_key(device)).or_insert_with(|| mac(self.id, device));
        }
        Ok(record)
    }
}

#[async_trait]
impl Verb for Configure {
    fn name(&self) -> &'static str {
        "instance.configure"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let mut questions = questions(state, self.id, Action::InstanceConfigure, self.name());
        // A change that cannot be made is refused later, whoever asks.
        questions.extend(self.changed(state).ok().into_iter().flat_map(|record| guard(state, &record, self.name())));
        questions
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        self.changed(state).map(drop)
    }

    fn shares(&self, state: &State) -> Vec<ObjectId> {
        let record = self.changed(state).ok();
        record.map(|record| super::named(state, &record.project, &expand(state, &record).devices)).unwrap_or_default()
    }

    async fn needs(&self, view: &View<'_>) -> Result<Option<Box<dyn Verb>>> {
        match (instance_of(&view.state, self.id), self.changed(&view.state)) {
            (Ok(before), Ok(record)) if matches!(before.status, Status::Running | Status::Frozen) => {
                super::nics::needed(view, &nics(&view.state, &record)?).await
            }
            _ => Ok(None),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let (before, record) = (instance_of(&view.state, self.id)?, self.changed(&view.state)?);
        let steps = rewired(&view.state, &before, &view.state, &record)?;
        let mut back = Instance::clone(&before);
        // The writes raise it.
        back.generation += 1;
        let failed = if steps.is_empty() { vec![] } else { vec![Write::Update(Row::Instance(back))] };
        Ok(Plan { steps, failed, ..Plan::writes(vec![Write::Update(Row::Instance(record))]) })
    }

    fn finish(&self, _plan: &Plan, _outcome: &Outcome, state: &State) -> Result<Finish> {
        let generation = instance_of(state, self.id)?.generation;
        let mut output = Output::object("instance", self.id);
        output.texts.insert("generation", generation.to_string());
        Ok(Finish { writes: vec![], output })
    }
}
