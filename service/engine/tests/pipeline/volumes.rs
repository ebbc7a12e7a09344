//! Volumes among the devices of instances: mounted at their start, kept while they are named.

use crate::deeds::volumes::{named, new_volume};
use crate::world::{Machine, World};
use lxhost_engine::{Kind, instance, profile, volume};
use lxhost_model::device::{Device, Devices};

/// A disk that is the volume `v1` of the pool `p1`.
fn disk(path: &str) -> Devices {
    let name: lxhost_model::name::DeviceName = "data".parse().unwrap();
    let keys = [("type", "disk"), ("pool", "p1"), ("source", "v1"), ("path", path), ("readonly", "true")];
    let device = Device::new(&name, keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into()).unwrap();
    [(name, device)].into()
}

async fn has(world: &World, devices: Devices) -> lxhost_engine::Result<()> {
    let change = instance::Change { devices: Some(devices), ..Default::default() };
    world.perform(instance::Configure::new(world.id("c1").unwrap(), change)?).await.map(drop)
}

async fn prepared(world: &World) {
    crate::deeds::new_pool(world, "p1").await.unwrap();
    new_volume(world).await.unwrap();
}

#[test]
fn a_volume_is_mounted_at_the_start_and_kept_while_it_is_named() {
    Machine::new().daemon(async |world| {
        prepared(&world).await;
        world.perform(world.create("c1", false)).await.unwrap();
        has(&world, disk("/srv")).await.unwrap();
        let volume = named(&world, "v1").unwrap().id;
        for refused in [
            world.perform(volume::Delete::new(volume)).await,
            world.perform(volume::Rename { id: volume, name: "v2".parse().unwrap() }).await,
        ] {
            let refused = refused.unwrap_err();
            assert!(refused.kind == Kind::InUse && refused.message.contains("instance c1"), "{refused}");
        }
        world.perform(instance::Start::new(world.id("c1").unwrap())).await.unwrap();
        let mounts = world.sim.launcher.spec(world.id("c1").unwrap()).unwrap().mounts;
        assert_eq!((mounts.len(), mounts[0].target.as_str(), mounts[0].read_only), (1, "/srv", true));
        assert!(mounts[0].source.to_string_lossy().contains(&volume.to_string()));

        assert_eq!(has(&world, Devices::new()).await.unwrap_err().kind, Kind::InvalidState, "it is mounted");
        world.perform(instance::Stop::new(world.id("c1").unwrap(), true, None)).await.unwrap();
        has(&world, Devices::new()).await.unwrap();
        world.perform(volume::Delete::new(volume)).await.unwrap();
        world.is_whole("after all").await;
    });
}

#[test]
fn a_volume_that_is_not_there_is_refused() {
    Machine::new().daemon(async |world| {
        world.perform(world.create("c1", false)).await.unwrap();
        assert_eq!(has(&world, disk("/srv")).await.unwrap_err().kind, Kind::NoSuchPool);
        crate::deeds::new_pool(&world, "p1").await.unwrap();
        assert_eq!(has(&world, disk("/srv")).await.unwrap_err().kind, Kind::NoSuchVolume);
        let spec = instance::Spec { devices: disk("/srv"), ..Default::default() };
        assert_eq!(world.perform(world.create_as("c2", spec)).await.unwrap_err().kind, Kind::NoSuchVolume);
        assert!(world.state().instances.values().all(|instance| instance.devices.is_empty()));
    });
}

#[test]
fn what_runs_keeps_the_disks_of_its_profile() {
    Machine::new().daemon(async |world| {
        prepared(&world).await;
        world.launch("c1").await;
        let found = world.state().profiles.values().next().unwrap().clone();
        let devices: Devices = found.devices.clone().into_iter().chain(disk("/srv")).collect();
        let replace = || profile::Replace {
            id: found.id,
            config: found.config.clone(),
            devices: devices.clone(),
            description: None,
            expected: None,
        };
        assert_eq!(world.perform(replace()).await.unwrap_err().kind, Kind::InvalidState);
        world.perform(instance::Stop::new(world.id("c1").unwrap(), true, None)).await.unwrap();
        world.perform(replace()).await.unwrap();
        let refused = world.perform(volume::Delete::new(named(&world, "v1").unwrap().id)).await.unwrap_err();
        assert!(refused.message.contains("profile default"), "{refused}");
        world.perform(instance::Start::new(world.id("c1").unwrap())).await.unwrap();
        assert_eq!(world.sim.launcher.spec(world.id("c1").unwrap()).unwrap().mounts.len(), 1);
    });
}
