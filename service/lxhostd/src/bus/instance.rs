//! `org.lxhost1.Instance`: life, configuration and state of one instance.

use super::error::Failure;
use super::job::value;
use super::manager::{Manager, id_of};
use super::options::{self, Options};
use super::rows::{self, no_object, object};
use super::{Bus, invalid, paths};
use lxhost_dbus::path;
use lxhost_dbus::wire::{Config, Devices, Values};
use lxhost_engine::instance::{
    Change, Configure, Create, Delete, Edition, Export, Freeze, Move, Original, Publish, Refresh, Rename, Restart, Source, Start,
    Stop, Thaw, expand, used,
};
use lxhost_engine::ports::{State, Whom};
use lxhost_engine::{Engine, Error, Kind, Live, Question, Result};
use lxhost_model::{Action, Instance as Record, ObjectId};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::Header;
use zbus::wire::{ObjectPath, OwnedObjectPath, OwnedVariant};

pub(super) struct Instance {
    pub(super) bus: Bus,
    pub(super) id: ObjectId,
}

/// `mode` and `timeout-usec` of a stop.
pub(super) fn stop_options(options: &mut Options) -> Result<(bool, Option<u64>)> {
    let force = match options.text("mode")?.as_str() {
        "" | "graceful" => false,
        "force" => true,
        other => return Err(invalid(format!("unknown mode {}; graceful or force", lxhost_model::name::quoted(other)))),
    };
    let seconds = options.take::<u64>("timeout-usec")?.map(|usec| usec.div_ceil(1_000_000));
    Ok((force, seconds))
}

/// Fields of `GetState`.
pub(super) struct Fields {
    counters: bool,
}

impl Fields {
    pub(super) fn new(fields: &[String]) -> Result<Self> {
        let known = ["cpu", "memory", "pids", "network"];
        match fields.iter().find(|field| !known.contains(&field.as_str())) {
            Some(unknown) => {
                Err(invalid(format!("unknown field {}; one of {}", lxhost_model::name::quoted(unknown), known.join(", "))))
            }
            None => Ok(Fields { counters: fields.is_empty() || fields.iter().any(|field| field != "network") }),
        }
    }
}

/// Live state of an instance.
pub(super) async fn state(engine: &Engine, id: ObjectId, fields: &Fields) -> Result<Values> {
    let record = record(&engine.state(), id)?;
    let live = engine.live(id);
    let mut state = Values::from([
        ("state".to_owned(), value(record.status.as_str())?),
        ("substate".to_owned(), value(sub_state(live.as_ref()))?),
    ]);
    let Some(live) = live else { return Ok(state) };
    state.insert("leader".to_owned(), value(live.leader)?);
    state.insert("since".to_owned(), value(live.since)?);
    let addresses: Vec<(String, String)> = live.addresses.iter().map(|(name, ip)| (name.clone(), ip.to_string())).collect();
    state.insert("addresses".to_owned(), value(addresses)?);
    if !fields.counters {
        return Ok(state);
    }
    // It may end between the two looks; then there are no counters.
    let counters = engine.ports().launcher.counters(id).await.unwrap_or_default();
    if let Some(usage) = counters.cpu {
        state.insert("cpu".to_owned(), value(HashMap::from([("usage-nsec", value(usage)?)]))?);
    }
    let expanded = lxhost_engine::instance::expand(&engine.state(), &record);
    let host = engine.host().memory();
    let total = Some(lxhost_engine::memory_limit(&expanded.config, host)?.unwrap_or(host).min(host));
    let memory: HashMap<&str, OwnedVariant> = [("current", counters.memory), ("peak", counters.memory_peak), ("total", total)]
        .into_iter()
        .filter_map(|(key, bytes)| Some(value(bytes?).map(|bytes| (key, bytes))))
        .collect::<Result<_>>()?;
    if !memory.is_empty() {
        state.insert("memory".to_owned(), value(memory)?);
    }
    if let Some(processes) = counters.processes {
        state.insert("pids".to_owned(), value(processes)?);
    }
    Ok(state)
}

fn record(state: &State, id: ObjectId) -> Result<Arc<Record>> {
    state.instances.get(&id).cloned().ok_or_else(|| Error::new(Kind::NoSuchInstance, "the instance does not exist any more"))
}

fn sub_state(live: Option<&Live>) -> &'static str {
    live.map_or("", |live| live.sub_state.as_str())
}

fn last_exit(record: &Record) -> (String, i32) {
    record.last_exit.as_ref().map(|exit| (exit.reason.as_str().to_owned(), exit.status)).unwrap_or_default()
}

/// How many snapshots there are.
pub(super) fn snapshot_count(state: &State, id: ObjectId) -> u32 {
    u32::try_from(state.snapshots_of(id).count()).unwrap_or(u32::MAX)
}

/// Properties that follow the running guest.
pub(super) fn live_properties(record: &Record, live: Option<&Live>) -> Result<HashMap<&'static str, OwnedVariant>> {
    Ok(HashMap::from([
        ("State", value(record.status.as_str())?),
        ("SubState", value(sub_state(live))?),
        ("StateTimestamp", value(record.status_since)?),
        ("Leader", value(live.map_or(0, |live| live.leader))?),
        ("Addresses", value(live.map(rows::addresses).unwrap_or_default())?),
    ]))
}

/// Properties that changed with a commit.
pub(super) fn changes(
    before: &State,
    after: &State,
    id: ObjectId,
    live: Option<&Live>,
) -> Result<HashMap<&'static str, OwnedVariant>> {
    let (Some(old), Some(new)) = (before.instances.get(&id), after.instances.get(&id)) else { return Ok(HashMap::new()) };
    let mut changed = if old.status == new.status { HashMap::new() } else { live_properties(new, live)? };
    if old.name != new.name {
        changed.insert("Name", value(new.name.as_str())?);
        changed.insert("Unit", value(new.unit())?);
    }
    if old.pool != new.pool {
        changed.insert("Pool", value(new.pool.as_str())?);
    }
    if old.description != new.description {
        changed.insert("Description", value(new.description.as_str())?);
    }
    if old.profiles != new.profiles {
        changed.insert("Profiles", value(new.profiles.iter().map(ToString::to_string).collect::<Vec<_>>())?);
    }
    if old.last_exit != new.last_exit {
        changed.insert("LastExit", value(last_exit(new))?);
    }
    if old.generation != new.generation {
        changed.insert("Generation", value(new.generation)?);
    }
    Ok(changed)
}

impl Instance {
    fn record(&self) -> Result<Arc<Record>> {
        record(&self.bus.engine.state(), self.id)
    }

    async fn configure(&self, header: &Header<'_>, change: Change) -> Result<(u64, OwnedObjectPath), Failure> {
        let caller = self.bus.caller(header).await?;
        self.bus.engine.perform(&caller, Configure::new(self.id, change)?).await?;
        Ok((self.record()?.generation, no_object()?))
    }
}

#[zbus::interface(name = "org.lxhost1.Instance")]
impl Instance {
    #[zbus(out_args("job"))]
    async fn start(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Start::new(self.id)).await
    }

    #[zbus(out_args("job"))]
    async fn stop(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let (force, seconds) = stop_options(&mut options)?;
        options.done()?;
        self.bus.submit(&header, Stop::new(self.id, force, seconds)).await
    }

    #[zbus(out_args("job"))]
    async fn restart(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let (force, seconds) = stop_options(&mut options)?;
        options.done()?;
        self.bus.submit(&header, Restart::new(self.id, force, seconds)).await
    }

    #[zbus(out_args("job"))]
    async fn freeze(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Freeze::new(self.id)).await
    }

    #[zbus(out_args("job"))]
    async fn thaw(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Thaw::new(self.id)).await
    }

    #[zbus(out_args("job"))]
    async fn delete(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let (force, at_once) = (options.flag("force")?, options.flag("at-once")?);
        options.done()?;
        self.bus.submit(&header, Delete::new(self.id, force).at_once(at_once)).await
    }

    async fn kill(&self, #[zbus(header)] header: Header<'_>, whom: &str, signal: i32, options: Values) -> Result<(), Failure> {
        options::none(options)?;
        let whom = match whom {
            "leader" => Whom::Leader,
            "all" => Whom::All,
            other => return Err(invalid(format!("unknown target {}; leader or all", lxhost_model::name::quoted(other))).into()),
        };
        if !(1..=64).contains(&signal) {
            return Err(invalid(format!("{signal} is no signal")).into());
        }
        let caller = self.bus.caller(&header).await?;
        let record = self.record()?;
        self.bus.engine.allow(&caller, Question::about(Action::InstanceOperate, &record, "instance.kill")).await?;
        Ok(self.bus.engine.ports().launcher.signal(self.id, whom, signal).await?)
    }

    #[zbus(out_args("job"))]
    async fn export(
        &self,
        #[zbus(header)] header: Header<'_>,
        data: zbus::OwnedFd,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let (compression, alone) = (options.parsed("compression")?.unwrap_or_default(), options.flag("instance-only")?);
        options.done()?;
        let random = self.bus.engine.host().random();
        self.bus.submit(&header, Export::new(self.id, data.into(), compression, alone, random)).await
    }

    #[zbus(out_args("job"))]
    async fn publish(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let edition = Edition {
            snapshot: options.parsed("snapshot")?,
            aliases: options.parsed_list("aliases")?.unwrap_or_default(),
            reuse: options.flag("reuse")?,
            properties: options.config("properties")?,
            compression: options.parsed("compression")?.unwrap_or_default(),
        };
        options.done()?;
        let project = self.record()?.project.clone();
        self.bus.submit(&header, Publish::new(self.bus.engine.ports(), project, self.id, edition)?).await
    }

    #[zbus(out_args("instance"))]
    async fn rename(&self, #[zbus(header)] header: Header<'_>, name: &str, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        self.bus.engine.perform(&caller, Rename::new(self.id, name.parse()?)).await?;
        Ok(object(path::instance(self.id))?)
    }

    #[zbus(name = "Move", out_args("job"))]
    async fn move_to(&self, #[zbus(header)] header: Header<'_>, pool: &str, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Move::new(self.bus.engine.ports(), self.id, pool.parse()?)).await
    }

    #[zbus(out_args("instance", "job"))]
    async fn copy(
        &self,
        #[zbus(header)] header: Header<'_>,
        name: &str,
        options: Values,
    ) -> Result<(OwnedObjectPath, OwnedObjectPath), Failure> {
        let mut options = Options::new(options);
        let source = Source::Copy(Manager::original_of(self.id, &mut options)?);
        let (spec, shown) = (Manager::spec_of(&mut options)?, paths::take(&mut options)?);
        options.done()?;
        let before = expand(&self.bus.engine.state(), self.record()?.as_ref()).devices;
        paths::check(&self.bus, &header, shown, &spec.devices, &before).await?;
        let name = if name.is_empty() { None } else { Some(name.parse()?) };
        let project = self.record()?.project.clone();
        let verb = Create::new(project, name, source, spec, self.bus.engine.host().random())?;
        let id = verb.id();
        Ok((object(path::instance(id))?, self.bus.submit(&header, verb).await?))
    }

    #[zbus(out_args("job"))]
    async fn refresh(
        &self,
        #[zbus(header)] header: Header<'_>,
        original: ObjectPath<'_>,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let what = Manager::original_of(self.id, &mut options)?;
        options.done()?;
        let original = Original { instance: id_of(&original)?, ..what };
        self.bus.submit(&header, Refresh::new(self.bus.engine.ports(), self.id, original)).await
    }

    #[zbus(out_args("config", "devices", "profiles", "generation"))]
    async fn get_config(
        &self,
        #[zbus(header)] header: Header<'_>,
        options: Values,
    ) -> Result<(Config, Devices, Vec<String>, u64), Failure> {
        let mut options = Options::new(options);
        let expanded = options.flag("expanded")?;
        options.done()?;
        let caller = self.bus.caller(&header).await?;
        let record = self.record()?;
        self.bus.engine.allow(&caller, Question::about(Action::InstanceInspect, &record, "instance.get-config")).await?;
        let (config, devices) = match expanded {
            false => (record.config.clone(), options::devices_out(&record.devices)),
            true => {
                let merged = expand(&self.bus.engine.state(), &record);
                (merged.config, options::devices_out(&merged.devices))
            }
        };
        Ok((config, devices, record.profiles.iter().map(ToString::to_string).collect(), record.generation))
    }

    #[zbus(out_args("generation", "job"))]
    async fn update_config(
        &self,
        #[zbus(header)] header: Header<'_>,
        set: Config,
        unset: Vec<String>,
        options: Values,
    ) -> Result<(u64, OwnedObjectPath), Failure> {
        let mut options = Options::new(options);
        let expected = options.take("expected-generation")?;
        options.done()?;
        self.configure(&header, Change { set, unset, expected, ..Change::default() }).await
    }

    #[zbus(out_args("generation", "job"))]
    async fn replace_config(
        &self,
        #[zbus(header)] header: Header<'_>,
        config: Config,
        devices: Devices,
        profiles: Vec<String>,
        expected_generation: u64,
        options: Values,
    ) -> Result<(u64, OwnedObjectPath), Failure> {
        let mut options = Options::new(options);
        let (description, shown) = (options.take("description")?, paths::take(&mut options)?);
        options.done()?;
        let devices = options::devices(devices)?;
        let before = expand(&self.bus.engine.state(), self.record()?.as_ref()).devices;
        paths::check(&self.bus, &header, shown, &devices, &before).await?;
        let change = Change {
            config: Some(config),
            devices: Some(devices),
            profiles: Some(profiles.iter().map(|name| name.parse()).collect::<Result<_>>()?),
            description,
            expected: Some(expected_generation),
            ..Change::default()
        };
        self.configure(&header, change).await
    }

    #[zbus(out_args("state"))]
    async fn get_state(&self, fields: Vec<String>, options: Values) -> Result<Values, Failure> {
        options::none(options)?;
        Ok(state(&self.bus.engine, self.id, &Fields::new(&fields)?).await?)
    }

    #[zbus(out_args("usage"))]
    async fn get_usage(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<Values, Failure> {
        options::none(options)?;
        let (caller, record) = (self.bus.caller(&header).await?, self.record()?);
        self.bus.engine.allow(&caller, Question::about(Action::Info, &record, "instance.get-usage")).await?;
        let (bytes, size) = used(&self.bus.engine.state(), self.bus.engine.ports(), self.id).await?;
        let mut usage = Values::from([("used".to_owned(), value(bytes)?)]);
        usage.extend(size.map(|size| Ok::<_, lxhost_engine::Error>(("total".to_owned(), value(size)?))).transpose()?);
        Ok(usage)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> String {
        self.id.to_string()
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Type")]
    fn kind(&self) -> Result<String, Failure> {
        Ok(self.record()?.kind.as_str().to_owned())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn architecture(&self) -> Result<String, Failure> {
        Ok(self.record()?.architecture.clone())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn created_timestamp(&self) -> Result<u64, Failure> {
        Ok(self.record()?.created)
    }

    #[zbus(property)]
    fn pool(&self) -> Result<String, Failure> {
        Ok(self.record()?.pool.to_string())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn image(&self) -> Result<String, Failure> {
        Ok(self.record()?.image.as_ref().map(ToString::to_string).unwrap_or_default())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn image_description(&self) -> Result<String, Failure> {
        Ok(self.record()?.image_properties.get("description").cloned().unwrap_or_default())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn ephemeral(&self) -> Result<bool, Failure> {
        Ok(self.record()?.ephemeral)
    }

    /// First host id and number of ids.
    #[zbus(property(emits_changed_signal = "const"))]
    fn ids(&self) -> Result<(u32, u32), Failure> {
        let ids = self.record()?.ids;
        Ok((ids.base, ids.size))
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn project(&self) -> Result<String, Failure> {
        Ok(self.record()?.project.to_string())
    }

    #[zbus(property)]
    fn name(&self) -> Result<String, Failure> {
        Ok(self.record()?.name.to_string())
    }

    #[zbus(property)]
    fn unit(&self) -> Result<String, Failure> {
        Ok(self.record()?.unit())
    }

    #[zbus(property)]
    fn description(&self) -> Result<String, Failure> {
        Ok(self.record()?.description.clone())
    }

    #[zbus(property)]
    fn profiles(&self) -> Result<Vec<String>, Failure> {
        Ok(self.record()?.profiles.iter().map(ToString::to_string).collect())
    }

    #[zbus(property)]
    fn state(&self) -> Result<String, Failure> {
        Ok(self.record()?.status.to_string())
    }

    #[zbus(property)]
    fn sub_state(&self) -> String {
        sub_state(self.bus.engine.live(self.id).as_ref()).to_owned()
    }

    #[zbus(property)]
    fn state_timestamp(&self) -> Result<u64, Failure> {
        Ok(self.record()?.status_since)
    }

    #[zbus(property)]
    fn leader(&self) -> u32 {
        self.bus.engine.live(self.id).map_or(0, |live| live.leader)
    }

    #[zbus(property)]
    fn addresses(&self) -> Vec<String> {
        self.bus.engine.live(self.id).map(|live| rows::addresses(&live)).unwrap_or_default()
    }

    #[zbus(property)]
    fn last_exit(&self) -> Result<(String, i32), Failure> {
        Ok(last_exit(self.record()?.as_ref()))
    }

    #[zbus(property)]
    fn snapshot_count(&self) -> u32 {
        snapshot_count(&self.bus.engine.state(), self.id)
    }

    #[zbus(property)]
    fn generation(&self) -> Result<u64, Failure> {
        Ok(self.record()?.generation)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn last_used_timestamp(&self) -> Result<u64, Failure> {
        Ok(self.record()?.last_used)
    }
}
