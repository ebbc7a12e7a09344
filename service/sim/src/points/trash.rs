//! What is deleted on a pool with a trash comes back, and is gone for good, once each.

use super::act;
use crate::images;
use lxhost_engine::ports::ImageFiles;
use lxhost_engine::{Engine, image, instance, pool, profile, snapshot, trash, volume};
use lxhost_model::device::Device;
use lxhost_model::name::SnapshotName;
use lxhost_model::trash::EXPIRY;
use lxhost_model::{ObjectId, Volume};

/// An instance that runs with a snapshot goes into the trash and comes back to another size, as does a snapshot; then it
/// goes for good with a snapshot that is in the trash. So does a volume.
pub(super) async fn all(engine: &Engine) {
    let image = instance::Source::Image("sim:empty".into());
    let (started, random) = (instance::Spec { start: true, ..Default::default() }, engine.host().random());
    let Ok(launch) = instance::Create::new(Default::default(), "t1".parse().ok(), image, started, random) else { return };
    let Ok(name) = "t1".parse::<SnapshotName>() else { return };
    let id = launch.id();
    act(engine, launch).await;
    keep(engine, "7d").await;
    for name in [Some(name.clone()), None] {
        if let Ok(create) = snapshot::Create::new(id, name, String::new(), false, engine.host().random()) {
            act(engine, create).await;
        }
    }
    act(engine, instance::Delete::new(id, true)).await;
    bound(engine, "1GiB").await;
    act(engine, trash::Restore::new(id, None)).await;
    for again in [true, false] {
        act(engine, snapshot::Delete::new(id, name.clone())).await;
        if again {
            back(engine).await;
        }
    }
    act(engine, instance::Delete::new(id, false)).await;
    act(engine, trash::Delete::new(id)).await;
    bound(engine, "").await;
    of_volume(engine, name).await;
    last_of_image(engine).await;
    for id in engine.state().trash.keys() {
        act(engine, trash::Delete::new(*id)).await;
    }
    keep(engine, "").await;
}

/// An instance in the trash is the last thing that needs the tree of its image.
async fn last_of_image(engine: &Engine) {
    let (Ok(meta), Ok(alias)) = (images::memory_file("a trashed image", b"trashed"), "trashed".parse()) else { return };
    let (files, random) = (ImageFiles { meta, rootfs: None }, engine.host().random());
    if let Ok(import) = image::Import::new(Default::default(), files, vec![alias], Default::default(), random) {
        act(engine, import).await;
    }
    let (source, random) = (instance::Source::Image("trashed".into()), engine.host().random());
    let Ok(create) = instance::Create::new(Default::default(), "t2".parse().ok(), source, Default::default(), random) else {
        return;
    };
    let id = create.id();
    act(engine, create).await;
    let found =
        engine.state().images.values().find(|one| one.aliases.iter().any(|alias| alias.as_str() == "trashed")).map(|one| one.id);
    if let Some(image) = found {
        act(engine, image::Delete::new(image)).await;
    }
    act(engine, instance::Delete::new(id, false)).await;
}

async fn of_volume(engine: &Engine, snapshot: SnapshotName) {
    let Some(pool) = engine.state().pools.values().next().map(|pool| pool.name.clone()) else { return };
    let (Ok(name), id, project) = ("t1".parse(), ObjectId::from_random(engine.host().random()), Default::default()) else {
        return;
    };
    let (description, config, volatile) = (String::new(), Default::default(), Default::default());
    let content = Default::default();
    let volume = Volume { id, project, pool, name, content, description, config, volatile, created: 0, generation: 0 };
    let Ok(create) = volume::Create::new(volume) else { return };
    act(engine, create).await;
    let random = engine.host().random();
    if let Ok(create) = volume::snapshot::Create::new(id, Some(snapshot.clone()), String::new(), false, random) {
        act(engine, create).await;
    }
    act(engine, volume::Delete::new(id)).await;
    back(engine).await;
    act(engine, volume::snapshot::Delete::new(id, snapshot.clone())).await;
    back(engine).await;
    act(engine, volume::snapshot::Delete::new(id, snapshot)).await;
    act(engine, volume::Delete::new(id)).await;
}

/// Has every pool keep for so long what is deleted.
async fn keep(engine: &Engine, time: &str) {
    for (id, pool) in engine.state().pools.iter() {
        let mut config = pool.config.clone();
        config.insert(EXPIRY.to_owned(), time.to_owned());
        act(engine, pool::Replace { id: *id, config, description: None, expected: None }).await;
    }
}

/// Brings everything back.
async fn back(engine: &Engine) {
    for id in engine.state().trash.keys() {
        act(engine, trash::Restore::new(*id, None)).await;
    }
}

/// Has the first profile say how large a root may be.
async fn bound(engine: &Engine, size: &str) {
    let Some(found) = engine.state().profiles.values().next().cloned() else { return };
    let Ok(name) = "root".parse() else { return };
    let keys = [("type", "disk"), ("path", "/"), ("pool", "default"), ("size", size)];
    let Ok(root) = Device::new(&name, keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into()) else { return };
    let devices = found.devices.clone().into_iter().chain([(name, root)]).collect();
    let (id, config) = (found.id, found.config.clone());
    act(engine, profile::Replace { id, config, devices, description: None, expected: None }).await;
}
