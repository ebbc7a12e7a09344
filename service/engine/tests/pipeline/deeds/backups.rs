//! An instance goes into a backup, at rest or not, and one comes out of it.

use super::{Deed, id, is, snapshots, stopped, take};
use crate::world::{World, root};
use lxhost_engine::{Result, instance};
use lxhost_model::backup::{About, Backup, Described, Past, Request};
use std::os::fd::OwnedFd;

pub(super) fn all() -> Vec<Deed> {
    vec![
        deed!("export", false, |w| stopped(&w, "c1").await, |w| w.perform(export(&w)), |w| !w.sim.backups.packed().is_empty()),
        deed!(
            "export of what runs",
            false,
            |w| {
                w.launch("c1").await;
                w.perform(take(&w)).await.unwrap();
            },
            |w| w.perform(export(&w)),
            |w| is(w, "c1", "running") && w.sim.backups.packed().iter().any(holds_a_snapshot)
        ),
        deed!(
            "publish",
            false,
            |w| {
                w.launch("c1").await;
                w.perform(take(&w)).await.unwrap();
            },
            |w| w.perform(publish(&w)),
            |w| is(w, "c1", "running") && w.state().images.values().any(|image| !image.aliases.is_empty())
        ),
        deed!("import", true, |w| w.launch("c1").await, |w| imported(&w), |w| is(w, "b1", "stopped")
            && snapshots(w) == ["s1"]
            && is(w, "c1", "running")),
    ]
}

fn holds_a_snapshot(request: &Request) -> bool {
    matches!(&request.about, About::Backup(backup) if backup.snapshots.len() == 1)
}

fn publish(world: &World) -> instance::Publish {
    let edition = instance::Edition { aliases: vec!["mine".parse().unwrap()], ..Default::default() };
    instance::Publish::new(world.engine.ports(), Default::default(), id(world), edition).unwrap()
}

fn export(world: &World) -> instance::Export {
    let to = tempfile::tempfile().unwrap().into();
    instance::Export::new(id(world), to, Default::default(), false, world.engine.host().random())
}

/// A backup with a snapshot in it.
fn backup() -> OwnedFd {
    let was = Described { architecture: "x86_64".into(), profiles: vec!["default".into()], ..Default::default() };
    let past = Past { name: "s1".into(), expires: 0, instance: was.clone() };
    let backup = Backup { name: "b1".into(), pool: String::new(), instance: was, snapshots: vec![past] };
    World::files(&serde_json::to_string(&backup).unwrap()).meta
}

async fn imported(world: &World) -> Result<()> {
    let wanted = instance::Wanted::default();
    let import = world.engine.read_backup(&root(), Default::default(), backup(), wanted).await?;
    world.perform(import).await.map(drop)
}
