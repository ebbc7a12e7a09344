//! The records: read from a snapshot in memory, changed by transactions that are on disk before
//! they are acknowledged. Implemented by `store` (SQLite) and by `sim` (memory alone); both apply
//! writes with [`State::apply`], so that the rules are the same.

use super::record;
use super::table::Table;
use async_trait::async_trait;
use lxhost_model::job::JobRow;
use lxhost_model::name::{AclName, InstanceName, NetworkName, PoolName, ProfileName, ProjectName, SnapshotName, VolumeName};
use lxhost_model::{
    Acl, Error, Fingerprint, Image, Instance, Kind, Network, ObjectId, Pool, Profile, Result, Snapshot, Timestamp, Trashed,
    Trigger, Volume, VolumeSnapshot,
};
use std::sync::Arc;

/// Records of all nouns at one moment. Cloning is cheap: records are shared.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Instances by id.
    pub instances: Table<ObjectId, Arc<Instance>>,
    /// Ids of instances by project and name.
    pub instance_names: Table<Arc<(ProjectName, InstanceName)>, ObjectId>,
    /// Snapshots by instance and id.
    pub snapshots: Table<(ObjectId, ObjectId), Arc<Snapshot>>,
    /// Images by id.
    pub images: Table<ObjectId, Arc<Image>>,
    /// Networks by id.
    pub networks: Table<ObjectId, Arc<Network>>,
    /// Network ACLs by id.
    pub acls: Table<ObjectId, Arc<Acl>>,
    /// Profiles by id.
    pub profiles: Table<ObjectId, Arc<Profile>>,
    /// Pools by id.
    pub pools: Table<ObjectId, Arc<Pool>>,
    /// Volumes by id.
    pub volumes: Table<ObjectId, Arc<Volume>>,
    /// Snapshots of volumes by volume and id.
    pub volume_snapshots: Table<(ObjectId, ObjectId), Arc<VolumeSnapshot>>,
    /// What was deleted and is kept for a while, by id.
    pub trash: Table<ObjectId, Arc<Trashed>>,
    /// Unfinished jobs by number.
    pub jobs: Table<u32, Arc<JobRow>>,
}

/// A record of any noun.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Row {
    /// Of an instance.
    Instance(Instance),
    /// Of a snapshot.
    Snapshot(Snapshot),
    /// Of an image.
    Image(Image),
    /// Of a network.
    Network(Network),
    /// Of a network ACL.
    Acl(Acl),
    /// Of a profile.
    Profile(Profile),
    /// Of a pool.
    Pool(Pool),
    /// Of a volume.
    Volume(Volume),
    /// Of a snapshot of a volume.
    VolumeSnapshot(VolumeSnapshot),
    /// Of what was deleted.
    Trashed(Box<Trashed>),
    /// Of an unfinished job.
    Job(JobRow),
}

/// Key of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum RowKey {
    /// Of an instance.
    Instance(ObjectId),
    /// Of a snapshot: that of its instance, and its own.
    Snapshot(ObjectId, ObjectId),
    /// Of an image.
    Image(ObjectId),
    /// Of a network.
    Network(ObjectId),
    /// Of a network ACL.
    Acl(ObjectId),
    /// Of a profile.
    Profile(ObjectId),
    /// Of a pool.
    Pool(ObjectId),
    /// Of a volume.
    Volume(ObjectId),
    /// Of a snapshot of a volume: that of its volume, and its own.
    VolumeSnapshot(ObjectId, ObjectId),
    /// Of what was deleted.
    Trashed(ObjectId),
    /// Of an unfinished job.
    Job(u32),
}

/// One change. A transaction is a list of them: all or none.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Write {
    /// Adds a record; `AlreadyExists` when id or name is taken.
    Insert(Row),
    /// Replaces a record whose generation is still the one given; raises the generation.
    Update(Row),
    /// Removes a record; removing what is gone is fine.
    Delete(RowKey),
    /// Moves an instance's status along the table; `InvalidState` or `Busy` when it may not move.
    Transition(ObjectId, Trigger),
    /// Notes when an image was last used. No change of the record: its generation stays, and launches beside
    /// each other do not stand in each other's way. An image that is gone is left alone.
    Used(ObjectId, Timestamp),
    /// Makes an instance's configuration that of one of its snapshots; `NoSuchSnapshot` when that is gone.
    Restore(ObjectId, ObjectId),
}

/// Keeps records.
#[async_trait]
pub trait Store: Send + Sync {
    /// The records now.
    fn state(&self) -> Arc<State>;

    /// Applies all `writes` or none; on return they are on disk. Writers queue.
    ///
    /// # Errors
    /// Those of [`State::apply`]; `NoSpace`; `Failed` when the database does not take it.
    async fn commit(&self, writes: Vec<Write>) -> Result<Arc<State>>;
}

impl Write {
    /// Key of the record it is about.
    pub fn key(&self) -> RowKey {
        match self {
            Write::Insert(row) | Write::Update(row) => row.key(),
            Write::Delete(key) => *key,
            Write::Transition(id, _) => RowKey::Instance(*id),
            Write::Used(id, _) => RowKey::Image(*id),
            Write::Restore(instance, _) => RowKey::Instance(*instance),
        }
    }
}

impl Row {
    /// Its key.
    pub fn key(&self) -> RowKey {
        match self {
            Row::Instance(row) => RowKey::Instance(row.id),
            Row::Snapshot(row) => RowKey::Snapshot(row.instance.id, row.id),
            Row::Image(row) => RowKey::Image(row.id),
            Row::Network(row) => RowKey::Network(row.id),
            Row::Acl(row) => RowKey::Acl(row.id),
            Row::Profile(row) => RowKey::Profile(row.id),
            Row::Pool(row) => RowKey::Pool(row.id),
            Row::Volume(row) => RowKey::Volume(row.id),
            Row::VolumeSnapshot(row) => RowKey::VolumeSnapshot(row.volume.id, row.id),
            Row::Trashed(row) => RowKey::Trashed(row.id),
            Row::Job(row) => RowKey::Job(row.id),
        }
    }
}

impl State {
    /// Applies one change, or says why not and changes nothing. Returns the record as it is now
    /// (`None` after a deletion).
    ///
    /// # Errors
    /// `AlreadyExists`, `GenerationMismatch`, `NoSuch…`, `InvalidState`, `Busy`.
    pub fn apply(&mut self, write: Write) -> Result<Option<Row>> {
        match write {
            Write::Insert(row) => self.insert(row).map(Some),
            Write::Update(row) => self.update(row).map(Some),
            Write::Delete(key) => {
                self.delete(key);
                Ok(None)
            }
            Write::Transition(id, trigger) => self.transition(id, trigger).map(Some),
            Write::Used(id, when) => Ok(self.used(id, when)),
            Write::Restore(instance, snapshot) => self.restore(instance, snapshot).map(Some),
        }
    }

    fn insert(&mut self, row: Row) -> Result<Row> {
        match row {
            Row::Instance(new) => {
                let key = Arc::new((new.project.clone(), new.name.clone()));
                if self.instances.contains_key(&new.id) || self.instance_names.contains_key(&key) {
                    return Err(taken("instance", &new.name));
                }
                self.instance_names.insert(key, new.id);
                self.instances.insert(new.id, Arc::new(new.clone()));
                Ok(Row::Instance(new))
            }
            Row::Job(new) => {
                if self.jobs.contains_key(&new.id) {
                    return Err(taken("job", new.id));
                }
                self.jobs.insert(new.id, Arc::new(new.clone()));
                Ok(Row::Job(new))
            }
            Row::Snapshot(new) => {
                if self.snapshots.contains_key(&(new.instance.id, new.id)) {
                    return Err(taken("snapshot", &new.name));
                }
                self.put_snapshot(new)
            }
            Row::Image(new) => record::insert(self, new),
            Row::Network(new) => record::insert(self, new),
            Row::Acl(new) => record::insert(self, new),
            Row::Profile(new) => record::insert(self, new),
            Row::Pool(new) => record::insert(self, new),
            Row::Volume(new) => record::insert(self, new),
            Row::VolumeSnapshot(new) => {
                if self.volume_snapshots.contains_key(&(new.volume.id, new.id)) {
                    return Err(taken("snapshot", &new.name));
                }
                self.put_volume_snapshot(new)
            }
            Row::Trashed(new) => {
                if self.trash.contains_key(&new.id) {
                    return Err(taken("in the trash", new.what.title()));
                }
                self.trash.insert(new.id, Arc::new(Trashed::clone(&new)));
                Ok(Row::Trashed(new))
            }
        }
    }

    fn update(&mut self, row: Row) -> Result<Row> {
        match row {
            Row::Instance(mut new) => {
                let old = self.instances.get(&new.id).ok_or_else(|| gone(Kind::NoSuchInstance, &new.name))?;
                same(old.generation, new.generation, &new.name)?;
                let (before, after) = ((old.project.clone(), old.name.clone()), (new.project.clone(), new.name.clone()));
                if before != after {
                    if self.instance_names.contains_key(&after) {
                        return Err(taken("instance", &new.name));
                    }
                    self.instance_names.remove(&Arc::new(before));
                    self.instance_names.insert(Arc::new(after), new.id);
                }
                new.generation += 1;
                self.instances.insert(new.id, Arc::new(new.clone()));
                Ok(Row::Instance(new))
            }
            Row::Job(new) => {
                self.jobs.insert(new.id, Arc::new(new.clone()));
                Ok(Row::Job(new))
            }
            Row::Snapshot(mut new) => {
                let old = self.snapshots.get(&(new.instance.id, new.id)).ok_or_else(|| gone(Kind::NoSuchSnapshot, &new.name))?;
                same(old.generation, new.generation, &new.name)?;
                new.generation += 1;
                self.put_snapshot(new)
            }
            Row::Image(new) => record::update(self, new),
            Row::Network(new) => record::update(self, new),
            Row::Acl(new) => record::update(self, new),
            Row::Profile(new) => record::update(self, new),
            Row::Pool(new) => record::update(self, new),
            Row::Volume(new) => record::update(self, new),
            Row::VolumeSnapshot(mut new) => {
                let key = (new.volume.id, new.id);
                let old = self.volume_snapshots.get(&key).ok_or_else(|| gone(Kind::NoSuchSnapshot, &new.name))?;
                same(old.generation, new.generation, &new.name)?;
                new.generation += 1;
                self.put_volume_snapshot(new)
            }
            Row::Trashed(new) => {
                let gone = || gone(Kind::NoSuchTrash, new.what.title());
                self.trash.get(&new.id).ok_or_else(gone)?;
                self.trash.insert(new.id, Arc::new(Trashed::clone(&new)));
                Ok(Row::Trashed(new))
            }
        }
    }

    fn delete(&mut self, key: RowKey) {
        match key {
            RowKey::Instance(id) => {
                if let Some(old) = self.instances.remove(&id) {
                    self.instance_names.remove(&Arc::new((old.project.clone(), old.name.clone())));
                }
            }
            RowKey::Snapshot(instance, id) => drop(self.snapshots.remove(&(instance, id))),
            RowKey::Image(id) => drop(self.images.remove(&id)),
            RowKey::Network(id) => drop(self.networks.remove(&id)),
            RowKey::Acl(id) => drop(self.acls.remove(&id)),
            RowKey::Profile(id) => drop(self.profiles.remove(&id)),
            RowKey::Pool(id) => drop(self.pools.remove(&id)),
            RowKey::Volume(id) => drop(self.volumes.remove(&id)),
            RowKey::VolumeSnapshot(volume, id) => drop(self.volume_snapshots.remove(&(volume, id))),
            RowKey::Trashed(id) => drop(self.trash.remove(&id)),
            RowKey::Job(id) => drop(self.jobs.remove(&id)),
        }
    }

    fn used(&mut self, id: ObjectId, when: Timestamp) -> Option<Row> {
        let image = Image { last_used: when, ..Image::clone(self.images.get(&id)?) };
        self.images.insert(id, Arc::new(image.clone()));
        Some(Row::Image(image))
    }

    /// Adds or replaces a snapshot, if no other one of the instance has its name.
    fn put_snapshot(&mut self, new: Snapshot) -> Result<Row> {
        if self.snapshots_of(new.instance.id).any(|other| other.id != new.id && other.name == new.name) {
            return Err(taken("snapshot", &new.name));
        }
        self.snapshots.insert((new.instance.id, new.id), Arc::new(new.clone()));
        Ok(Row::Snapshot(new))
    }

    /// The same of a volume.
    fn put_volume_snapshot(&mut self, new: VolumeSnapshot) -> Result<Row> {
        if self.snapshots_of_volume(new.volume.id).any(|other| other.id != new.id && other.name == new.name) {
            return Err(taken("snapshot", &new.name));
        }
        self.volume_snapshots.insert((new.volume.id, new.id), Arc::new(new.clone()));
        Ok(Row::VolumeSnapshot(new))
    }

    fn restore(&mut self, id: ObjectId, snapshot: ObjectId) -> Result<Row> {
        let old = self.instances.get(&id).ok_or_else(|| gone(Kind::NoSuchInstance, id))?;
        let snapshot = self.snapshots.get(&(id, snapshot)).ok_or_else(|| gone(Kind::NoSuchSnapshot, snapshot))?;
        let mut new = snapshot.restored(old);
        new.generation += 1;
        self.instances.insert(id, Arc::new(new.clone()));
        Ok(Row::Instance(new))
    }

    fn transition(&mut self, id: ObjectId, trigger: Trigger) -> Result<Row> {
        let old = self.instances.get(&id).ok_or_else(|| gone(Kind::NoSuchInstance, id))?;
        let status = old.status.next(trigger).ok_or_else(|| not_now(old, trigger))?;
        let mut new = Instance::clone(old);
        new.status = status;
        new.status_since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64);
        if trigger == Trigger::Started {
            new.last_used = new.status_since;
        }
        new.generation += 1;
        self.instances.insert(id, Arc::new(new.clone()));
        Ok(Row::Instance(new))
    }

    /// The instance of that name.
    pub fn instance(&self, project: &ProjectName, name: &InstanceName) -> Option<&Arc<Instance>> {
        let id = self.instance_names.get(&(project.clone(), name.clone()))?;
        self.instances.get(id)
    }

    /// The snapshots of an instance, in no order that means anything.
    pub fn snapshots_of(&self, instance: ObjectId) -> impl Iterator<Item = &Arc<Snapshot>> + Clone {
        let all = (instance, ObjectId::MIN)..=(instance, ObjectId::MAX);
        self.snapshots.range(all).map(|(_, snapshot)| snapshot)
    }

    /// The snapshot of that name.
    pub fn snapshot(&self, instance: ObjectId, name: &SnapshotName) -> Option<&Arc<Snapshot>> {
        self.snapshots_of(instance).find(|snapshot| snapshot.name == *name)
    }

    /// The snapshots of a volume, in no order that means anything.
    pub fn snapshots_of_volume(&self, volume: ObjectId) -> impl Iterator<Item = &Arc<VolumeSnapshot>> + Clone {
        let all = (volume, ObjectId::MIN)..=(volume, ObjectId::MAX);
        self.volume_snapshots.range(all).map(|(_, snapshot)| snapshot)
    }

    /// The snapshot of a volume of that name.
    pub fn volume_snapshot(&self, volume: ObjectId, name: &SnapshotName) -> Option<&Arc<VolumeSnapshot>> {
        self.snapshots_of_volume(volume).find(|snapshot| snapshot.name == *name)
    }

    /// The image of that fingerprint.
    pub fn image(&self, project: &ProjectName, fingerprint: &Fingerprint) -> Option<&Arc<Image>> {
        self.images.values().find(|i| i.project == *project && i.fingerprint == *fingerprint)
    }

    /// The network of that name.
    pub fn network(&self, project: &ProjectName, name: &NetworkName) -> Option<&Arc<Network>> {
        self.networks.values().find(|n| n.project == *project && n.name == *name)
    }

    /// The network ACL of that name.
    pub fn acl(&self, project: &ProjectName, name: &AclName) -> Option<&Arc<Acl>> {
        self.acls.values().find(|a| a.project == *project && a.name == *name)
    }

    /// The profile of that name.
    pub fn profile(&self, project: &ProjectName, name: &ProfileName) -> Option<&Arc<Profile>> {
        self.profiles.values().find(|p| p.project == *project && p.name == *name)
    }

    /// The pool of that name.
    pub fn pool(&self, name: &PoolName) -> Option<&Arc<Pool>> {
        self.pools.values().find(|p| p.name == *name)
    }

    /// The volume of that name.
    pub fn volume(&self, pool: &PoolName, project: &ProjectName, name: &VolumeName) -> Option<&Arc<Volume>> {
        self.volumes.values().find(|v| v.pool == *pool && v.project == *project && v.name == *name)
    }
}

pub(super) fn taken(noun: &str, name: impl std::fmt::Display) -> Error {
    Error::new(Kind::AlreadyExists, format!("{noun} {name} exists already"))
}

pub(super) fn gone(kind: Kind, what: impl std::fmt::Display) -> Error {
    Error::new(kind, format!("{what} does not exist any more"))
}

/// Refuses a change that was made of an older generation of a record than the one there is.
pub(crate) fn same(now: u64, expected: u64, what: impl std::fmt::Display) -> Result<()> {
    if now == expected {
        return Ok(());
    }
    Err(Error::new(Kind::GenerationMismatch, format!("{what} was changed by somebody else; read it again")))
}

/// Why `trigger` is refused: somebody is at work on it (`Busy`), or it is simply in another state.
fn not_now(instance: &Instance, trigger: Trigger) -> Error {
    use lxhost_model::Status;
    let kind = match instance.status {
        Status::Creating | Status::Starting | Status::Freezing | Status::Stopping | Status::Deleting => Kind::Busy,
        Status::Stopped if trigger == Trigger::Stop || trigger == Trigger::Freeze => Kind::NotRunning,
        _ => Kind::InvalidState,
    };
    Error::new(kind, format!("instance {} is {}", instance.name, instance.status))
}
