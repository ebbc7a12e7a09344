//! Roots and volumes get a size, and another.

use super::volumes::{named, prepared};
use super::{Deed, id, is, stopped};
use crate::world::World;
use lxhost_engine::{instance, profile, volume};
use lxhost_model::device::{Device, Devices};

pub(super) fn all() -> Vec<Deed> {
    vec![
        deed!(
            "create with a size",
            false,
            |_w| {},
            |w| w.perform(w.create_as("c1", instance::Spec { devices: root(Some("1GiB")), ..Default::default() })),
            |w| is(w, "c1", "stopped") && limit(w) == Some(1 << 30)
        ),
        deed!(
            "launch with a size",
            false,
            |_w| {},
            |w| {
                let spec = instance::Spec { devices: root(Some("1GiB")), start: true, ..Default::default() };
                w.perform(w.create_as("c1", spec))
            },
            |w| is(w, "c1", "running") && limit(w) == Some(1 << 30)
        ),
        deed!(
            "another size for what runs",
            true,
            |w| {
                w.launch("c1").await;
                w.perform(sized(&w, Some("1GiB"))).await.unwrap();
            },
            |w| w.perform(sized(&w, Some("2GiB"))),
            |w| is(w, "c1", "running") && limit(w) == Some(2 << 30)
        ),
        deed!(
            "no size any more",
            true,
            |w| {
                stopped(&w, "c1").await;
                w.perform(sized(&w, Some("1GiB"))).await.unwrap();
            },
            |w| w.perform(sized(&w, None)),
            |w| is(w, "c1", "stopped") && limit(w).is_none()
        ),
        deed!(
            "a size for all that run with a profile",
            true,
            |w| w.launch("c1").await,
            |w| w.perform(in_profile(&w)),
            |w| limit(w) == Some(1 << 30)
        ),
        deed!("another size for a volume", true, |w| prepared(&w).await, |w| w.perform(resized(&w)), |w| w
            .sim
            .pools
            .limit_of(named(w, "v1").unwrap().id)
            == Some(1 << 30)),
    ]
}

/// The root among devices, with that size.
pub(crate) fn root(size: Option<&str>) -> Devices {
    let name: lxhost_model::name::DeviceName = "root".parse().unwrap();
    let keys = [("type", "disk"), ("path", "/"), ("pool", "default"), ("size", size.unwrap_or_default())];
    let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    [(name.clone(), Device::new(&name, keys).unwrap())].into()
}

pub(crate) fn sized(world: &World, size: Option<&str>) -> instance::Configure {
    let change = instance::Change { devices: Some(root(size)), ..Default::default() };
    instance::Configure::new(id(world), change).unwrap()
}

fn in_profile(world: &World) -> profile::Replace {
    bounding(world, "1GiB")
}

/// Has the profile of all bound their roots.
pub(crate) fn bounding(world: &World, size: &str) -> profile::Replace {
    let found = world.state().profiles.values().next().unwrap().clone();
    let devices = found.devices.clone().into_iter().chain(root(Some(size))).collect();
    profile::Replace { id: found.id, config: found.config.clone(), devices, description: None, expected: None }
}

fn resized(world: &World) -> volume::Replace {
    let config = [("size".to_owned(), "1GiB".to_owned())].into();
    volume::Replace { id: named(world, "v1").unwrap().id, config, description: None, expected: None }
}

fn limit(world: &World) -> Option<u64> {
    world.sim.pools.limit_of(id(world))
}
