//! Volumes among the devices of instances: mounted at their start, kept while they are named.

use crate::deeds::volumes::{copy, disk, export, import, named, new_volume, snapshots, take, taken, two_pools};
use crate::world::{Machine, World, mia, root};
use lxhost_engine::ports::DiskSource;
use lxhost_engine::{Kind, Result, instance, profile, volume};
use lxhost_model::Action;
use lxhost_model::backup::{About, DescribedVolume, VolumeBackup, VolumePast};
use lxhost_model::device::{Device, Devices};
use lxhost_sim::Ruling;

async fn has(world: &World, devices: Devices) -> Result<()> {
    let change = instance::Change { devices: Some(devices), ..Default::default() };
    world.perform(instance::Configure::new(world.id("c1").unwrap(), change)?).await.map(drop)
}

/// What the guest `c1` has.
fn mounted(world: &World) -> Vec<lxhost_engine::ports::DiskSpec> {
    world.sim.launcher.spec(world.id("c1").unwrap()).unwrap().disks
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
        let disks = mounted(&world);
        assert_eq!((disks.len(), disks[0].target.as_str(), disks[0].read_only), (1, "/srv", true));
        assert!(matches!(&disks[0].source, DiskSource::Tree(path) if path.to_string_lossy().contains(&volume.to_string())));

        has(&world, disk("/mnt")).await.unwrap();
        assert_eq!(mounted(&world).iter().map(|disk| disk.target.as_str()).collect::<Vec<_>>(), ["/mnt"], "it has moved");
        has(&world, Devices::new()).await.unwrap();
        assert_eq!(mounted(&world), []);
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
fn what_runs_has_the_disks_of_its_profile_at_once() {
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
        world.perform(replace()).await.unwrap();
        assert_eq!(mounted(&world).len(), 1);
        let refused = world.perform(volume::Delete::new(named(&world, "v1").unwrap().id)).await.unwrap_err();
        assert!(refused.message.contains("profile default"), "{refused}");
        world.perform(instance::Restart::new(world.id("c1").unwrap(), true, None)).await.unwrap();
        assert_eq!(mounted(&world).len(), 1);
    });
}

#[test]
fn a_disk_that_cannot_come_leaves_the_others_and_the_record_as_they_were() {
    Machine::new().daemon(async |world| {
        prepared(&world).await;
        world.launch("c1").await;
        has(&world, disk("/srv")).await.unwrap();
        world.sim.faults.fail("launcher.attach", lxhost_engine::Error::new(Kind::Unsupported, "no ids"));
        let refused = has(&world, disk("/mnt")).await.unwrap_err();
        assert!(refused.kind == Kind::Unsupported && refused.message.contains("device data"), "{refused}");
        assert_eq!(mounted(&world)[0].target, "/srv", "what had gone came back");
        let record = world.state().instances[&world.id("c1").unwrap()].clone();
        assert_eq!(record.devices, disk("/srv"));
        world.is_whole("after all").await;
    });
}

#[test]
fn disks_below_others_go_first_and_come_last() {
    Machine::new().daemon(async |world| {
        world.launch("c1").await;
        let memory = |name: &str, path: &str| {
            let name: lxhost_model::name::DeviceName = name.parse().unwrap();
            let keys = [("type", "disk"), ("source", "tmpfs:"), ("size", "1MiB"), ("path", path)];
            let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            (name.clone(), Device::new(&name, keys).unwrap())
        };
        has(&world, [memory("a", "/srv/below"), memory("b", "/srv")].into()).await.unwrap();
        let targets = |world: &World| mounted(world).into_iter().map(|disk| disk.target).collect::<Vec<_>>();
        assert_eq!(targets(&world), ["/srv", "/srv/below"]);
        has(&world, [memory("b", "/srv")].into()).await.unwrap();
        assert_eq!(targets(&world), ["/srv"]);
    });
}

#[test]
fn a_volume_is_not_restored_under_what_runs() {
    Machine::new().daemon(async |world| {
        taken(&world).await;
        world.launch("c1").await;
        has(&world, disk("/srv")).await.unwrap();
        let id = named(&world, "v1").unwrap().id;
        let restore = || volume::snapshot::Restore::new(id, "s1".parse().unwrap());
        let refused = world.perform(restore()).await.unwrap_err();
        assert!(refused.kind == Kind::InUse && refused.message.contains("c1"), "{refused}");
        world.perform(instance::Stop::new(world.id("c1").unwrap(), true, None)).await.unwrap();
        world.perform(restore()).await.unwrap();
        let volume = named(&world, "v1").unwrap();
        assert_eq!(volume.config.get("user.a").map(String::as_str), Some("b"), "the files are restored, the keys stay");
        assert_eq!(snapshots(&world), ["s1"]);
        world.perform(instance::Start::new(world.id("c1").unwrap())).await.unwrap();
        world.is_whole("after all").await;
    });
}

#[test]
fn what_runs_with_a_volume_stands_still_while_a_snapshot_is_taken() {
    Machine::new().daemon(async |world| {
        prepared(&world).await;
        for name in ["c1", "c2"] {
            let spec = instance::Spec { start: true, devices: disk("/srv"), ..Default::default() };
            world.perform(world.create_as(name, spec)).await.unwrap();
        }
        world.perform(instance::Stop::new(world.id("c2").unwrap(), true, None)).await.unwrap();
        world.sim.faults.take_calls();
        world.perform(take(&world)).await.unwrap();
        let calls = world.sim.faults.take_calls();
        let still = ["launcher.freeze", "pool.take_snapshot", "launcher.thaw", "pool.keep_snapshot"];
        let seen: Vec<&str> = calls.iter().map(String::as_str).filter(|call| still.contains(call)).collect();
        assert_eq!(seen, still, "one runs");
        world.sim.faults.fail("pool.take_snapshot", lxhost_engine::Error::failed("no luck"));
        world.perform(take(&world)).await.unwrap_err();
        assert!(world.sim.faults.take_calls().iter().any(|call| call == "launcher.thaw"), "it goes on all the same");
        world.is_whole("after all").await;
    });
}

#[test]
fn what_has_a_volume_does_not_start_while_it_is_restored() {
    Machine::new().daemon(async |world| {
        taken(&world).await;
        world.perform(world.create("c1", false)).await.unwrap();
        has(&world, disk("/srv")).await.unwrap();
        let (id, user) = (named(&world, "v1").unwrap().id, world.id("c1").unwrap());
        let job = world.engine.submit(&root(), volume::snapshot::Restore::new(id, "s1".parse().unwrap())).await.unwrap();
        assert_eq!(world.engine.submit(&root(), instance::Start::new(user)).await.unwrap_err().kind, Kind::Busy);
        assert_eq!(world.engine.submit(&root(), take(&world)).await.unwrap_err().kind, Kind::Busy);
        assert!(world.engine.wait(job, None).await.unwrap().result.is_some());
        world.perform(instance::Start::new(user)).await.unwrap();
        world.is_whole("after all").await;
    });
}

#[test]
fn who_may_not_change_volumes_takes_no_snapshot_of_one() {
    Machine::new().daemon(async |world| {
        taken(&world).await;
        let id = named(&world, "v1").unwrap().id;
        world.sim.authority.rule(1000, Action::StorageManageVolumes, Ruling::No);
        let name = || "s1".parse().unwrap();
        for refused in [
            world.engine.perform(&mia(), take(&world)).await,
            world.engine.perform(&mia(), volume::snapshot::Restore::new(id, name())).await,
            world.engine.perform(&mia(), volume::snapshot::Delete::new(id, name())).await,
            world.engine.perform(&mia(), volume::snapshot::Rename { volume: id, name: name(), to: "s2".parse().unwrap() }).await,
        ] {
            assert_eq!(refused.unwrap_err().kind, Kind::AccessDenied);
        }
        assert_eq!(snapshots(&world), ["s1"]);
    });
}

#[test]
fn what_cannot_be_copied_or_moved_is_refused() {
    Machine::new().daemon(async |world| {
        two_pools(&world).await;
        let id = named(&world, "v1").unwrap().id;
        for (snapshot, pool, kind) in [
            (Some("s9"), None, Kind::NoSuchSnapshot),
            (None, Some("p9"), Kind::NoSuchPool),
            (Some("s9"), Some("p2"), Kind::NoSuchSnapshot),
        ] {
            assert_eq!(world.perform(copy(&world, snapshot, pool)).await.unwrap_err().kind, kind);
        }
        let to =
            |pool: &str, name: Option<&str>| volume::Move::new(id, pool.parse().unwrap(), name.map(|name| name.parse().unwrap()));
        assert_eq!(world.perform(to("p9", None)).await.unwrap_err().kind, Kind::NoSuchPool);
        assert_eq!(world.perform(to("p1", None)).await.unwrap_err().kind, Kind::InvalidArgs);
        world.perform(copy(&world, None, Some("p2"))).await.unwrap();
        assert_eq!(world.perform(copy(&world, None, Some("p2"))).await.unwrap_err().kind, Kind::AlreadyExists);
        assert_eq!(world.perform(to("p2", Some("v2"))).await.unwrap_err().kind, Kind::AlreadyExists);
        world.perform(world.create("c1", false)).await.unwrap();
        has(&world, disk("/srv")).await.unwrap();
        let refused = world.perform(to("p2", None)).await.unwrap_err();
        assert!(refused.kind == Kind::InUse && refused.message.contains("instance c1"), "{refused}");
        world.is_whole("after all").await;
    });
}

#[test]
fn a_copy_has_the_keys_of_its_original_and_nothing_of_the_daemons() {
    Machine::new().daemon(async |world| {
        two_pools(&world).await;
        world.perform(copy(&world, None, None)).await.unwrap();
        let (original, made) = (named(&world, "v1").unwrap(), named(&world, "v2").unwrap());
        assert_eq!((&made.config, &made.description), (&original.config, &original.description));
        assert!(made.id != original.id && made.volatile.is_empty() && made.created > 0);
        let state = world.state();
        let snapshot = state.snapshots_of_volume(made.id).next().unwrap();
        assert_eq!((snapshot.name.as_str(), snapshot.volume.name.as_str()), ("s1", "v2"));
        world.perform(volume::snapshot::Restore::new(made.id, "s1".parse().unwrap())).await.unwrap();
        world.perform(volume::Delete::new(original.id)).await.unwrap();
        world.is_whole("after all").await;
    });
}

#[test]
fn a_copy_that_is_cancelled_leaves_nothing_and_what_runs_goes_on() {
    Machine::new().daemon(async |world| {
        two_pools(&world).await;
        world.launch("c1").await;
        has(&world, disk("/srv")).await.unwrap();
        for pool in [None, Some("p2")] {
            let job = world.engine.submit(&root(), copy(&world, None, pool)).await.unwrap();
            world.engine.cancel(&root(), job).await.unwrap();
            assert_eq!(world.engine.wait(job, None).await.unwrap().result, Some(lxhost_model::job::JobResult::Canceled));
            world.rest().await;
            assert!(named(&world, "v2").is_none());
            world.is_whole("after a copy that was cancelled").await;
        }
    });
}

#[test]
fn what_was_exported_comes_back_beside_itself() {
    Machine::new().daemon(async |world| {
        taken(&world).await;
        world.perform(export(&world, true)).await.unwrap();
        world.perform(export(&world, false)).await.unwrap();
        let said: Vec<VolumeBackup> =
            world.sim.backups.packed().into_iter().filter_map(|request| of_volume(request.about)).collect();
        assert_eq!(said.iter().map(|backup| backup.snapshots.len()).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(import(&world, &said[1], None).await.unwrap_err().kind, Kind::AlreadyExists);
        import(&world, &said[1], Some("v2")).await.unwrap();
        let (was, is) = (named(&world, "v1").unwrap(), named(&world, "v2").unwrap());
        assert_eq!((&is.config, is.id != was.id), (&was.config, true));
        assert_eq!(world.sim.backups.unpacked().len(), 2);
        world.perform(volume::snapshot::Restore::new(is.id, "s1".parse().unwrap())).await.unwrap();
        world.is_whole("after an import").await;
    });
}

fn of_volume(about: About) -> Option<VolumeBackup> {
    if let About::Volume(backup) = about { Some(backup) } else { None }
}

#[test]
fn what_a_backup_may_not_say_makes_no_volume() {
    Machine::new().daemon(async |world| {
        crate::deeds::new_pool(&world, "p1").await.unwrap();
        let said = |config: &[(&str, &str)]| {
            let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            VolumeBackup { name: "b1".into(), volume: DescribedVolume { config, ..Default::default() }, ..Default::default() }
        };
        let past = |name: &str| VolumePast { name: name.into(), ..Default::default() };
        for (what, backup) in [
            ("name", VolumeBackup { name: "../x".into(), ..said(&[]) }),
            ("text", said(&[("user.a", "\u{1b}[0m")])),
            ("shifts", said(&[("volatile.idmap.last", "{}")])),
            ("snapshot", VolumeBackup { snapshots: vec![past("../x")], ..said(&[]) }),
            ("two snapshots", VolumeBackup { snapshots: vec![past("s1"), past("s1")], ..said(&[]) }),
        ] {
            assert_eq!(import(&world, &backup, None).await.unwrap_err().kind, Kind::Untrusted, "{what}");
        }
        assert!(world.state().volumes.is_empty());
        let shifts = r#"[{"Isuid":true,"Isgid":true,"Hostid":1000000,"Nsid":0,"Maprange":65536}]"#;
        let keys = [("user.a", "b"), ("volatile.idmap.last", shifts), ("security.shifted", "false"), ("zfs.blocksize", "8KiB")];
        import(&world, &said(&keys), None).await.unwrap();
        let made = named(&world, "b1").unwrap();
        assert_eq!(made.config.keys().collect::<Vec<_>>(), ["user.a"], "the rest means nothing here");
        assert_eq!(world.sim.backups.unpacked()[0].shifts[0].host, 1_000_000);
        world.is_whole("after all").await;
    });
}

#[test]
fn a_backup_of_an_instance_makes_no_volume_and_the_other_way_round() {
    Machine::new().daemon(async |world| {
        taken(&world).await;
        let of_instance = lxhost_model::backup::Backup { name: "c1".into(), ..Default::default() };
        let file = World::files(&serde_json::to_string(&of_instance).unwrap()).meta;
        let pool = "p1".parse().unwrap();
        let refused = world.engine.read_volume_backup(&root(), pool, Default::default(), file, None).await.err().unwrap();
        assert!(refused.kind == Kind::Untrusted && refused.message.contains("instance"), "{refused}");
        let of_volume = VolumeBackup { name: "v9".into(), ..Default::default() };
        let file = World::files(&serde_json::to_string(&of_volume).unwrap()).meta;
        let refused = world.engine.read_backup(&root(), Default::default(), file, Default::default()).await.err().unwrap();
        assert!(refused.kind == Kind::Untrusted && refused.message.contains("volume"), "{refused}");
    });
}
