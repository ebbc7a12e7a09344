//! What is deleted goes into the trash of its pool, comes back, and is gone for good.

use super::volumes::{named, taken};
use super::{Deed, changed_since, id, is, snapshots, stopped, take};
use crate::world::World;
use lxhost_engine::{instance, pool, snapshot, trash, volume};
use lxhost_model::{ObjectId, Trashed};
use std::sync::Arc;

pub(super) fn all() -> Vec<Deed> {
    let mut deeds = of_instances();
    deeds.extend(of_volumes());
    deeds
}

fn of_instances() -> Vec<Deed> {
    vec![
        deed!("delete into the trash", false, |w| kept(&w).await, |w| w.perform(instance::Delete::new(id(&w), false)), |w| w
            .id("c1")
            .is_none()
            && holds(w, &["c1"])),
        deed!(
            "delete what runs into the trash",
            false,
            |w| {
                w.launch("c1").await;
                keep(&w).await;
            },
            |w| w.perform(instance::Delete::new(id(&w), true)),
            |w| w.id("c1").is_none() && holds(w, &["c1"])
        ),
        deed!(
            "delete past the trash",
            false,
            |w| lone(&w).await,
            |w| w.perform(instance::Delete::new(id(&w), false).at_once(true)),
            |w| w.id("c1").is_none() && holds(w, &[])
        ),
        deed!("bring an instance back", true, |w| gone(&w).await, |w| w.perform(restore(&w)), |w| is(w, "c1", "stopped")
            && snapshots(w) == ["s1"]
            && holds(w, &[])),
        deed!("bring an instance back to another size", true, |w| resized(&w).await, |w| w.perform(restore(&w)), |w| is(
            w, "c1", "stopped"
        ) && holds(
            w,
            &[]
        ) && w
            .sim
            .pools
            .limit_of(id(w))
            == Some(2 << 30)),
        deed!("remove an instance for good", false, |w| gone(&w).await, |w| w.perform(trash::Delete::new(only(&w).id)), |w| {
            w.id("c1").is_none() && holds(w, &[])
        }),
        deed!(
            "delete a snapshot into the trash",
            false,
            |w| kept(&w).await,
            |w| w.perform(snapshot::Delete::new(id(&w), "s1".parse().unwrap())),
            |w| snapshots(w).is_empty() && holds(w, &["c1/s1"])
        ),
        deed!("bring a snapshot back", true, |w| lone(&w).await, |w| w.perform(restore(&w)), |w| snapshots(w) == ["s1"]
            && holds(w, &[])),
        deed!("remove a snapshot for good", false, |w| lone(&w).await, |w| w.perform(trash::Delete::new(only(&w).id)), |w| {
            holds(w, &[])
        }),
        deed!(
            "remove what was in the trash for its time",
            false,
            |w| gone(&w).await,
            |w| {
                let engine = w.engine.clone();
                async move {
                    w.sim.host.pass(8 * 86_400);
                    let caller = crate::world::root();
                    engine.tend(&caller, true).await?;
                    match holds(&w, &[]) {
                        true => Ok(()),
                        false => Err(crate::world::bad_luck()),
                    }
                }
            },
            |w| holds(w, &[])
        ),
    ]
}

fn of_volumes() -> Vec<Deed> {
    vec![
        deed!(
            "delete a volume into the trash",
            false,
            |w| volume_kept(&w).await,
            |w| w.perform(volume::Delete::new(named(&w, "v1").unwrap().id)),
            |w| named(w, "v1").is_none() && holds(w, &["v1"])
        ),
        deed!("bring a volume back", true, |w| volume_gone(&w).await, |w| w.perform(restore(&w)), |w| named(w, "v1").is_some()
            && w.state().volume_snapshots.len() == 1
            && holds(w, &[])),
        deed!(
            "remove a volume for good",
            false,
            |w| volume_gone(&w).await,
            |w| w.perform(trash::Delete::new(only(&w).id)),
            |w| { named(w, "v1").is_none() && holds(w, &[]) }
        ),
        deed!(
            "delete a snapshot of a volume into the trash",
            false,
            |w| volume_kept(&w).await,
            |w| w.perform(volume::snapshot::Delete::new(named(&w, "v1").unwrap().id, "s1".parse().unwrap())),
            |w| w.state().volume_snapshots.is_empty() && holds(w, &["v1/s1"])
        ),
        deed!("bring a snapshot of a volume back", true, |w| volume_lone(&w).await, |w| w.perform(restore(&w)), |w| w
            .state()
            .volume_snapshots
            .len()
            == 1
            && holds(w, &[])),
        deed!(
            "delete a volume with a snapshot in the trash",
            false,
            |w| volume_lone(&w).await,
            |w| w.perform(volume::Delete::new(named(&w, "v1").unwrap().id).at_once(true)),
            |w| named(w, "v1").is_none() && holds(w, &[])
        ),
    ]
}

/// Has all pools keep for a week what is deleted.
pub(crate) async fn keep(world: &World) {
    for (id, pool) in world.state().pools.iter() {
        let mut config = pool.config.clone();
        config.insert("trash.expiry".into(), "7d".into());
        world.perform(pool::Replace { id: *id, config, description: None, expected: None }).await.unwrap();
    }
}

/// An instance at rest with a snapshot, on a pool with a trash.
pub(crate) async fn kept(world: &World) {
    stopped(world, "c1").await;
    world.perform(take(world)).await.unwrap();
    keep(world).await;
}

/// The same in the trash.
pub(crate) async fn gone(world: &World) {
    kept(world).await;
    world.perform(instance::Delete::new(id(world), false)).await.unwrap();
}

/// Its snapshot alone in the trash.
async fn lone(world: &World) {
    stopped(world, "c1").await;
    changed_since(world).await;
    keep(world).await;
    world.perform(snapshot::Delete::new(id(world), "s1".parse().unwrap())).await.unwrap();
}

/// It is in the trash, and its profile says another size.
async fn resized(world: &World) {
    gone(world).await;
    world.perform(super::quotas::bounding(world, "2GiB")).await.unwrap();
}

async fn volume_kept(world: &World) {
    taken(world).await;
    keep(world).await;
}

async fn volume_gone(world: &World) {
    volume_kept(world).await;
    world.perform(volume::Delete::new(named(world, "v1").unwrap().id)).await.unwrap();
}

async fn volume_lone(world: &World) {
    volume_kept(world).await;
    let delete = volume::snapshot::Delete::new(named(world, "v1").unwrap().id, "s1".parse().unwrap());
    world.perform(delete).await.unwrap();
}

/// What is in the trash alone.
pub(crate) fn only(world: &World) -> Arc<Trashed> {
    world.state().trash.values().next().unwrap().clone()
}

pub(crate) fn restore(world: &World) -> trash::Restore {
    trash::Restore::new(only(world).id, None)
}

/// Whether that is in the trash and nothing else.
pub(crate) fn holds(world: &World, titles: &[&str]) -> bool {
    let state = world.state();
    let mut there: Vec<(ObjectId, String)> = state.trash.iter().map(|(id, one)| (*id, one.what.title())).collect();
    there.sort_by(|one, other| one.1.cmp(&other.1));
    there.iter().map(|(_, title)| title.as_str()).eq(titles.iter().copied())
}
