//! Pools that remember what would be in them. Every driver's name is known, all behave alike.

use crate::{Faults, SimImages, locked};
use async_trait::async_trait;
use lxhost_engine::ports::{Defined, Definition, Held, Lying, Origin, PoolDriver, PoolKinds, RootSpec, Usage};
use lxhost_model::volume::Top;
use lxhost_model::{Error, Fingerprint, Kind, ObjectId, Pool, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Key of a pool that cannot limit what is in it.
pub const UNCOUNTED: &str = "user.uncounted";
const DRIVERS: &[&str] = &["overlay", "btrfs", "zfs", "dir"];

/// What is in one pool.
#[derive(Debug, Default)]
struct Contents {
    staged: BTreeSet<Fingerprint>,
    images: BTreeSet<Fingerprint>,
    roots: BTreeMap<ObjectId, Option<Fingerprint>>,
    hostnames: BTreeMap<ObjectId, String>,
    definitions: BTreeMap<Defined, String>,
    /// Snapshots being taken, snapshots, and roots being restored, each with the host name in it.
    taken: BTreeMap<ObjectId, Option<String>>,
    snapshots: BTreeMap<ObjectId, Option<String>>,
    restoring: BTreeMap<ObjectId, Option<String>>,
    /// Bytes, of roots and volumes.
    used: BTreeMap<ObjectId, u64>,
    limits: BTreeMap<ObjectId, u64>,
}

/// A pool, or the pool within it.
type Key = (ObjectId, bool);
/// Key of the configuration of a pool within a pool.
const WITHIN: &str = "sim.volumes";

/// The pools of the simulated machine, and their one driver.
#[derive(Debug, Clone)]
pub struct SimPools {
    place: PathBuf,
    images: Arc<SimImages>,
    pools: Arc<Mutex<BTreeMap<Key, Contents>>>,
    /// What all of them say about their room, instead of the truth.
    room: Arc<Mutex<Option<Usage>>>,
    faults: Arc<Faults>,
}

impl SimPools {
    pub(crate) fn new(state_dir: &Path, images: Arc<SimImages>, faults: Arc<Faults>) -> SimPools {
        SimPools { place: state_dir.to_owned(), images, pools: Arc::default(), room: Arc::default(), faults }
    }

    /// Has every pool have so much room.
    pub fn have_room(&self, total: u64, free: u64) {
        *locked(&self.room) = Some(Usage { total, free });
    }

    fn of<T: FromIterator<ObjectId>>(&self, within: bool, ids: impl Fn(&Contents) -> Vec<ObjectId>) -> T {
        let pools = locked(&self.pools);
        pools.iter().filter(|((_, is_within), _)| *is_within == within).flat_map(|(_, contents)| ids(contents)).collect()
    }

    /// Instances that have a root in any pool.
    pub fn roots(&self) -> Vec<ObjectId> {
        self.of(false, |contents| contents.roots.keys().copied().collect())
    }

    /// Snapshots of instances in any pool.
    pub fn snapshots(&self) -> BTreeSet<ObjectId> {
        self.of(false, |contents| contents.snapshots.keys().copied().collect())
    }

    /// Volumes in any pool.
    pub fn volumes(&self) -> Vec<ObjectId> {
        self.of(true, |contents| contents.roots.keys().copied().collect())
    }

    /// Snapshots of volumes in any pool.
    pub fn volume_snapshots(&self) -> BTreeSet<ObjectId> {
        self.of(true, |contents| contents.snapshots.keys().copied().collect())
    }

    /// Bytes that the root of an instance, or a volume, may take.
    pub fn limit_of(&self, id: ObjectId) -> Option<u64> {
        locked(&self.pools).values().find_map(|contents| contents.limits.get(&id).copied())
    }

    /// Lets the root of an instance, or a volume, take so many bytes.
    pub fn fill(&self, id: ObjectId, bytes: u64) {
        let has_it = |contents: &&mut Contents| contents.roots.contains_key(&id);
        for contents in locked(&self.pools).values_mut().filter(has_it) {
            contents.used.insert(id, bytes);
        }
    }

    /// Snapshots and roots that are half made.
    pub fn unfinished(&self) -> usize {
        locked(&self.pools).values().map(|contents| contents.taken.len() + contents.restoring.len()).sum()
    }

    /// Pools that are set up.
    pub fn there(&self) -> Vec<ObjectId> {
        locked(&self.pools).keys().filter(|(_, within)| !within).map(|(id, _)| *id).collect()
    }

    /// Images that are unpacked in any pool, and those that are on their way.
    pub fn trees(&self) -> BTreeSet<Fingerprint> {
        locked(&self.pools).values().flat_map(|contents| contents.images.iter().chain(&contents.staged).cloned()).collect()
    }

    /// The definition written beside the instance's root.
    pub fn definition(&self, instance: ObjectId) -> Option<String> {
        locked(&self.pools).values().find_map(|contents| contents.definitions.get(&Defined::Instance(instance)).cloned())
    }

    /// The host name written into the instance's root.
    pub fn hostname(&self, instance: ObjectId) -> Option<String> {
        locked(&self.pools).values().find_map(|contents| contents.hostnames.get(&instance).cloned())
    }

    fn change<T>(&self, call: &str, pool: &Pool, change: impl FnOnce(&mut Contents) -> Result<T>) -> Result<T> {
        self.faults.pass(call)?;
        let mut pools = locked(&self.pools);
        match pools.contains_key(&(pool.id, false)) {
            true => change(pools.entry(key(pool)).or_default()),
            false => Err(Error::failed(format!("pool {} was not set up", pool.name))),
        }
    }

    fn directory(&self, pool: &Pool) -> PathBuf {
        self.place.join("pools").join(pool.name.as_str())
    }

    fn stage(&self, pool: &Pool, image: &Fingerprint) -> PathBuf {
        self.directory(pool).join("images").join(format!("{image}.new"))
    }
}

fn key(pool: &Pool) -> Key {
    (pool.id, pool.config.contains_key(WITHIN))
}

impl Contents {
    fn is_empty(&self) -> bool {
        self.roots.is_empty() && self.images.is_empty() && self.snapshots.is_empty()
    }

    /// What a snapshot holds.
    fn snapshot(&self, pool: &Pool, snapshot: ObjectId) -> Result<Option<String>> {
        let found = self.snapshots.get(&snapshot).cloned();
        found.ok_or_else(|| Error::new(Kind::NoSuchSnapshot, format!("pool {} has no snapshot {snapshot}", pool.name)))
    }

    fn root(&mut self, pool: &Pool, instance: ObjectId) -> Result<()> {
        match self.roots.contains_key(&instance) {
            true => Ok(()),
            false => Err(Error::failed(format!("pool {} has no root of {instance}", pool.name))),
        }
    }
}

#[async_trait]
impl PoolDriver for SimPools {
    async fn set_up(&self, pool: &Pool) -> Result<()> {
        self.faults.pass("pool.set_up")?;
        locked(&self.pools).entry(key(pool)).or_default();
        Ok(())
    }

    async fn tear_down(&self, pool: &Pool) -> Result<()> {
        self.faults.pass("pool.tear_down")?;
        let mut pools = locked(&self.pools);
        if pools.iter().any(|((id, _), contents)| *id == pool.id && !contents.is_empty()) {
            return Err(Error::new(Kind::InUse, format!("pool {} is not empty", pool.name)));
        }
        pools.retain(|(id, _), _| *id != pool.id);
        Ok(())
    }

    async fn stage_image(&self, pool: &Pool, image: &Fingerprint) -> Result<PathBuf> {
        let target = self.stage(pool, image);
        self.images.take_unpacked(&target);
        self.change("pool.stage_image", pool, |contents| {
            contents.staged.insert(image.clone());
            Ok(target)
        })
    }

    async fn commit_image(&self, pool: &Pool, image: &Fingerprint) -> Result<()> {
        let unpacked = self.images.take_unpacked(&self.stage(pool, image));
        self.change("pool.commit_image", pool, |contents| {
            if contents.staged.remove(image) && unpacked {
                contents.images.insert(image.clone());
            }
            match contents.images.contains(image) {
                true => Ok(()),
                false => Err(Error::failed(format!("image {} was not unpacked", image.short()))),
            }
        })
    }

    async fn has_image(&self, pool: &Pool, image: &Fingerprint) -> Result<bool> {
        Ok(locked(&self.pools).get(&key(pool)).is_some_and(|contents| contents.images.contains(image)))
    }

    async fn remove_image(&self, pool: &Pool, image: &Fingerprint, _used: bool) -> Result<()> {
        self.change("pool.remove_image", pool, |contents| {
            contents.staged.remove(image);
            contents.images.remove(image);
            Ok(())
        })
    }

    async fn create_root(&self, pool: &Pool, instance: ObjectId, image: Option<&Fingerprint>) -> Result<()> {
        self.change("pool.create_root", pool, |contents| {
            if let Some(image) = image.filter(|image| !contents.images.contains(*image)) {
                return Err(Error::failed(format!("pool {} has no image {}", pool.name, image.short())));
            }
            contents.roots.insert(instance, image.cloned());
            Ok(())
        })
    }

    async fn copy_root(&self, pool: &Pool, from: Origin, to: ObjectId) -> Result<()> {
        self.change("pool.copy_root", pool, |contents| {
            let image = match from {
                Origin::Root { instance, .. } => {
                    contents.root(pool, instance)?;
                    contents.roots.get(&instance).cloned().flatten()
                }
                Origin::Snapshot(snapshot) => contents.snapshot(pool, snapshot).map(|_| None)?,
            };
            contents.roots.insert(to, image);
            Ok(())
        })
    }

    async fn copy_snapshot(&self, pool: &Pool, from: ObjectId, to: ObjectId) -> Result<()> {
        self.change("pool.copy_snapshot", pool, |contents| {
            contents.snapshots.insert(to, contents.snapshot(pool, from)?);
            Ok(())
        })
    }

    async fn keep_copy(&self, pool: &Pool, to: ObjectId) -> Result<()> {
        self.change("pool.keep_copy", pool, |contents| contents.root(pool, to))
    }

    async fn remove_root(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        self.faults.pass("pool.remove_root")?;
        if let Some(contents) = locked(&self.pools).get_mut(&key(pool)) {
            contents.roots.remove(&instance);
            contents.hostnames.remove(&instance);
            contents.definitions.remove(&Defined::Instance(instance));
            contents.used.remove(&instance);
            contents.limits.remove(&instance);
        }
        Ok(())
    }

    fn root(&self, pool: &Pool, instance: ObjectId, _image: Option<&Fingerprint>) -> RootSpec {
        RootSpec::Tree { path: self.directory(pool).join("instances").join(instance.to_string()).join("rootfs") }
    }

    fn layers(&self, pool: &Pool, held: Held, _image: Option<&Fingerprint>) -> Vec<PathBuf> {
        let (kind, id) = match held {
            Held::Instance(id) => ("instances", id),
            Held::Taken(id) => ("taken", id),
            Held::Snapshot(id) => ("snapshots", id),
        };
        vec![self.directory(pool).join(kind).join(id.to_string())]
    }

    async fn adopt_snapshot(&self, pool: &Pool, snapshot: ObjectId) -> Result<()> {
        self.change("pool.adopt_snapshot", pool, |contents| {
            if contents.roots.remove(&snapshot).is_some() {
                contents.snapshots.insert(snapshot, contents.hostnames.remove(&snapshot));
            }
            contents.snapshot(pool, snapshot).map(drop)
        })
    }

    async fn prepare_root(&self, pool: &Pool, instance: ObjectId, _image: Option<&Fingerprint>, hostname: &str) -> Result<()> {
        self.change("pool.prepare_root", pool, |contents| {
            contents.root(pool, instance)?;
            contents.hostnames.insert(instance, hostname.to_owned());
            Ok(())
        })
    }

    async fn prepared_for(&self, pool: &Pool, held: Held) -> Result<Option<String>> {
        self.faults.pass("pool.prepared_for")?;
        let (id, pools) = (held.id(), locked(&self.pools));
        let contents = pools.get(&key(pool));
        Ok(contents.and_then(|all| all.hostnames.get(&id).cloned().or_else(|| all.snapshots.get(&id).cloned().flatten())))
    }

    async fn note_prepared(&self, pool: &Pool, instance: ObjectId, hostname: &str) -> Result<()> {
        self.change("pool.note_prepared", pool, |contents| {
            contents.hostnames.insert(instance, hostname.to_owned());
            Ok(())
        })
    }

    async fn keep_root(&self, pool: &Pool, instance: ObjectId, _hostname: &str) -> Result<()> {
        self.change("pool.keep_root", pool, |contents| contents.root(pool, instance))
    }

    async fn take_snapshot(&self, pool: &Pool, instance: ObjectId, snapshot: ObjectId, _live: bool) -> Result<()> {
        self.change("pool.take_snapshot", pool, |contents| {
            contents.root(pool, instance)?;
            contents.taken.insert(snapshot, contents.hostnames.get(&instance).cloned());
            Ok(())
        })
    }

    async fn keep_snapshot(&self, pool: &Pool, _instance: ObjectId, snapshot: ObjectId) -> Result<()> {
        self.change("pool.keep_snapshot", pool, |contents| {
            if let Some(taken) = contents.taken.remove(&snapshot) {
                contents.snapshots.insert(snapshot, taken);
            }
            contents.snapshot(pool, snapshot).map(drop)
        })
    }

    async fn undo_snapshot(&self, pool: &Pool, _instance: ObjectId, snapshot: ObjectId) -> Result<()> {
        self.change("pool.undo_snapshot", pool, |contents| {
            contents.taken.remove(&snapshot);
            contents.snapshots.remove(&snapshot);
            Ok(())
        })
    }

    async fn remove_snapshot(&self, pool: &Pool, snapshot: ObjectId) -> Result<()> {
        self.change("pool.remove_snapshot", pool, |contents| {
            contents.snapshots.remove(&snapshot);
            Ok(())
        })
    }

    async fn stage_restore(&self, pool: &Pool, instance: ObjectId, snapshot: ObjectId) -> Result<()> {
        self.change("pool.stage_restore", pool, |contents| {
            contents.restoring.insert(instance, contents.snapshot(pool, snapshot)?);
            Ok(())
        })
    }

    async fn restore(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        self.change("pool.restore", pool, |contents| {
            contents.root(pool, instance)?;
            match contents.restoring.remove(&instance) {
                None => Err(Error::failed(format!("pool {} has nothing to restore {instance} from", pool.name))),
                Some(hostname) => {
                    contents.hostnames.remove(&instance);
                    contents.hostnames.extend(hostname.map(|hostname| (instance, hostname)));
                    Ok(())
                }
            }
        })
    }

    async fn undo_restore(&self, pool: &Pool, instance: ObjectId) -> Result<()> {
        self.change("pool.undo_restore", pool, |contents| {
            contents.restoring.remove(&instance);
            Ok(())
        })
    }

    async fn sweep(&self, _pool: &Pool) -> Result<()> {
        // What is removed here is gone at once.
        Ok(())
    }

    async fn write_definition(&self, pool: &Pool, of: Defined, yaml: &str) -> Result<()> {
        self.change("pool.write_definition", pool, |contents| {
            match of {
                Defined::Pool => {}
                Defined::Instance(instance) => contents.root(pool, instance)?,
                Defined::Snapshot(snapshot) => contents.snapshot(pool, snapshot).map(drop)?,
            }
            contents.definitions.insert(of, yaml.to_owned());
            Ok(())
        })
    }

    fn volumes(&self, pool: &Pool) -> Pool {
        let mut volumes = pool.clone();
        volumes.config.insert(WITHIN.to_owned(), "true".to_owned());
        volumes
    }

    async fn create_volume(&self, volumes: &Pool, volume: ObjectId, _top: Top) -> Result<()> {
        self.change("pool.create_volume", volumes, |contents| {
            contents.roots.insert(volume, None);
            Ok(())
        })
    }

    async fn used(&self, pool: &Pool, of: ObjectId) -> Result<u64> {
        // Nothing is in any of them but what is said to be.
        self.change("pool.used", pool, |contents| Ok(contents.used.get(&of).copied().unwrap_or(0)))
    }

    async fn can_limit(&self, pool: &Pool) -> Result<()> {
        match pool.config.contains_key(UNCOUNTED) {
            true => Err(Error::new(Kind::Unsupported, "its file system does not count")),
            false => Ok(()),
        }
    }

    async fn limit(&self, pool: &Pool, of: ObjectId, bytes: Option<u64>, _live: bool) -> Result<()> {
        if bytes.is_some() {
            self.can_limit(pool).await?;
        }
        self.change("pool.limit", pool, |contents| {
            match bytes {
                Some(bytes) => contents.limits.insert(of, bytes),
                None => contents.limits.remove(&of),
            };
            Ok(())
        })
    }

    async fn definitions(&self, pool: &Pool) -> Result<Vec<Definition>> {
        self.faults.pass("pool.definitions")?;
        let pools = locked(&self.pools);
        let there = |contents: &&Contents, of: &Defined| match of {
            Defined::Pool => false,
            Defined::Instance(id) => contents.roots.contains_key(id),
            Defined::Snapshot(id) => contents.snapshots.contains_key(id),
        };
        let found = pools.get(&key(pool)).into_iter().flat_map(|contents| {
            let defined = contents.definitions.iter().filter(move |(of, _)| there(&contents, of));
            defined.map(|(of, text)| Definition { of: *of, text: Ok(text.clone()) })
        });
        Ok(found.collect())
    }

    async fn usage(&self, _pool: &Pool) -> Result<Usage> {
        if let Some(room) = *locked(&self.room) {
            return Ok(room);
        }
        let found = rustix::fs::statvfs(&self.place)
            .map_err(|e| Error::io(format!("look at the file system of {}", self.place.display()), &e.into()))?;
        Ok(Usage { total: found.f_blocks.saturating_mul(found.f_frsize), free: found.f_bavail.saturating_mul(found.f_frsize) })
    }
}

#[async_trait]
impl PoolKinds for SimPools {
    fn driver(&self, name: &str) -> Result<Arc<dyn PoolDriver>> {
        if DRIVERS.contains(&name) {
            return Ok(Arc::new(self.clone()));
        }
        let wanted = lxhost_model::name::quoted(name);
        Err(Error::new(Kind::Unsupported, format!("there is no storage driver {wanted}; there are {}", DRIVERS.join(", "))))
    }

    async fn lying(&self, _sources: &[PathBuf]) -> Result<Vec<Lying>> {
        self.faults.pass("pools.lying")?;
        let pools = locked(&self.pools);
        let found = pools.iter().filter(|((_, within), _)| !within).map(|((id, _), contents)| Lying {
            source: self.place.join("pools").join(id.to_string()),
            id: id.to_string(),
            text: contents.definitions.get(&Defined::Pool).cloned().ok_or_else(|| Error::failed("it has no definition")),
        });
        Ok(found.collect())
    }

    async fn default_driver(&self) -> Result<&'static str> {
        Ok(DRIVERS[0])
    }

    fn names(&self) -> Vec<&'static str> {
        DRIVERS.to_vec()
    }
}
