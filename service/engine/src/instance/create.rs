//! `instance.create`: a new instance from an image, from another instance, or empty; started when asked.

use super::across::placed_on;
use super::copy::{Original, address, inherit};
use super::{Start, guard, pool_of};
use crate::job::Output;
use crate::ports::{Row, RowKey, State, Write};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result, defaults, quota};
use async_trait::async_trait;
use lxhost_model::config::{Config, check_instance};
use lxhost_model::device::Devices;
use lxhost_model::instance::InstanceType;
use lxhost_model::name::{InstanceName, PoolName, ProfileName, ProjectName};
use lxhost_model::{Action, IdRange, Image, Instance, ObjectId, Pool, Status, Trigger};
use std::sync::{Arc, OnceLock};

/// Where the root comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An image by alias, fingerprint, start of a fingerprint, or `remote:alias`.
    Image(String),
    /// Nothing: an empty root.
    Empty,
    /// Another instance, or a snapshot.
    Copy(Original),
}

/// What the instance shall be.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// Free text.
    pub description: String,
    /// Profiles; `None`: `default`.
    pub profiles: Option<Vec<ProfileName>>,
    /// Its own keys.
    pub config: Config,
    /// Its own devices.
    pub devices: Devices,
    /// Pool; `None`: what the profiles say, else the default.
    pub pool: Option<PoolName>,
    /// Deleted when it stops.
    pub ephemeral: bool,
    /// Started when made.
    pub start: bool,
    /// Virtual machine instead of container.
    pub vm: bool,
}

/// Makes an instance.
pub struct Create {
    id: ObjectId,
    project: ProjectName,
    name: OnceLock<InstanceName>,
    random: [u8; 16],
    source: Source,
    spec: Spec,
    /// Whether what is copied was in use when the job was opened: then nobody else may hold it.
    live: OnceLock<bool>,
}

impl Create {
    /// Makes `name` (`None`: a generated name) in `project`; `random` becomes its id and its name.
    ///
    /// # Errors
    /// `InvalidConfig`, `Unsupported` (virtual machines).
    pub fn new(project: ProjectName, name: Option<InstanceName>, source: Source, spec: Spec, random: [u8; 16]) -> Result<Self> {
        if spec.vm {
            return Err(Error::new(Kind::Unsupported, "virtual machines are not supported by this version; leave --vm out"));
        }
        if spec.config.len() > lxhost_model::config::MAX_KEYS {
            return Err(Error::new(Kind::InvalidConfig, "too many configuration keys"));
        }
        lxhost_model::config::check_text("description", &spec.description)?;
        spec.config.iter().try_for_each(|(key, value)| check_instance(key, value))?;
        let cell = OnceLock::new();
        if let Some(name) = name {
            let _ = cell.set(name);
        }
        let id = ObjectId::from_random(random);
        Ok(Create { id, project, name: cell, random, source, spec, live: OnceLock::new() })
    }

    /// Identity it is going to have.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// The profiles asked for, those of the original, or the default one.
    fn profiles(&self, state: &State) -> Result<Vec<ProfileName>> {
        match (&self.spec.profiles, &self.source) {
            (Some(profiles), _) => Ok(profiles.clone()),
            (None, Source::Copy(original)) => Ok(original.record(state)?.profiles.clone()),
            (None, _) => Ok(vec![defaults::DEFAULT.parse()?]),
        }
    }

    fn chosen_name(&self, state: &State) -> Result<InstanceName> {
        if let Some(name) = self.name.get() {
            return Ok(name.clone());
        }
        crate::names::generate(state, &self.project, self.random)
    }

    fn image(&self, state: &State) -> Result<Option<Arc<Image>>> {
        match &self.source {
            Source::Image(reference) => crate::image::find(state, &self.project, reference).map(Some),
            Source::Empty => Ok(None),
            Source::Copy(original) => {
                let image = original.record(state)?.image.clone();
                Ok(image.and_then(|fingerprint| state.image(&self.project, &fingerprint).cloned()))
            }
        }
    }

    /// The record, but for the ids it is going to own.
    fn record(&self, state: &State, now: u64, architecture: String) -> Result<Instance> {
        self.record_of(state, self.image(state)?, now, architecture)
    }

    fn record_of(&self, state: &State, image: Option<Arc<Image>>, now: u64, architecture: String) -> Result<Instance> {
        let mut instance = Instance {
            id: self.id,
            project: self.project.clone(),
            name: self.chosen_name(state)?,
            description: self.spec.description.clone(),
            kind: InstanceType::Container,
            architecture: image.as_ref().map_or(architecture, |image| image.architecture.clone()),
            pool: defaults::DEFAULT.parse()?,
            image: image.as_ref().map(|image| image.fingerprint.clone()),
            image_properties: image.as_ref().map(|image| image.properties.clone()).unwrap_or_default(),
            profiles: self.profiles(state)?,
            config: self.spec.config.clone(),
            devices: self.spec.devices.clone(),
            volatile: Config::new(),
            ephemeral: self.spec.ephemeral,
            status: Status::Creating,
            status_since: now,
            ids: IdRange { base: 0, size: IdRange::SIZE },
            created: now,
            last_used: 0,
            last_exit: None,
            generation: 0,
        };
        match &self.source {
            Source::Copy(original) => {
                inherit(&mut instance, original.record(state)?.as_ref());
                if let Some(pool) = self.spec.pool.as_ref().filter(|pool| **pool != instance.pool) {
                    instance = placed_on(pool, instance)?;
                }
            }
            Source::Image(_) | Source::Empty => instance.pool = self.pool(state, &instance)?,
        }
        address(state, &mut instance);
        Ok(instance)
    }

    /// The pool asked for, that of the root disk, or the only sensible one.
    fn pool(&self, state: &State, instance: &Instance) -> Result<PoolName> {
        if let Some(pool) = &self.spec.pool {
            return Ok(pool.clone());
        }
        let expanded = super::expand(state, instance);
        let root = expanded.devices.values().find(|device| device.is_root()).and_then(|device| device.get("pool"));
        match root {
            Some(pool) => pool.parse(),
            None => match (state.pools.values().next(), state.pools.len()) {
                (Some(only), 1) => Ok(only.name.clone()),
                _ => defaults::DEFAULT.parse(),
            },
        }
    }
}

/// systemd's range for containers (UIDS-GIDS.md).
const BLOCKS: std::ops::RangeInclusive<u32> = 524_288..=1_879_048_191 - IdRange::SIZE;

/// The lowest free block of ids that belongs to nobody.
pub(crate) fn free_ids(state: &State, taken: &[IdRange]) -> Result<IdRange> {
    let used: std::collections::HashSet<u32> = state.instances.values().map(|instance| instance.ids.base).collect();
    let free = |range: &IdRange| !used.contains(&range.base) && taken.iter().all(|other| !other.overlaps(range));
    let mut ranges = BLOCKS.step_by(IdRange::SIZE as usize).map(|base| IdRange { base, size: IdRange::SIZE });
    ranges.find(free).ok_or_else(|| Error::failed("no block of 65536 user ids is free on this host; see /etc/subuid"))
}

/// Whether it is a block that `free_ids` may have found.
pub(crate) fn is_block(ids: IdRange) -> bool {
    ids.size == IdRange::SIZE && BLOCKS.contains(&ids.base) && ids.base.is_multiple_of(IdRange::SIZE)
}

#[async_trait]
impl Verb for Create {
    fn name(&self) -> &'static str {
        "instance.create"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let name = self.name.get().map(ToString::to_string).unwrap_or_default();
        let details = vec![("instance", name), ("project", self.project.to_string()), ("verb", self.name().to_owned())];
        let mut questions = vec![Question { action: Action::InstanceCreate, details: details.clone() }];
        if self.spec.start {
            questions.push(Question { action: Action::InstanceOperate, details: details.clone() });
        }
        if let Source::Copy(original) = &self.source {
            // Who has a copy has everything that is in the original.
            questions.extend(super::questions(state, original.instance, Action::InstanceMigrate, self.name()));
        }
        // The image may not be here yet; it has no say in this.
        if let Ok(record) = self.record_of(state, None, 0, String::new()) {
            let asked = guard(state, &record, self.name()).into_iter();
            questions.extend(asked.map(|question| Question { details: details.clone(), ..question }));
        }
        questions
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn holds(&self, state: &State) -> Vec<ObjectId> {
        match &self.source {
            // Two that freeze it would thaw it for each other.
            Source::Copy(original) if *self.live.get_or_init(|| original.is_live(state)) => vec![original.instance],
            _ => vec![],
        }
    }

    fn shares(&self, state: &State) -> Vec<ObjectId> {
        let record = self.record_of(state, None, 0, String::new()).ok();
        let named = record.map(|record| super::named(state, &self.project, &super::expand(state, &record).devices));
        let mut shared = named.unwrap_or_default();
        match &self.source {
            Source::Copy(original) if !*self.live.get_or_init(|| original.is_live(state)) => shared.push(original.instance),
            _ => {}
        }
        shared
    }

    fn check(&self, state: &State) -> Result<()> {
        if self.project != ProjectName::default() {
            return Err(Error::new(Kind::NoSuchProject, format!("project {} does not exist", self.project)));
        }
        if let Some(name) = self.name.get()
            && state.instance(&self.project, name).is_some()
        {
            return Err(Error::new(Kind::AlreadyExists, format!("instance {name} exists already")));
        }
        if let Some(pool) = &self.spec.pool
            && state.pool(pool).is_none()
            && !(state.pools.is_empty() && pool.as_str() == defaults::DEFAULT)
        {
            return Err(Error::new(Kind::NoSuchPool, format!("pool {pool} does not exist")));
        }
        match &self.source {
            Source::Image(reference) if !reference.contains(':') => drop(crate::image::find(state, &self.project, reference)?),
            Source::Copy(original) => original.check(state)?,
            Source::Image(_) | Source::Empty => {}
        }
        let unknown = self
            .profiles(state)?
            .into_iter()
            .find(|p| p.as_str() != defaults::DEFAULT && state.profile(&self.project, p).is_none());
        match unknown {
            Some(profile) => Err(Error::new(Kind::NoSuchProfile, format!("profile {profile} does not exist"))),
            None => Ok(()),
        }
    }

    async fn needs(&self, view: &View<'_>) -> Result<Option<Box<dyn Verb>>> {
        let state = &view.state;
        if let Some(default) = defaults::missing(view, &self.project, &self.profiles(state)?).await? {
            return Ok(Some(default));
        }
        let Source::Image(reference) = &self.source else { return Ok(None) };
        let image = match crate::image::find(state, &self.project, reference) {
            Ok(image) => image,
            Err(_) if reference.contains(':') => {
                return Ok(Some(Box::new(crate::image::Pull::cached(view.ports, self.project.clone(), reference)?)));
            }
            Err(error) => return Err(error),
        };
        let record = self.record(state, view.now, view.ports.host.architecture())?;
        let pool = pool_of(state, &record)?;
        crate::step::ready(view.ports, &pool).await?;
        match view.ports.pools.driver(&pool.driver)?.has_image(&pool, &image.fingerprint).await? {
            true => Ok(None),
            false => Ok(Some(Box::new(crate::image::Unpack::new(pool, image)))),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        let mut record = self.record(state, view.now, view.ports.host.architecture())?;
        if record.architecture != view.ports.host.architecture() {
            let what = format!("the image is for {}, this host is {}", record.architecture, view.ports.host.architecture());
            return Err(Error::new(Kind::Unsupported, what));
        }
        record.ids = free_ids(state, &view.ports.host.taken_ids().await?)?;
        let _ = self.name.set(record.name.clone());
        let pool: Pool = pool_of(state, &record)?;
        let nics = super::nics(state, &record)?;
        super::disks(state, &record)?;
        let mut writes = vec![Write::Insert(Row::Instance(record.clone()))];
        let mut finish = vec![Write::Transition(record.id, Trigger::Created)];
        let steps = match &self.source {
            // A copy may wait, stopped, for its addresses.
            Source::Copy(original) => {
                if original.is_live(state) && self.live.get() != Some(&true) {
                    return Err(Error::new(Kind::Busy, "what is copied has just been started; try again"));
                }
                let copying = original.copying(view, pool.clone(), &record, &original.snapshots(state))?;
                finish.extend(copying.snapshots.into_iter().map(|one| Write::Insert(Row::Snapshot(one))));
                copying.steps
            }
            Source::Image(_) | Source::Empty => {
                super::refuse_clashes(state, record.id, &nics)?;
                vec![Step::CreateRoot { pool: pool.clone(), instance: record.id, image: record.image.clone() }]
            }
        };
        let size = quota::of_root(state, &record)?;
        let steps = quota::bounded(view, &pool, (record.id, size), steps).await?;
        if let Some(image) = record.image.as_ref().and_then(|fingerprint| state.image(&self.project, fingerprint)) {
            writes.push(Write::Used(image.id, view.now));
        }
        let failed = vec![Write::Delete(RowKey::Instance(record.id))];
        Ok(Plan { writes, steps, finish, failed, recovery: Recovery::Undo })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        let mut output = Output::object("instance", self.id);
        if let Some(name) = self.name.get() {
            output.texts.insert("name", name.to_string());
        }
        Ok(Finish { writes: plan.finish.clone(), output })
    }

    fn then(&self) -> Option<Box<dyn Verb>> {
        self.spec.start.then(|| Box::new(Start::new(self.id)) as Box<dyn Verb>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_block_of_ids_avoids_everybody() {
        let taken = [IdRange { base: 524_288, size: 65_536 }, IdRange { base: 600_000, size: 10 }];
        assert_eq!(free_ids(&State::default(), &taken).unwrap().base, 655_360);
        assert!(free_ids(&State::default(), &[IdRange { base: 0, size: u32::MAX }]).is_err());
    }
}
