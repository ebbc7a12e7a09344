//! What is deleted on a pool with a trash: for everybody it is gone, and whoever wants it has it back.

use crate::deeds::trash::{gone, holds, keep, kept, only, restore};
use crate::deeds::volumes::{named, taken};
use crate::deeds::{id, take};
use crate::world::{Machine, World, mia, root};
use lxhost_engine::recover::{Found, Recover};
use lxhost_engine::{Kind, image, instance, pool, profile, snapshot, trash, volume};
use lxhost_model::{Action, ObjectId, Status, Trashed};
use lxhost_sim::Ruling;

const DAY: u64 = 86_400;

fn named_anew(world: &World, name: &str) -> trash::Restore {
    trash::Restore::new(only(world).id, Some(name.to_owned()))
}

async fn refused(world: &World, verb: impl lxhost_engine::Verb) -> (Kind, String) {
    let before = world.seen();
    let error = world.perform(verb).await.unwrap_err();
    assert_eq!(world.seen(), before, "{error}");
    (error.kind, error.message)
}

#[test]
fn what_is_deleted_is_gone_for_everybody_and_comes_back_as_it_was() {
    Machine::new().daemon(async |world| {
        kept(&world).await;
        let (id, before) = (id(&world), world.seen());
        world.perform(instance::Delete::new(id, false)).await.unwrap();
        assert!(world.state().instances.is_empty() && world.state().snapshots.is_empty());
        world.is_whole("in the trash").await;
        world.perform(restore(&world)).await.unwrap();
        assert_eq!(world.seen(), before);
        world.perform(snapshot::Restore::new(id, "s1".parse().unwrap())).await.unwrap();
        world.perform(instance::Start::new(id)).await.unwrap();
        world.is_whole("back again").await;
    });
}

#[test]
fn a_pool_without_a_trash_and_who_says_so_keep_nothing() {
    Machine::new().daemon(async |world| {
        let one = world.launch("c1").await;
        world.perform(instance::Delete::new(one, true)).await.unwrap();
        assert!(world.state().trash.is_empty());
        let two = world.launch("c1").await;
        keep(&world).await;
        world.perform(instance::Delete::new(two, true).at_once(true)).await.unwrap();
        // Whoever says ephemeral wants nothing to be left of it.
        let spec = instance::Spec { ephemeral: true, start: true, ..Default::default() };
        world.perform(world.create_as("c2", spec)).await.unwrap();
        world.perform(instance::Stop::new(world.id("c2").unwrap(), true, None)).await.unwrap();
        world.rest().await;
        assert!(world.state().instances.is_empty() && world.state().trash.is_empty());
        world.is_whole("without a trash").await;
    });
}

#[test]
fn its_name_is_free_and_it_comes_back_under_another() {
    Machine::new().daemon(async |world| {
        gone(&world).await;
        let first = only(&world);
        world.launch("c1").await;
        let (kind, why) = refused(&world, restore(&world)).await;
        assert_eq!((kind, why.contains("another name")), (Kind::AlreadyExists, true), "{why}");
        for name in ["", "../c1", "-", "a b", &"x".repeat(64)] {
            assert_eq!(refused(&world, named_anew(&world, name)).await.0, Kind::InvalidName, "{name}");
        }
        world.perform(named_anew(&world, "c2")).await.unwrap();
        assert_eq!(world.id("c2"), Some(first.id));
        world.is_whole("beside another").await;
        let state = world.state();
        let [one, two] = [&first.id, &world.id("c1").unwrap()].map(|id| state.instances[id].clone());
        assert!(!one.ids.overlaps(&two.ids), "nobody's ids are another's");
        world.perform(instance::Start::new(one.id)).await.unwrap();
    });
}

#[test]
fn it_keeps_its_address_unless_another_has_it() {
    Machine::new().daemon(async |world| {
        gone(&world).await;
        let had = match &only(&world).what {
            lxhost_model::Discarded::Instance(instance, _) => instance.volatile.clone(),
            _ => panic!(),
        };
        assert!(!had.is_empty());
        world.perform(restore(&world)).await.unwrap();
        assert_eq!(world.state().instances[&id(&world)].volatile, had);
        world.perform(instance::Delete::new(id(&world), false)).await.unwrap();
        // Somebody gives it to another one meanwhile.
        let (other, address) = (world.launch("c2").await, had.values().next().unwrap().clone());
        world.perform(instance::Stop::new(other, true, None)).await.unwrap();
        let name: lxhost_model::name::DeviceName = "eth0".parse().unwrap();
        let keys = [("type", "nic"), ("network", "lxbr0"), ("hwaddr", address.as_str())];
        let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let devices = [(name.clone(), lxhost_model::device::Device::new(&name, keys).unwrap())].into();
        let change = instance::Change { devices: Some(devices), ..Default::default() };
        world.perform(instance::Configure::new(other, change).unwrap()).await.unwrap();
        world.perform(restore(&world)).await.unwrap();
        let now = world.state().instances[&id(&world)].volatile.clone();
        assert!(!now.values().any(|value| *value == address), "{now:?}");
        world.perform(instance::Start::new(id(&world))).await.unwrap();
        world.perform(instance::Start::new(other)).await.unwrap();
    });
}

#[test]
fn its_image_may_go_and_its_pool_stays() {
    Machine::new().daemon(async |world| {
        gone(&world).await;
        let image = *world.state().images.keys().next().unwrap();
        world.perform(image::Delete::new(image)).await.unwrap();
        let default = *world.state().pools.keys().next().unwrap();
        for found in world.state().profiles.values() {
            let devices = found.devices.iter().filter(|(_, device)| !device.is_root()).map(|(n, d)| (n.clone(), d.clone()));
            let (id, config, devices) = (found.id, found.config.clone(), devices.collect());
            world.perform(profile::Replace { id, config, devices, description: None, expected: None }).await.unwrap();
        }
        let (kind, why) = refused(&world, pool::Delete::new(default)).await;
        assert_eq!((kind, why.contains("lxctl trash empty default")), (Kind::InUse, true), "{why}");
        world.perform(trash::Delete::new(only(&world).id)).await.unwrap();
        world.is_whole("emptied").await;
        world.perform(pool::Delete::new(default)).await.unwrap();
    });
}

#[test]
fn a_snapshot_comes_back_to_what_is_there() {
    Machine::new().daemon(async |world| {
        kept(&world).await;
        let (of, name) = (id(&world), "s1".parse().unwrap());
        world.perform(snapshot::Delete::new(of, name)).await.unwrap();
        let lone = only(&world).id;
        let back = |name: Option<&str>| trash::Restore::new(lone, name.map(str::to_owned));
        world.perform(take(&world)).await.unwrap();
        assert_eq!(refused(&world, back(None)).await.0, Kind::AlreadyExists);
        world.perform(instance::Delete::new(of, false)).await.unwrap();
        let (kind, why) = refused(&world, back(None)).await;
        assert_eq!((kind, why.contains("in the trash, too")), (Kind::InvalidState, true), "{why}");
        world.perform(trash::Restore::new(of, None)).await.unwrap();
        world.perform(back(Some("s2"))).await.unwrap();
        world.perform(snapshot::Restore::new(of, "s2".parse().unwrap())).await.unwrap();
        // For good, an instance goes with its snapshots that are in the trash.
        world.perform(snapshot::Delete::new(of, "s2".parse().unwrap())).await.unwrap();
        world.perform(instance::Delete::new(of, false)).await.unwrap();
        assert!(holds(&world, &["c1", "c1/s2"]));
        world.perform(trash::Delete::new(of)).await.unwrap();
        assert!(holds(&world, &[]));
        world.is_whole("for good").await;
        assert_eq!(refused(&world, back(None)).await.0, Kind::NoSuchTrash);
    });
}

#[test]
fn what_a_profile_is_missing_for_says_so() {
    Machine::new().daemon(async |world| {
        world.launch("c0").await;
        world.perform(crate::deeds::new_profile(&world)).await.unwrap();
        let spec = instance::Spec { profiles: Some(vec!["p1".parse().unwrap()]), ..Default::default() };
        let spec = instance::Spec { pool: Some("default".parse().unwrap()), ..spec };
        world.perform(world.create_as("c1", spec)).await.unwrap();
        keep(&world).await;
        world.perform(instance::Delete::new(id(&world), false)).await.unwrap();
        let profile = world.state().profiles.values().find(|one| one.name.as_str() == "p1").unwrap().id;
        world.perform(profile::Delete::new(profile)).await.unwrap();
        let (kind, why) = refused(&world, restore(&world)).await;
        assert_eq!((kind, why.contains("lxctl profile create p1")), (Kind::NoSuchProfile, true), "{why}");
    });
}

#[test]
fn the_timer_calls_while_there_is_something_and_it_goes_when_its_time_is_over() {
    Machine::new().daemon(async |world| {
        gone(&world).await;
        world.until(|w| w.sim.host.is_called()).await;
        for (days, left) in [(6, 1), (1, 0)] {
            world.sim.host.pass(days * DAY + 60);
            world.engine.tend(&root(), true).await.unwrap();
            assert_eq!(world.state().trash.len(), left);
        }
        world.is_whole("over").await;
        world.until(|w| !w.sim.host.is_called()).await;
    });
}

#[test]
fn who_may_not_delete_or_make_does_neither_with_what_is_in_the_trash() {
    Machine::new().daemon(async |world| {
        gone(&world).await;
        let id = only(&world).id;
        let denied = async |action: Action, verb: Box<dyn Fn() -> trash::Restore>| {
            world.sim.authority.rule(1000, action, Ruling::No);
            assert_eq!(world.engine.perform(&mia(), verb()).await.unwrap_err().kind, Kind::AccessDenied);
            world.sim.authority.rule(1000, action, Ruling::Yes);
        };
        denied(Action::InstanceCreate, Box::new(move || trash::Restore::new(id, None))).await;
        world.sim.authority.rule(1000, Action::InstanceDelete, Ruling::No);
        let error = world.engine.perform(&mia(), trash::Delete::new(id)).await.unwrap_err();
        assert_eq!(error.kind, Kind::AccessDenied);
        // What equals root on the host is asked about when it comes back as when it is made.
        world.perform(restore(&world)).await.unwrap();
        let name: lxhost_model::name::DeviceName = "wan".parse().unwrap();
        let keys = [("type", "nic"), ("nictype", "macvlan"), ("parent", "eth0")];
        let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let devices = [(name.clone(), lxhost_model::device::Device::new(&name, keys).unwrap())].into();
        let change = instance::Change { devices: Some(devices), ..Default::default() };
        world.perform(instance::Configure::new(id, change).unwrap()).await.unwrap();
        world.perform(instance::Delete::new(id, false)).await.unwrap();
        denied(Action::NetworkAttachPhysical, Box::new(move || trash::Restore::new(id, None))).await;
        assert!(holds(&world, &["c1"]));
    });
}

#[test]
fn what_could_not_be_removed_does_not_come_back_and_is_removed_again() {
    Machine::new().daemon(async |world| {
        gone(&world).await;
        world.sim.faults.fail("pool.remove_root", crate::world::bad_luck());
        world.perform(trash::Delete::new(only(&world).id)).await.unwrap_err();
        let (kind, why) = refused(&world, restore(&world)).await;
        assert_eq!((kind, why.contains("its removal was begun")), (Kind::InvalidState, true), "{why}");
        world.perform(trash::Delete::new(only(&world).id)).await.unwrap();
        world.is_whole("removed again").await;
    });
}

#[test]
fn only_a_time_is_one_and_it_can_be_set_and_unset() {
    Machine::new().daemon(async |world| {
        world.launch("c1").await;
        let pool = world.state().pools.values().next().unwrap().clone();
        let set = |value: Option<&str>| {
            let mut config = pool.config.clone();
            config.extend(value.map(|value| ("trash.expiry".to_owned(), value.to_owned())));
            pool::Replace { id: pool.id, config, description: None, expected: None }
        };
        for value in ["soon", "0d", "7", "-1d"] {
            let (kind, why) = refused(&world, set(Some(value))).await;
            assert_eq!((kind, why.contains("trash.expiry")), (Kind::InvalidConfig, true), "{value}: {why}");
        }
        let config = [("trash.expiry".to_owned(), "never".to_owned())].into();
        let made = pool::Create::new(world.engine.ports(), "p2".parse().unwrap(), "dir", config).await;
        assert_eq!(made.err().map(|error| error.kind), Some(Kind::InvalidConfig));
        world.perform(set(Some("1H"))).await.unwrap();
        world.perform(set(None)).await.unwrap();
        world.perform(instance::Delete::new(id(&world), true)).await.unwrap();
        assert!(world.state().trash.is_empty());
    });
}

fn trashed(found: &[Found]) -> Vec<&Trashed> {
    found.iter().filter_map(|one| if let Found::Trashed(trashed) = one { Some(trashed.as_ref()) } else { None }).collect()
}

#[test]
fn without_records_it_is_found_in_the_trash_and_nowhere_else() {
    let machine = Machine::new();
    let ids: Vec<ObjectId> = machine.daemon(async |world| {
        gone(&world).await;
        taken(&world).await;
        keep(&world).await;
        world.perform(volume::Delete::new(named(&world, "v1").unwrap().id)).await.unwrap();
        world.rest().await;
        world.state().trash.keys().copied().collect()
    });
    assert_eq!(ids.len(), 2);
    machine.without_records().daemon(async |world| {
        let found = world.engine.lost(&root(), &[]).await.unwrap();
        assert_eq!(trashed(&found).len(), 2);
        let alive =
            |one: &&Found| matches!(one, Found::Instance(_) | Found::Snapshot(_) | Found::Volume(_) | Found::VolumeSnapshot(_));
        assert_eq!(found.iter().find(alive), None);
        world.perform(Recover::new(vec![])).await.unwrap();
        world.is_whole("after a recovery").await;
        assert_eq!(world.engine.lost(&root(), &[]).await.unwrap(), []);
        assert!(world.state().instances.is_empty() && world.state().volumes.is_empty());
        for id in ids {
            world.perform(trash::Restore::new(id, None)).await.unwrap();
        }
        assert_eq!((world.state().snapshots.len(), world.state().volume_snapshots.len()), (1, 1));
        assert_eq!(world.status("c1"), Some(Status::Stopped));
        world.is_whole("back again").await;
    });
}

#[test]
fn a_deletion_that_was_acknowledged_is_one_although_the_records_are_lost_in_the_next_moment() {
    let machine = Machine::new();
    let id = machine.daemon(async |world| {
        kept(&world).await;
        world.until(|w| w.sim.pools.definition(id(w)).is_some()).await;
        id(&world)
    });
    // A daemon that ends as soon as it has acknowledged the deletion.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let engine = lxhost_engine::Engine::new(machine.sim.ports());
    runtime.block_on(engine.perform(&root(), instance::Delete::new(id, false))).unwrap();
    drop(runtime);
    machine.without_records().daemon(async |world| {
        let found = world.engine.lost(&root(), &[]).await.unwrap();
        assert_eq!(trashed(&found).iter().map(|one| one.id).collect::<Vec<_>>(), [id]);
        assert!(!found.iter().any(|one| matches!(one, Found::Instance(_))));
    });
}
