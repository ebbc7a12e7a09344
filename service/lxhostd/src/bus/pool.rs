//! `org.lxhost1.Pool`.

use super::Bus;
use super::error::Failure;
use super::job::described;
use super::manager::project_of;
use super::options::{self, Options};
use super::rows::object;
use lxhost_dbus::path;
use lxhost_dbus::wire::{Config, Values};
use lxhost_engine::pool::{Delete, Replace, by_id, usage};
use lxhost_engine::ports::State;
use lxhost_engine::{Error, Kind, Question, Result, volume};
use lxhost_model::volume::Content;
use lxhost_model::{Action, ObjectId, Pool as Record, Volume};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::Header;
use zbus::wire::{OwnedObjectPath, OwnedVariant};

pub(super) struct Pool {
    pub(super) bus: Bus,
    pub(super) id: ObjectId,
}

/// Properties that changed with a commit.
pub(super) fn changes(before: &State, after: &State, id: ObjectId) -> Result<HashMap<&'static str, OwnedVariant>> {
    let (Some(old), Some(new)) = (before.pools.get(&id), after.pools.get(&id)) else { return Ok(HashMap::new()) };
    described((&old.description, old.generation), (&new.description, new.generation))
}

impl Pool {
    fn record(&self) -> Result<Arc<Record>> {
        by_id(&self.bus.engine.state(), self.id)
    }
}

#[zbus::interface(name = "org.lxhost1.Pool")]
impl Pool {
    #[zbus(out_args("config", "generation"))]
    async fn get_config(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<(Config, u64), Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        let record = self.record()?;
        let details = vec![("pool", record.name.to_string()), ("verb", "pool.get-config".to_owned())];
        self.bus.engine.allow(&caller, Question { action: Action::Info, details }).await?;
        Ok((record.config.clone(), record.generation))
    }

    #[zbus(out_args("generation"))]
    async fn replace_config(
        &self,
        #[zbus(header)] header: Header<'_>,
        config: Config,
        expected_generation: u64,
        options: Values,
    ) -> Result<u64, Failure> {
        let mut options = Options::new(options);
        let description = options.take("description")?;
        options.done()?;
        let verb = Replace { id: self.id, config, description, expected: Some(expected_generation) };
        let caller = self.bus.caller(&header).await?;
        self.bus.engine.perform(&caller, verb).await?;
        Ok(self.record()?.generation)
    }

    #[zbus(out_args("total", "free"))]
    async fn get_usage(&self) -> Result<(u64, u64), Failure> {
        let usage = usage(&self.bus.engine.state(), self.bus.engine.ports(), self.id).await?;
        Ok((usage.total, usage.free))
    }

    #[zbus(out_args("volume"))]
    async fn get_volume(&self, project: &str, name: &str) -> Result<OwnedObjectPath, Failure> {
        let (state, pool, project) = (self.bus.engine.state(), self.record()?, project_of(project)?);
        let what = || format!("volume {} of pool {} does not exist", lxhost_model::name::quoted(name), pool.name);
        let found = name.parse().ok().and_then(|name| state.volume(&pool.name, &project, &name));
        let volume = found.ok_or_else(|| Error::new(Kind::NoSuchVolume, what()))?;
        Ok(object(path::volume(volume.id))?)
    }

    #[zbus(out_args("volume", "job"))]
    async fn create_volume(
        &self,
        #[zbus(header)] header: Header<'_>,
        project: &str,
        name: &str,
        config: Config,
        options: Values,
    ) -> Result<(OwnedObjectPath, OwnedObjectPath), Failure> {
        let mut options = Options::new(options);
        let description = options.text("description")?;
        let content: Content = options.text("content-type")?.parse()?;
        options.done()?;
        let host = self.bus.engine.host();
        let (id, created) = (ObjectId::from_random(host.random()), host.now());
        let (project, pool) = (project_of(project)?, self.record()?.name.clone());
        let (name, volatile) = (name.parse()?, Config::new());
        let volume = Volume { id, project, pool, name, content, description, config, volatile, created, generation: 0 };
        let verb = volume::Create::new(volume)?;
        Ok((object(path::volume(id))?, self.bus.submit(&header, verb).await?))
    }

    #[zbus(out_args("volume", "job"))]
    async fn import_volume(
        &self,
        #[zbus(header)] header: Header<'_>,
        project: &str,
        data: zbus::OwnedFd,
        options: Values,
    ) -> Result<(OwnedObjectPath, OwnedObjectPath), Failure> {
        let mut options = Options::new(options);
        let name = options.parsed("name")?;
        options.done()?;
        let (caller, pool) = (self.bus.caller(&header).await?, self.record()?.name.clone());
        let verb = self.bus.engine.read_volume_backup(&caller, pool, project_of(project)?, data.into(), name).await?;
        let id = verb.id();
        Ok((object(path::volume(id))?, self.bus.submit(&header, verb).await?))
    }

    #[zbus(out_args("job"))]
    async fn delete(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Delete::new(self.id)).await
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> String {
        self.id.to_string()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn driver(&self) -> Result<String, Failure> {
        Ok(self.record()?.driver.clone())
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
