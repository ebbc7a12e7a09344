//! `org.lxhost1.Volume`.

use super::Bus;
use super::error::Failure;
use super::job::{described, value};
use super::options::{self, Options};
use lxhost_dbus::path;
use lxhost_dbus::wire::{Config, Values};
use lxhost_engine::ports::State;
use lxhost_engine::volume::{Copy, Copying, Delete, Export, Move, Refresh, Rename, Replace, by_id, pool_of, question, used};
use lxhost_engine::{Error, Kind, Question, Result};
use lxhost_model::name::quoted;
use lxhost_model::{Action, ObjectId, Volume as Record};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::Header;
use zbus::wire::{ObjectPath, OwnedObjectPath, OwnedVariant};

pub(super) struct Volume {
    pub(super) bus: Bus,
    pub(super) id: ObjectId,
}

/// Properties that changed with a commit.
pub(super) fn changes(before: &State, after: &State, id: ObjectId) -> Result<HashMap<&'static str, OwnedVariant>> {
    let (Some(old), Some(new)) = (before.volumes.get(&id), after.volumes.get(&id)) else { return Ok(HashMap::new()) };
    let mut changed = described((&old.description, old.generation), (&new.description, new.generation))?;
    if old.name != new.name {
        changed.insert("Name", value(new.name.as_str())?);
    }
    if old.pool != new.pool {
        changed.insert("Pool", value(super::rows::object(path::pool(pool_of(after, new)?.id))?)?);
    }
    Ok(changed)
}

/// The volume behind an object path.
fn id_of(path: &ObjectPath<'_>) -> Result<ObjectId> {
    let bad = || Error::new(Kind::NoSuchVolume, format!("{} is no volume", quoted(path.as_str())));
    path.as_str().strip_prefix("/org/lxhost1/volume/").ok_or_else(bad)?.parse().map_err(|_| bad())
}

impl Volume {
    fn record(&self) -> Result<Arc<Record>> {
        by_id(&self.bus.engine.state(), self.id)
    }

    /// Asks whether the caller may read it.
    async fn inspected(&self, header: &Header<'_>, verb: &str) -> Result<Arc<Record>, Failure> {
        let caller = self.bus.caller(header).await?;
        let record = self.record()?;
        let asked = question(&record.pool, &record.project, record.name.as_str(), verb);
        self.bus.engine.allow(&caller, Question { action: Action::Info, ..asked }).await?;
        Ok(record)
    }
}

#[zbus::interface(name = "org.lxhost1.Volume")]
impl Volume {
    #[zbus(out_args("config", "generation"))]
    async fn get_config(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<(Config, u64), Failure> {
        options::none(options)?;
        let record = self.inspected(&header, "volume.get-config").await?;
        Ok((record.config.clone(), record.generation))
    }

    #[zbus(out_args("job"))]
    async fn replace_config(
        &self,
        #[zbus(header)] header: Header<'_>,
        config: Config,
        expected_generation: u64,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let description = options.take("description")?;
        options.done()?;
        self.bus.submit(&header, Replace { id: self.id, config, description, expected: Some(expected_generation) }).await
    }

    #[zbus(out_args("usage"))]
    async fn get_usage(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<Values, Failure> {
        options::none(options)?;
        let record = self.inspected(&header, "volume.get-usage").await?;
        let bytes = used(&self.bus.engine.state(), self.bus.engine.ports(), record.id).await?;
        let mut usage = Values::from([("used".to_owned(), value(bytes)?)]);
        if let Some(size) = record.block()?.or(record.quota()?) {
            usage.insert("total".to_owned(), value(size)?);
        }
        Ok(usage)
    }

    #[zbus(out_args("job"))]
    async fn rename(&self, #[zbus(header)] header: Header<'_>, name: &str, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Rename { id: self.id, name: name.parse()? }).await
    }

    #[zbus(out_args("volume", "job"))]
    async fn copy(
        &self,
        #[zbus(header)] header: Header<'_>,
        name: &str,
        options: Values,
    ) -> Result<(OwnedObjectPath, OwnedObjectPath), Failure> {
        let mut options = Options::new(options);
        let (pool, snapshot) = (options.parsed("pool")?, options.parsed("snapshot")?);
        let volume_only = options.flag("volume-only")?;
        options.done()?;
        let what = Copying { volume: self.id, snapshot, volume_only, pool, name: name.parse()? };
        let verb = Copy::new(self.bus.engine.ports(), what);
        let id = verb.id();
        Ok((super::rows::object(path::volume(id))?, self.bus.submit(&header, verb).await?))
    }

    #[zbus(out_args("job"))]
    async fn refresh(
        &self,
        #[zbus(header)] header: Header<'_>,
        original: ObjectPath<'_>,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let (snapshot, alone) = (options.parsed("snapshot")?, options.flag("volume-only")?);
        options.done()?;
        let original = id_of(&original)?;
        self.bus.submit(&header, Refresh::new(self.bus.engine.ports(), self.id, original, snapshot, alone)).await
    }

    #[zbus(out_args("job"))]
    async fn export(
        &self,
        #[zbus(header)] header: Header<'_>,
        data: zbus::OwnedFd,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let (compression, alone) = (options.parsed("compression")?.unwrap_or_default(), options.flag("volume-only")?);
        options.done()?;
        let verb = Export::new(self.bus.engine.ports(), self.id, data.into(), compression, alone);
        self.bus.submit(&header, verb).await
    }

    #[zbus(name = "Move", out_args("job"))]
    async fn move_to(&self, #[zbus(header)] header: Header<'_>, pool: &str, options: Values) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let name = options.parsed("name")?;
        options.done()?;
        self.bus.submit(&header, Move::new(self.id, pool.parse()?, name)).await
    }

    #[zbus(out_args("job"))]
    async fn delete(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let at_once = options.flag("at-once")?;
        options.done()?;
        self.bus.submit(&header, Delete::new(self.id).at_once(at_once)).await
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> String {
        self.id.to_string()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn project(&self) -> Result<String, Failure> {
        Ok(self.record()?.project.to_string())
    }

    #[zbus(property)]
    fn pool(&self) -> Result<OwnedObjectPath, Failure> {
        let state = self.bus.engine.state();
        let pool = pool_of(&state, self.record()?.as_ref())?;
        Ok(super::rows::object(path::pool(pool.id))?)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn content_type(&self) -> Result<String, Failure> {
        Ok(self.record()?.content.as_str().to_owned())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn created_timestamp(&self) -> Result<u64, Failure> {
        Ok(self.record()?.created)
    }

    #[zbus(property)]
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
