//! Everything that can be done with volumes, once.

use super::act;
use crate::images;
use lxhost_engine::ports::Caller;
use lxhost_engine::volume::{self, Copying, snapshot};
use lxhost_engine::{Engine, instance, pool};
use lxhost_model::device::Device;
use lxhost_model::name::{PoolName, SnapshotName};
use lxhost_model::volume::Content;
use lxhost_model::{ObjectId, Volume};

/// A volume of a pool comes, gets another name, changes and goes.
pub(super) async fn all(engine: &Engine, pool: ObjectId) {
    let Some(pool) = engine.state().pools.get(&pool).map(|pool| pool.name.clone()) else { return };
    let (Ok(name), Ok(other)) = ("v1".parse(), "v2".parse()) else { return };
    let (id, project) = (ObjectId::from_random(engine.host().random()), Default::default());
    let sized = [("size".to_owned(), "1GiB".to_owned())].into();
    let (description, config, volatile) = (String::new(), sized, Default::default());
    let content = Content::Filesystem;
    let volume = Volume { id, project, pool, name, content, description, config, volatile, created: 0, generation: 0 };
    block(engine, &volume).await;
    let Ok(create) = volume::Create::new(volume) else { return };
    act(engine, create).await;
    act(engine, volume::Rename { id, name: other }).await;
    if let Ok((serve, socket)) = volume::Serve::new(engine.ports(), id) {
        drop(socket);
        act(engine, serve).await;
    }
    snapshots(engine, id).await;
    act(engine, volume::Replace { id, config: Default::default(), description: None, expected: None }).await;
    act(engine, volume::Delete::new(id)).await;
}

/// A block volume comes, grows, is what it was and goes.
async fn block(engine: &Engine, like: &Volume) {
    let id = ObjectId::from_random(engine.host().random());
    let (content, config) = (Content::Block, [("size".to_owned(), "1MiB".to_owned())].into());
    let Ok(create) = volume::Create::new(Volume { id, content, config, ..like.clone() }) else { return };
    act(engine, create).await;
    let Ok(name) = "s1".parse::<SnapshotName>() else { return };
    if let Ok(take) = snapshot::Create::new(id, Some(name.clone()), String::new(), false, engine.host().random()) {
        act(engine, take).await;
    }
    let config = [("size".to_owned(), "2MiB".to_owned())].into();
    act(engine, volume::Replace { id, config, description: None, expected: None }).await;
    act(engine, snapshot::Restore::new(id, name)).await;
    act(engine, volume::Delete::new(id)).await;
}

/// A snapshot of a volume comes while an instance runs with it, is replaced, gets another name and is restored; one goes
/// alone, one with the volume.
async fn snapshots(engine: &Engine, volume: ObjectId) {
    let (Ok(name), Ok(to)) = ("s1".parse::<SnapshotName>(), "s2".parse()) else { return };
    let user = user(engine, volume).await;
    for name in [Some(name.clone()), Some(name.clone()), None] {
        if let Ok(create) = snapshot::Create::new(volume, name, String::new(), true, engine.host().random()) {
            act(engine, create).await;
        }
    }
    copies(engine, volume).await;
    backups(engine, volume).await;
    if let Some(user) = user {
        act(engine, instance::Delete::new(user, true)).await;
    }
    act(engine, snapshot::Rename { volume, name, to }).await;
    if let Ok(name) = "snap0".parse::<SnapshotName>() {
        act(engine, snapshot::Restore::new(volume, name.clone())).await;
        act(engine, snapshot::Delete::new(volume, name)).await;
    }
}

/// The volume is copied beside itself and to another pool while an instance runs with it; the second copy moves back.
async fn copies(engine: &Engine, volume: ObjectId) {
    let (Ok(other), Ok(name)) = ("p2".parse::<PoolName>(), "v3".parse::<lxhost_model::name::VolumeName>()) else { return };
    if let Ok(create) = pool::Create::new(engine.ports(), other.clone(), "dir", Default::default()).await {
        act(engine, create).await;
    }
    let here = engine.state().volumes.get(&volume).map(|volume| volume.pool.clone());
    for pool in [None, Some(other.clone())] {
        let away = pool.is_some();
        let what = Copying { volume, snapshot: None, volume_only: false, pool, name: name.clone() };
        let copy = volume::Copy::new(engine.ports(), what);
        let id = copy.id();
        act(engine, copy).await;
        if let Ok(take) = snapshot::Create::new(volume, "s9".parse().ok(), String::new(), true, engine.host().random()) {
            act(engine, take).await;
            act(engine, volume::Refresh::new(engine.ports(), id, volume, None, false)).await;
        }
        if let Some(here) = here.clone().filter(|_| away) {
            act(engine, volume::Move::new(id, here, None)).await;
        }
        act(engine, volume::Delete::new(id)).await;
    }
    if let Some(there) = engine.state().pool(&other) {
        act(engine, pool::Delete::new(there.id)).await;
    }
}

/// The volume goes into a backup while an instance runs with it, and comes out of it beside itself.
async fn backups(engine: &Engine, volume: ObjectId) {
    let (Ok(to), Ok(name)) = (images::memory_file("a backup", b""), "b1".parse()) else { return };
    let Ok(from) = to.try_clone() else { return };
    act(engine, volume::Export::new(engine.ports(), volume, to, Default::default(), false)).await;
    let root = Caller { bus_name: ":1.1".into(), uid: 0, interactive: false };
    let Some(pool) = engine.state().volumes.get(&volume).map(|volume| volume.pool.clone()) else { return };
    if let Ok(import) = engine.read_volume_backup(&root, pool, Default::default(), from, Some(name)).await {
        let imported = import.id();
        act(engine, import).await;
        act(engine, volume::Delete::new(imported)).await;
    }
}

/// An instance that runs with a volume.
async fn user(engine: &Engine, volume: ObjectId) -> Option<ObjectId> {
    let volume = engine.state().volumes.get(&volume).cloned()?;
    let device = "data".parse().ok()?;
    let keys = [("type", "disk"), ("pool", volume.pool.as_str()), ("source", volume.name.as_str()), ("path", "/srv")];
    let disk = Device::new(&device, keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into()).ok()?;
    let spec = instance::Spec { start: true, devices: [(device, disk)].into(), ..Default::default() };
    let source = instance::Source::Image("sim:empty".into());
    let create = instance::Create::new(Default::default(), "v1".parse().ok(), source, spec, engine.host().random()).ok()?;
    let id = create.id();
    act(engine, create).await;
    Some(id)
}
