//! `instance.import`: an instance and its snapshots from a backup in LXD's format. What the backup says about itself
//! has been read before, once; nothing else in it is taken for a definition. It gets ids of its own, keeps its hardware
//! addresses if nobody here has them, and never takes the place of anything.

use super::create::free_ids;
use super::{guard, mac, mac_key, nics, pool_of, refuse_clashes};
use crate::backup::{Sorted, sorted};
use crate::core::instance_of;
use crate::job::Output;
use crate::ports::{Caller, Details, Held, Row, RowKey, State, Write};
use crate::step::{Outcome, Placed, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Engine, Error, Kind, Result, defaults, quota};
use async_trait::async_trait;
use lxhost_model::backup::{About, Backup, Described, Past, ROOT, snapshot_root};
use lxhost_model::config::{Config, is_on};
use lxhost_model::device::nic::is_hwaddr;
use lxhost_model::device::{Device, Devices, root_quota};
use lxhost_model::instance::InstanceType;
use lxhost_model::name::{DeviceName, InstanceName, PoolName, ProfileName, ProjectName, quoted};
use lxhost_model::{Action, IdRange, Instance, ObjectId, Snapshot, Status, Timestamp, Trigger};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// What is wanted otherwise than the backup says.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Name; `None`: the one it had.
    pub name: Option<InstanceName>,
    /// Pool; `None`: the one it had, if it is here, else as for a new instance.
    pub pool: Option<PoolName>,
    /// Profiles; `None`: those it had.
    pub profiles: Option<Vec<ProfileName>>,
    /// Keys over those it had.
    pub config: Config,
}

/// Makes an instance from a backup.
pub struct Import {
    id: ObjectId,
    project: ProjectName,
    name: InstanceName,
    wanted: Wanted,
    said: Said,
    file: Mutex<Option<OwnedFd>>,
}

/// What the backup says, checked.
struct Said {
    pool: String,
    instance: (Described, Sorted),
    snapshots: Vec<(ObjectId, Past, Sorted)>,
}

impl Engine {
    /// Reads what the backup in `file` says about itself, for a caller who may make instances.
    ///
    /// # Errors
    /// Those of the authority; `InvalidArgs` for what is no regular file; `Untrusted` for what is no backup, or says
    /// what nobody can be; `InvalidConfig`.
    pub async fn read_backup(&self, caller: &Caller, project: ProjectName, file: OwnedFd, wanted: Wanted) -> Result<Import> {
        let name = wanted.name.as_ref().map(ToString::to_string).unwrap_or_default();
        let question = Question { action: Action::InstanceCreate, details: details(&name, &project) };
        self.core.ask(caller, vec![question]).await?;
        let About::Backup(backup) = self.core.ports.backups.index(&file).await? else {
            return Err(Error::new(Kind::Untrusted, "backup: it is of a volume; lxctl storage volume import takes it"));
        };
        let random = || ObjectId::from_random(self.core.ports.host.random());
        Import::new(project, backup, wanted, file, random)
    }
}

impl Import {
    fn new(project: ProjectName, backup: Backup, wanted: Wanted, file: OwnedFd, random: impl Fn() -> ObjectId) -> Result<Self> {
        let untrusted = |error: Error| Error::new(Kind::Untrusted, format!("backup: {error}"));
        let name = match &wanted.name {
            Some(name) => name.clone(),
            None => backup.name.parse().map_err(untrusted)?,
        };
        wanted.config.iter().try_for_each(|(key, value)| lxhost_model::config::check_instance(key, value))?;
        let said = |described: &Described| {
            lxhost_model::config::check_text("description", &described.description)?;
            described.profiles.iter().try_for_each(|name| name.parse::<ProfileName>().map(drop))?;
            sorted(described)
        };
        let mut snapshots: Vec<(ObjectId, Past, Sorted)> = vec![];
        for past in backup.snapshots {
            let sorted = said(&past.instance).map_err(untrusted)?;
            past.name.parse::<lxhost_model::name::SnapshotName>().map_err(untrusted)?;
            if snapshots.iter().any(|(_, other, _)| other.name == past.name) {
                return Err(untrusted(Error::new(Kind::Conflict, format!("it has two snapshots {}", quoted(&past.name)))));
            }
            snapshots.push((random(), past, sorted));
        }
        let instance = said(&backup.instance).map_err(untrusted)?;
        let said = Said { pool: backup.pool, instance: (backup.instance, instance), snapshots };
        Ok(Import { id: random(), project, name, wanted, said, file: Mutex::new(Some(file)) })
    }

    /// Identity it is going to have.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    fn profiles(&self, said: &Described) -> Vec<ProfileName> {
        match &self.wanted.profiles {
            Some(profiles) => profiles.clone(),
            None => said.profiles.iter().filter_map(|name| name.parse().ok()).collect(),
        }
    }

    fn pool(&self, state: &State) -> Result<PoolName> {
        if let Some(pool) = &self.wanted.pool {
            return Ok(pool.clone());
        }
        let had = self.said.pool.parse::<PoolName>().ok().filter(|name| state.pool(name).is_some());
        match (had, state.pools.values().next(), state.pools.len()) {
            (Some(had), ..) => Ok(had),
            (None, Some(only), 1) => Ok(only.name.clone()),
            _ => defaults::DEFAULT.parse(),
        }
    }

    /// The record, but for the ids it is going to own.
    fn record(&self, state: &State, now: Timestamp) -> Result<Instance> {
        let (described, sorted) = &self.said.instance;
        let mut instance = self.record_of(state, now, (described, sorted))?;
        instance.config.extend(self.wanted.config.clone());
        for (device, _) in super::expand(state, &instance).devices.iter().filter(|(_, device)| device.kind() == "nic") {
            let key = mac_key(device);
            let had = sorted.addresses.get(&key).map(|address| address.to_ascii_lowercase());
            let had = had.filter(|address| is_hwaddr(address) && is_free(state, address));
            instance.volatile.insert(key, had.unwrap_or_else(|| mac(self.id, device)));
        }
        Ok(instance)
    }

    fn record_of(&self, state: &State, now: Timestamp, (said, sorted): (&Described, &Sorted)) -> Result<Instance> {
        let pool = self.pool(state)?;
        let mut devices = sorted.devices.clone();
        for (name, device) in devices.iter_mut().filter(|(_, device)| device.is_root() && device.get("pool").is_some()) {
            let mut keys = device.keys().clone();
            keys.insert("pool".to_owned(), pool.to_string());
            *device = Device::new(name, keys)?;
        }
        Ok(Instance {
            id: self.id,
            project: self.project.clone(),
            name: self.name.clone(),
            description: said.description.clone(),
            kind: InstanceType::Container,
            architecture: said.architecture.clone(),
            pool,
            // All that it has lies in its own root.
            image: None,
            image_properties: sorted.image.clone(),
            profiles: self.profiles(said),
            config: sorted.config.clone(),
            devices,
            volatile: Config::new(),
            ephemeral: said.ephemeral,
            status: Status::Creating,
            status_since: now,
            ids: IdRange { base: 0, size: IdRange::SIZE },
            created: now,
            last_used: 0,
            last_exit: None,
            generation: 0,
        })
    }

    fn snapshots(&self, view: &View<'_>, instance: &Instance) -> Result<Vec<Snapshot>> {
        let snapshot = |(id, past, sorted): &(ObjectId, Past, Sorted)| {
            let said = &past.instance;
            Ok(Snapshot {
                id: *id,
                name: past.name.parse()?,
                description: said.description.clone(),
                created: if said.created == 0 { view.now } else { said.created },
                expires: past.expires,
                instance: Instance {
                    // The description of the instance then is not in a backup.
                    description: instance.description.clone(),
                    ids: instance.ids,
                    ..self.record_of(&view.state, view.now, (said, sorted))?
                },
                generation: 0,
            })
        };
        self.said.snapshots.iter().map(snapshot).collect()
    }
}

fn details(name: &str, project: &ProjectName) -> Details {
    vec![("instance", name.to_owned()), ("project", project.to_string()), ("verb", "instance.import".to_owned())]
}

/// Takes the size of the root from devices.
fn without_size(devices: &mut Devices) -> Result<()> {
    for (name, root) in devices.iter_mut().filter(|(_, device)| device.is_root() && device.get("size").is_some()) {
        let mut keys = root.keys().clone();
        keys.remove("size");
        *root = Device::new(name, keys)?;
    }
    Ok(())
}

/// Leaves an interface of an instance that comes back its hardware address, or gives it one when somebody else has that
/// by now.
pub(crate) fn free_mac(state: &State, instance: &mut Instance, device: &DeviceName, random: impl Fn() -> ObjectId) {
    let key = mac_key(device);
    if !instance.volatile.get(&key).is_some_and(|had| is_free(state, had)) {
        let own = mac(instance.id, device);
        let address = if is_free(state, &own) { own } else { mac(random(), device) };
        instance.volatile.insert(key, address);
    }
}

/// Whether no interface here has a hardware address.
fn is_free(state: &State, address: &str) -> bool {
    let has_it = |instance: &Arc<Instance>| {
        let mut own = instance.volatile.values().map(String::as_str);
        let mut chosen = instance.devices.values().filter_map(|device| device.get("hwaddr"));
        own.any(|value| value == address) || chosen.any(|value| value.eq_ignore_ascii_case(address))
    };
    !state.instances.values().any(has_it)
}

#[async_trait]
impl Verb for Import {
    fn name(&self) -> &'static str {
        "instance.import"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let details = details(self.name.as_str(), &self.project);
        let mut questions = vec![Question { action: Action::InstanceCreate, details: details.clone() }];
        if let Ok(record) = self.record(state, 0) {
            let asked = guard(state, &record, self.name()).into_iter();
            questions.extend(asked.map(|question| Question { details: details.clone(), ..question }));
        }
        questions
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        if self.project != ProjectName::default() {
            return Err(Error::new(Kind::NoSuchProject, format!("project {} does not exist", self.project)));
        }
        if state.instance(&self.project, &self.name).is_some() {
            let what = format!("instance {} exists already; give the backup another name", self.name);
            return Err(Error::new(Kind::AlreadyExists, what));
        }
        if let Some(pool) = &self.wanted.pool
            && state.pool(pool).is_none()
        {
            return Err(Error::new(Kind::NoSuchPool, format!("pool {pool} does not exist")));
        }
        let profiles = self.profiles(&self.said.instance.0);
        let unknown = profiles.iter().find(|p| p.as_str() != defaults::DEFAULT && state.profile(&self.project, p).is_none());
        match unknown {
            Some(profile) => {
                let what = format!("profile {profile}, which the backup names, does not exist; make it or name other profiles");
                Err(Error::new(Kind::NoSuchProfile, what))
            }
            None => Ok(()),
        }
    }

    async fn needs(&self, view: &View<'_>) -> Result<Option<Box<dyn Verb>>> {
        defaults::missing(view, &self.project, &self.profiles(&self.said.instance.0)).await
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        let mut record = self.record(state, view.now)?;
        if record.architecture != view.ports.host.architecture() {
            let architecture = quoted(&record.architecture);
            let what = format!("the backup is for {architecture}, this host is {}", view.ports.host.architecture());
            return Err(Error::new(Kind::Unsupported, what));
        }
        refuse_clashes(state, record.id, &nics(state, &record)?)?;
        record.ids = free_ids(state, &view.ports.host.taken_ids().await?)?;
        let pool = pool_of(state, &record)?;
        let mut snapshots = self.snapshots(view, &record)?;
        if view.ports.pools.driver(&pool.driver)?.can_limit(&pool).await.is_err() {
            // The backup may come from where it could.
            let all = snapshots.iter_mut().map(|snapshot| &mut snapshot.instance).chain([&mut record]);
            all.map(|instance| &mut instance.devices).try_for_each(without_size)?;
        }
        let placed = |of: &Instance, held, name, sorted: &Sorted| {
            let nesting = is_on(&super::expand(state, of).config, "security.nesting");
            Placed { held: Held::Instance(held), image: None, nesting, name, shifts: sorted.shifts.clone() }
        };
        let mut roots = vec![placed(&record, record.id, ROOT.to_owned(), &self.said.instance.1)];
        let past = snapshots.iter().zip(&self.said.snapshots);
        roots.extend(past.map(|(one, said)| placed(&one.instance, one.id, snapshot_root(one.name.as_str()), &said.2)));
        let made = roots.iter().filter_map(|root| match root.held {
            Held::Instance(instance) => Some(Step::CreateRoot { pool: pool.clone(), instance, image: None }),
            _ => None,
        });
        let size = quota::of_root(state, &record)?;
        let mut steps = quota::bounded(view, &pool, (record.id, size), made.collect()).await?;
        steps.push(Step::UnpackBackup { pool: pool.clone(), roots });
        steps.extend(snapshots.iter().map(|one| Step::AdoptSnapshot { pool: pool.clone(), snapshot: one.id }));
        let mut finish = vec![Write::Transition(record.id, Trigger::Created)];
        finish.extend(snapshots.into_iter().map(|one| Write::Insert(Row::Snapshot(one))));
        Ok(Plan {
            failed: vec![Write::Delete(RowKey::Instance(record.id))],
            writes: vec![Write::Insert(Row::Instance(record))],
            steps,
            finish,
            recovery: Recovery::Undo,
        })
    }

    fn carry(&self) -> Outcome {
        Outcome { backup: self.file.lock().unwrap_or_else(PoisonError::into_inner).take(), ..Outcome::default() }
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, state: &State) -> Result<Finish> {
        let mut output = Output::object("instance", self.id);
        output.texts.insert("name", self.name.to_string());
        output.notes.clone_from(&self.said.instance.1.left_out);
        let (said, had) = (root_quota(&self.said.instance.1.devices)?, root_quota(&instance_of(state, self.id)?.devices)?);
        if said != had {
            output.notes.push("left out: size of the root: its pool cannot limit what a root takes".to_owned());
        }
        Ok(Finish { writes: plan.finish.clone(), output })
    }
}
