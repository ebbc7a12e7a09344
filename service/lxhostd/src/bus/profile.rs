//! `org.lxhost1.Profile`.

use super::error::Failure;
use super::job::described;
use super::options::{self, Options};
use super::rows::object;
use super::{Bus, paths};
use lxhost_dbus::path;
use lxhost_dbus::wire::{Config, Devices, Values};
use lxhost_engine::ports::State;
use lxhost_engine::profile::{Delete, Replace, by_id};
use lxhost_engine::{Question, Result};
use lxhost_model::{Action, ObjectId, Profile as Record};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::Header;
use zbus::wire::{OwnedObjectPath, OwnedVariant};

pub(super) struct Profile {
    pub(super) bus: Bus,
    pub(super) id: ObjectId,
}

/// Properties that changed with a commit.
pub(super) fn changes(before: &State, after: &State, id: ObjectId) -> Result<HashMap<&'static str, OwnedVariant>> {
    let (Some(old), Some(new)) = (before.profiles.get(&id), after.profiles.get(&id)) else { return Ok(HashMap::new()) };
    described((&old.description, old.generation), (&new.description, new.generation))
}

impl Profile {
    fn record(&self) -> Result<Arc<Record>> {
        by_id(&self.bus.engine.state(), self.id)
    }
}

#[zbus::interface(name = "org.lxhost1.Profile")]
impl Profile {
    #[zbus(out_args("config", "devices", "generation"))]
    async fn get_config(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<(Config, Devices, u64), Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        let record = self.record()?;
        let details = vec![("profile", record.name.to_string()), ("verb", "profile.get-config".to_owned())];
        self.bus.engine.allow(&caller, Question { action: Action::InstanceInspect, details }).await?;
        Ok((record.config.clone(), options::devices_out(&record.devices), record.generation))
    }

    #[zbus(out_args("generation"))]
    async fn replace_config(
        &self,
        #[zbus(header)] header: Header<'_>,
        config: Config,
        devices: Devices,
        expected_generation: u64,
        options: Values,
    ) -> Result<u64, Failure> {
        let mut options = Options::new(options);
        let (description, shown) = (options.take("description")?, paths::take(&mut options)?);
        options.done()?;
        let devices = options::devices(devices)?;
        paths::check(&self.bus, &header, shown, &devices, &self.record()?.devices).await?;
        let verb = Replace { id: self.id, config, devices, description, expected: Some(expected_generation) };
        let caller = self.bus.caller(&header).await?;
        self.bus.engine.perform(&caller, verb).await?;
        Ok(self.record()?.generation)
    }

    #[zbus(out_args("instances"))]
    async fn list_users(&self) -> Result<Vec<OwnedObjectPath>, Failure> {
        let record = self.record()?;
        let state = self.bus.engine.state();
        let users = state.instances.values().filter(|i| i.project == record.project && i.profiles.contains(&record.name));
        Ok(users.map(|instance| object(path::instance(instance.id))).collect::<Result<_>>()?)
    }

    async fn delete(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<(), Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        self.bus.engine.perform(&caller, Delete::new(self.id)).await?;
        Ok(())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> String {
        self.id.to_string()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn project(&self) -> Result<String, Failure> {
        Ok(self.record()?.project.to_string())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn name(&self) -> Result<String, Failure> {
        Ok(self.record()?.name.to_string())
    }

    #[zbus(property)]
    fn description(&self) -> Result<String, Failure> {
        Ok(self.record()?.description.clone())
    }

    #[zbus(property)]
    fn generation(&self) -> Result<u64, Failure> {
        Ok(self.record()?.generation)
    }
}
