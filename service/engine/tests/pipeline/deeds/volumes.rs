//! A volume comes, gets another name, is kept in snapshots, and goes.

use super::{Deed, new_pool};
use crate::world::{World, root};
use lxhost_engine::{Result, instance, volume};
use lxhost_model::backup::{About, VolumeBackup, VolumePast};
use lxhost_model::device::{Device, Devices};
use lxhost_model::volume::Content;
use lxhost_model::{ObjectId, Volume};
use std::sync::Arc;

pub(super) fn all() -> Vec<Deed> {
    let mut deeds = on_volumes();
    deeds.extend(on_snapshots());
    deeds.extend(on_copies());
    deeds.extend(on_backups());
    deeds
}

fn on_copies() -> Vec<Deed> {
    vec![
        deed!("copy a volume", true, |w| taken(&w).await, |w| w.perform(copy(&w, None, None)), |w| is_copied(w, "p1", true)),
        deed!("copy a volume of what runs", true, |w| used(&w).await, |w| w.perform(copy(&w, None, None)), |w| is_copied(
            w, "p1", false
        ) && w
            .status("c1")
            .is_some_and(|status| status.as_str() == "running")),
        deed!(
            "copy a snapshot of a volume",
            true,
            |w| taken(&w).await,
            |w| w.perform(copy(&w, Some("s1"), None)),
            |w| is_copied(w, "p1", false)
        ),
        deed!("copy a volume to another pool", true, |w| two_pools(&w).await, |w| w.perform(copy(&w, None, Some("p2"))), |w| {
            is_copied(w, "p2", true)
        }),
        deed!(
            "copy a volume of what runs to another pool",
            true,
            |w| used_beside(&w).await,
            |w| w.perform(copy(&w, None, Some("p2"))),
            |w| { is_copied(w, "p2", false) }
        ),
        deed!(
            "copy a snapshot of a volume to another pool",
            true,
            |w| two_pools(&w).await,
            |w| { w.perform(copy(&w, Some("s1"), Some("p2"))) },
            |w| is_copied(w, "p2", false)
        ),
        deed!("refresh a volume", true, |w| refreshable(&w, "p1").await, |w| w.perform(refresh(&w)), |w| snapshots(w)
            == ["s2", "s2"]),
        deed!(
            "refresh a volume on another pool",
            true,
            |w| refreshable(&w, "p2").await,
            |w| w.perform(refresh(&w)),
            |w| snapshots(w) == ["s2", "s2"]
        ),
        deed!("move a volume", true, |w| two_pools(&w).await, |w| w.perform(relocate(&w)), |w| {
            named(w, "v1").is_none()
                && named(w, "v2")
                    .is_some_and(|volume| volume.pool.as_str() == "p2" && w.state().snapshots_of_volume(volume.id).count() == 1)
        }),
    ]
}

fn on_backups() -> Vec<Deed> {
    vec![
        deed!("export a volume", false, |w| taken(&w).await, |w| w.perform(export(&w, false)), |w| w
            .sim
            .backups
            .packed()
            .iter()
            .any(|request| matches!(&request.about, About::Volume(backup) if backup.snapshots.len() == 1))),
        deed!("export a volume of what runs", false, |w| used(&w).await, |w| w.perform(export(&w, false)), |w| {
            !w.sim.backups.packed().is_empty() && w.status("c1").is_some_and(|status| status.as_str() == "running")
        }),
        deed!("import a volume", true, |w| new_pool(&w, "p1").await.unwrap(), |w| imported(&w), |w| named(w, "b1").is_some()
            && snapshots(w) == ["s1"]),
    ]
}

/// Writes a backup of the volume `v1`.
pub(crate) fn export(world: &World, alone: bool) -> volume::Export {
    let to = tempfile::tempfile().unwrap().into();
    volume::Export::new(world.engine.ports(), named(world, "v1").unwrap().id, to, Default::default(), alone)
}

async fn imported(world: &World) -> Result<()> {
    let past = VolumePast { name: "s1".into(), ..Default::default() };
    let backup = VolumeBackup { name: "b1".into(), snapshots: vec![past], ..Default::default() };
    import(world, &backup, None).await
}

/// Makes a volume on the pool `p1` from a backup that says that.
pub(crate) async fn import(world: &World, backup: &VolumeBackup, name: Option<&str>) -> Result<()> {
    let file = World::files(&serde_json::to_string(backup).unwrap()).meta;
    let (pool, name) = ("p1".parse().unwrap(), name.map(|name| name.parse().unwrap()));
    let import = world.engine.read_volume_backup(&root(), pool, Default::default(), file, name).await?;
    world.perform(import).await.map(drop)
}

/// Copies the volume `v1`, or a snapshot of it.
pub(crate) fn copy(world: &World, snapshot: Option<&str>, pool: Option<&str>) -> volume::Copy {
    let what = volume::Copying {
        volume: named(world, "v1").unwrap().id,
        snapshot: snapshot.map(|name| name.parse().unwrap()),
        volume_only: false,
        pool: pool.map(|name| name.parse().unwrap()),
        name: "v2".parse().unwrap(),
    };
    volume::Copy::new(world.engine.ports(), what)
}

/// The volume `v1` and a copy of it on that pool, each with a snapshot that the other has not.
async fn refreshable(world: &World, pool: &str) {
    two_pools(world).await;
    world.perform(copy(world, None, Some(pool))).await.unwrap();
    let v1 = named(world, "v1").unwrap().id;
    world.perform(volume::snapshot::Delete::new(v1, "s1".parse().unwrap())).await.unwrap();
    let random = world.engine.host().random();
    world.perform(volume::snapshot::Create::new(v1, "s2".parse().ok(), String::new(), false, random).unwrap()).await.unwrap();
}

fn refresh(world: &World) -> volume::Refresh {
    let [v1, v2] = ["v1", "v2"].map(|name| named(world, name).unwrap().id);
    volume::Refresh::new(world.engine.ports(), v2, v1, None, false)
}

pub(crate) fn relocate(world: &World) -> volume::Move {
    volume::Move::new(named(world, "v1").unwrap().id, "p2".parse().unwrap(), Some("v2".parse().unwrap()))
}

/// Whether the copy is there, and with a snapshot or without; the original is what it was.
fn is_copied(world: &World, pool: &str, with_snapshot: bool) -> bool {
    let (Some(original), Some(copy)) = (named(world, "v1"), named(world, "v2")) else { return false };
    let state = world.state();
    let kept = state.snapshots_of_volume(copy.id).count();
    copy.pool.as_str() == pool && kept == usize::from(with_snapshot) && original.pool.as_str() == "p1"
}

/// The volume with a snapshot, and a pool beside its own.
pub(crate) async fn two_pools(world: &World) {
    taken(world).await;
    new_pool(world, "p2").await.unwrap();
}

async fn used_beside(world: &World) {
    used(world).await;
    new_pool(world, "p2").await.unwrap();
}

fn on_volumes() -> Vec<Deed> {
    vec![
        deed!("create volume", true, |w| new_pool(&w, "p1").await.unwrap(), |w| new_volume(&w), |w| named(w, "v1").is_some()),
        deed!("create a block volume", true, |w| new_pool(&w, "p1").await.unwrap(), |w| new_block(&w), |w| grown(w) == 10 << 30),
        deed!("grow a block volume", true, |w| with_block(&w).await, |w| w.perform(grow(&w)), |w| grown(w) == 11 << 30),
        deed!("serve a volume", false, |w| prepared(&w).await, |w| w.perform(serve(&w)), |w| {
            named(w, "v1").is_some() && w.engine.jobs().iter().any(|job| job.verb == "volume.serve")
        }),
        deed!(
            "rename volume",
            true,
            |w| prepared(&w).await,
            |w| w.perform(volume::Rename { id: named(&w, "v1").unwrap().id, name: "v2".parse().unwrap() }),
            |w| named(w, "v2").is_some()
        ),
        deed!(
            "delete volume",
            false,
            |w| prepared(&w).await,
            |w| w.perform(volume::Delete::new(named(&w, "v1").unwrap().id)),
            |w| w.state().volumes.is_empty()
        ),
    ]
}

async fn new_block(world: &World) -> Result<()> {
    make(world, Content::Block).await
}

async fn with_block(world: &World) {
    new_pool(world, "p1").await.unwrap();
    new_block(world).await.unwrap();
}

fn grow(world: &World) -> volume::Replace {
    let config = [("size".to_owned(), "11GiB".to_owned())].into();
    volume::Replace { id: named(world, "v1").unwrap().id, config, description: None, expected: None }
}

/// Bytes that the record of the block volume says, if its disk has as many.
fn grown(world: &World) -> u64 {
    let Some(volume) = named(world, "v1") else { return 0 };
    let said = volume.block().unwrap().unwrap();
    if world.sim.files.has_block(volume.id, said) { said } else { 0 }
}

/// To nobody.
fn serve(world: &World) -> volume::Serve {
    volume::Serve::new(world.engine.ports(), named(world, "v1").unwrap().id).unwrap().0
}

fn on_snapshots() -> Vec<Deed> {
    vec![
        deed!("snapshot a volume", true, |w| prepared(&w).await, |w| w.perform(take(&w)), |w| snapshots(w) == ["s1"]),
        deed!("snapshot a volume of what runs", true, |w| used(&w).await, |w| w.perform(take(&w)), |w| snapshots(w) == ["s1"]
            && w.status("c1").is_some_and(|status| status.as_str() == "running")),
        deed!("replace a snapshot of a volume", false, |w| taken(&w).await, |w| w.perform(take(&w)), |w| snapshots(w) == ["s1"]
            && w.state().volume_snapshots.values().all(|snapshot| snapshot.volume.config.contains_key("user.a"))),
        deed!(
            "rename a snapshot of a volume",
            true,
            |w| taken(&w).await,
            |w| {
                let (name, to) = ("s1".parse().unwrap(), "s2".parse().unwrap());
                w.perform(volume::snapshot::Rename { volume: named(&w, "v1").unwrap().id, name, to })
            },
            |w| snapshots(w) == ["s2"]
        ),
        deed!(
            "restore a snapshot of a volume",
            false,
            |w| taken(&w).await,
            |w| w.perform(volume::snapshot::Restore::new(named(&w, "v1").unwrap().id, "s1".parse().unwrap())),
            |w| snapshots(w) == ["s1"]
        ),
        deed!(
            "delete a snapshot of a volume",
            false,
            |w| taken(&w).await,
            |w| w.perform(volume::snapshot::Delete::new(named(&w, "v1").unwrap().id, "s1".parse().unwrap())),
            |w| snapshots(w).is_empty()
        ),
        deed!(
            "delete a volume with a snapshot",
            false,
            |w| taken(&w).await,
            |w| w.perform(volume::Delete::new(named(&w, "v1").unwrap().id)),
            |w| w.state().volumes.is_empty() && snapshots(w).is_empty()
        ),
    ]
}

/// Names of snapshots of all volumes.
pub(crate) fn snapshots(world: &World) -> Vec<String> {
    world.state().volume_snapshots.values().map(|snapshot| snapshot.name.to_string()).collect()
}

/// Takes a snapshot of the volume, in place of one that there is.
pub(crate) fn take(world: &World) -> volume::snapshot::Create {
    let (id, name) = (named(world, "v1").unwrap().id, Some("s1".parse().unwrap()));
    volume::snapshot::Create::new(id, name, String::new(), true, world.engine.host().random()).unwrap()
}

/// The volume with a snapshot, and changed since.
pub(crate) async fn taken(world: &World) {
    prepared(world).await;
    world.perform(take(world)).await.unwrap();
    let config = [("user.a".to_owned(), "b".to_owned())].into();
    let id = named(world, "v1").unwrap().id;
    world.perform(volume::Replace { id, config, description: None, expected: None }).await.unwrap();
}

/// The volume, and an instance that runs with it.
async fn used(world: &World) {
    prepared(world).await;
    let spec = instance::Spec { start: true, devices: disk("/srv"), ..Default::default() };
    world.perform(world.create_as("c1", spec)).await.unwrap();
}

/// A disk that is the volume `v1` of the pool `p1`.
pub(crate) fn disk(path: &str) -> Devices {
    let name: lxhost_model::name::DeviceName = "data".parse().unwrap();
    let keys = [("type", "disk"), ("pool", "p1"), ("source", "v1"), ("path", path), ("readonly", "true")];
    let device = Device::new(&name, keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into()).unwrap();
    [(name, device)].into()
}

pub(crate) async fn prepared(world: &World) {
    new_pool(world, "p1").await.unwrap();
    new_volume(world).await.unwrap();
}

pub(crate) fn named(world: &World, name: &str) -> Option<Arc<Volume>> {
    world.state().volumes.values().find(|volume| volume.name.as_str() == name).cloned()
}

pub(crate) async fn new_volume(world: &World) -> Result<()> {
    make(world, Content::Filesystem).await
}

async fn make(world: &World, content: Content) -> Result<()> {
    let volume = Volume {
        id: ObjectId::from_random(world.engine.host().random()),
        project: Default::default(),
        pool: "p1".parse().unwrap(),
        name: "v1".parse().unwrap(),
        description: String::new(),
        config: Default::default(),
        content,
        volatile: Default::default(),
        created: 0,
        generation: 0,
    };
    world.perform(volume::Create::new(volume)?).await.map(drop)
}
