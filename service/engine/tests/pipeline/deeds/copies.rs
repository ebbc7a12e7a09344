//! An instance is copied, beside its original and to another pool, and moves to another pool.

use super::{Deed, id, is, snapshots, stopped, take};
use crate::world::World;
use lxhost_engine::{instance, pool, snapshot};

pub(super) fn all() -> Vec<Deed> {
    vec![
        deed!("copy", true, |w| stopped(&w, "c1").await, |w| w.perform(copy(&w, None)), |w| is(w, "c2", "stopped")),
        deed!(
            "copy what runs and has a snapshot",
            true,
            |w| {
                w.launch("c1").await;
                w.perform(take(&w)).await.unwrap();
            },
            |w| w.perform(copy(&w, None)),
            |w| is(w, "c1", "running") && is(w, "c2", "stopped") && snapshots(w) == ["s1", "s1"]
        ),
        deed!(
            "copy what runs and has a snapshot to another pool",
            true,
            |w| {
                w.launch("c1").await;
                w.perform(take(&w)).await.unwrap();
                other_pool(&w).await;
            },
            |w| w.perform(copy_across(&w)),
            |w| is(w, "c2", "stopped") && lies_on(w, "c2", "other") && is(w, "c1", "running")
        ),
        deed!("refresh", true, |w| copied(&w, None).await, |w| w.perform(refresh(&w)), is_refreshed),
        deed!(
            "refresh from what runs to another pool",
            true,
            |w| {
                other_pool(&w).await;
                copied(&w, Some("other")).await;
                w.perform(instance::Start::new(id(&w))).await.unwrap();
            },
            |w| w.perform(refresh(&w)),
            |w| is_refreshed(w) && is(w, "c1", "running") && lies_on(w, "c2", "other")
        ),
        deed!(
            "move to another pool",
            true,
            |w| {
                stopped(&w, "c1").await;
                w.perform(take(&w)).await.unwrap();
                other_pool(&w).await;
            },
            |w| w.perform(instance::Move::new(w.engine.ports(), id(&w), "other".parse().unwrap())),
            |w| is(w, "c1", "stopped") && lies_on(w, "c1", "other") && snapshots(w) == ["s1"]
        ),
        deed!(
            "copy a snapshot",
            true,
            |w| {
                w.launch("c1").await;
                w.perform(take(&w)).await.unwrap();
            },
            |w| w.perform(copy(&w, Some("s1"))),
            |w| is(w, "c2", "stopped") && snapshots(w) == ["s1"]
        ),
    ]
}

/// A second pool, to go to.
async fn other_pool(world: &World) {
    let create = pool::Create::new(world.engine.ports(), "other".parse().unwrap(), "dir", Default::default()).await;
    world.perform(create.unwrap()).await.unwrap();
}

/// An instance and a copy of it, each with a snapshot that the other has not.
async fn copied(world: &World, pool: Option<&str>) {
    stopped(world, "c1").await;
    world.perform(take(world)).await.unwrap();
    match pool {
        Some(_) => world.perform(copy_across(world)).await.unwrap(),
        None => world.perform(copy(world, None)).await.unwrap(),
    };
    world.perform(snapshot::Delete::new(id(world), "s1".parse().unwrap())).await.unwrap();
    let random = world.engine.host().random();
    let take = snapshot::Create::new(id(world), "s2".parse().ok(), String::new(), false, random).unwrap();
    world.perform(take).await.unwrap();
}

fn refresh(world: &World) -> instance::Refresh {
    let copy = world.state().instances.values().find(|one| one.name.as_str() == "c2").unwrap().id;
    instance::Refresh::new(world.engine.ports(), copy, instance::Original::whole(id(world)))
}

fn is_refreshed(world: &World) -> bool {
    is(world, "c2", "stopped") && snapshots(world) == ["s2", "s2"]
}

fn copy_across(world: &World) -> instance::Create {
    let original = instance::Original::whole(id(world));
    let (name, source) = ("c2".parse().unwrap(), instance::Source::Copy(original));
    let spec = instance::Spec { pool: Some("other".parse().unwrap()), ..Default::default() };
    instance::Create::new(Default::default(), Some(name), source, spec, world.engine.host().random()).unwrap()
}

fn lies_on(world: &World, name: &str, pool: &str) -> bool {
    world.state().instances.values().any(|one| one.name.as_str() == name && one.pool.as_str() == pool)
}

fn copy(world: &World, snapshot: Option<&str>) -> instance::Create {
    let original =
        instance::Original { snapshot: snapshot.map(|name| name.parse().unwrap()), ..instance::Original::whole(id(world)) };
    let source = instance::Source::Copy(original);
    let random = world.engine.host().random();
    instance::Create::new(Default::default(), Some("c2".parse().unwrap()), source, Default::default(), random).unwrap()
}
