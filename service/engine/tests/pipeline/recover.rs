//! Records that were lost are made again from what is written beside the disks, and from nothing that is not so.

use crate::deeds::new_profile;
use crate::world::{Machine, World, bad_luck, mia, root};
use lxhost_engine::ports::{Defined, PoolKinds};
use lxhost_engine::recover::{Found, Recover};
use lxhost_engine::{Kind, image, instance, network, pool, profile, snapshot, volume};
use lxhost_model::{Action, Image, Instance, Snapshot, Status};
use lxhost_sim::Ruling;

/// What is recorded of everything, but for what a run changes.
fn records(world: &World) -> (Vec<Instance>, Vec<Snapshot>, Vec<Image>) {
    let state = world.state();
    let still = |one: &Instance| Instance {
        status: Status::Stopped,
        status_since: 0,
        last_used: 0,
        last_exit: None,
        generation: 0,
        ..one.clone()
    };
    let past = |one: &Snapshot| Snapshot { generation: 0, instance: still(&one.instance), ..one.clone() };
    (
        state.instances.values().map(|one| still(one)).collect(),
        state.snapshots.values().map(|one| past(one)).collect(),
        state.images.values().map(|one| Image { last_used: 0, generation: 0, ..Image::clone(one) }).collect(),
    )
}

/// An instance at rest with a snapshot, and an image with a name.
async fn full(world: &World) {
    let id = world.launch("c1").await;
    let random = world.engine.host().random();
    let name = Some("s1".parse().unwrap());
    world.perform(snapshot::Create::new(id, name, "why".into(), false, random).unwrap()).await.unwrap();
    world.perform(instance::Stop::new(id, true, None)).await.unwrap();
    let image = *world.state().images.keys().next().unwrap();
    world.perform(image::AddAlias { id: image, alias: "mine".parse().unwrap() }).await.unwrap();
    world.until(|w| w.sim.pools.definition(id).is_some() && w.sim.definitions.say("\"mine\"")).await;
}

fn shown(found: &[Found]) -> Vec<String> {
    let one = |found: &Found| match found {
        Found::Pool(pool) => format!("pool {}", pool.name),
        Found::Image(image) => format!("image {:?}", image.aliases),
        Found::Acl(acl) => format!("acl {}", acl.name),
        Found::Network(network) => format!("network {}", network.name),
        Found::Profile(profile) => format!("profile {}", profile.name),
        Found::Volume(volume) => format!("volume {}", volume.name),
        Found::VolumeSnapshot(snapshot) => format!("snapshot {}/{}", snapshot.volume.name, snapshot.name),
        Found::Instance(instance) => format!("instance {}", instance.name),
        Found::Snapshot(snapshot) => format!("snapshot {}", snapshot.name),
        Found::Trashed(trashed) => format!("trash {}", trashed.what.title()),
        Found::Left { kind, why, .. } => format!("{kind} left: {why}"),
    };
    found.iter().map(one).collect()
}

#[test]
fn what_no_record_knows_is_found_and_taken_in_as_it_was() {
    let machine = Machine::new();
    let before = machine.daemon(async |world| {
        full(&world).await;
        records(&world)
    });
    machine.without_records().daemon(async |world| {
        assert!(world.state().instances.is_empty());
        let found = world.engine.lost(&root(), &[]).await.unwrap();
        let expected =
            ["pool default", "image [ImageAlias(\"mine\")]", "network lxbr0", "profile default", "instance c1", "snapshot s1"];
        assert_eq!(shown(&found), expected);
        let output = world.perform(Recover::new(vec![])).await.unwrap();
        assert!(output.notes.iter().any(|note| note == "instance c1"), "{:?}", output.notes);
        assert_eq!(records(&world), before);
        assert_eq!(world.status("c1"), Some(Status::Stopped));
        world.is_whole("after a recovery").await;
        assert_eq!(shown(&world.engine.lost(&root(), &[]).await.unwrap()), [""; 0]);
        let id = world.id("c1").unwrap();
        world.perform(instance::Start::new(id)).await.unwrap();
        world.perform(snapshot::Restore::new(id, "s1".parse().unwrap())).await.unwrap();
        world.perform(instance::Delete::new(id, true)).await.unwrap();
        world.is_whole("after all").await;
    });
}

#[test]
fn a_volume_comes_back_with_its_snapshots() {
    let machine = Machine::new();
    let id = machine.daemon(async |world| {
        crate::deeds::volumes::taken(&world).await;
        world.until(|w| w.sim.definitions.say("\"s1\"") && w.sim.definitions.say("user.a")).await;
        crate::deeds::volumes::named(&world, "v1").unwrap().id
    });
    machine.without_records().daemon(async |world| {
        let found = shown(&world.engine.lost(&root(), &[]).await.unwrap());
        assert_eq!(found, ["pool p1", "volume v1", "snapshot v1/s1"]);
        world.perform(Recover::new(vec![])).await.unwrap();
        assert_eq!(shown(&world.engine.lost(&root(), &[]).await.unwrap()), [""; 0]);
        world.perform(volume::snapshot::Restore::new(id, "s1".parse().unwrap())).await.unwrap();
        world.perform(volume::Delete::new(id)).await.unwrap();
        world.is_whole("after all").await;
    });
}

#[test]
fn what_was_deleted_does_not_come_back() {
    let machine = Machine::new();
    let network = machine.daemon(async |world| {
        full(&world).await;
        let (name, random) = ("net1".parse().unwrap(), Default::default());
        let create = network::Create::new(world.engine.ports(), random, name, "bridge", Default::default()).unwrap();
        world.perform(create).await.unwrap();
        world.until(|w| w.sim.definitions.say("\"net1\"")).await;
        world.state().networks.values().find(|network| network.name.as_str() == "net1").unwrap().id
    });
    // A daemon that ends as soon as it has acknowledged the deletion.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let engine = lxhost_engine::Engine::new(machine.sim.ports());
    runtime.block_on(engine.perform(&root(), network::Delete::new(network))).unwrap();
    drop(runtime);
    machine.without_records().daemon(async |world| {
        let found = shown(&world.engine.lost(&root(), &[]).await.unwrap());
        assert!(!found.contains(&"network net1".to_owned()), "{found:?}");
    });
}

#[test]
fn a_deletion_that_fails_forgets_nothing() {
    Machine::new().daemon(async |world| {
        world.perform(new_profile(&world)).await.unwrap();
        world.until(|w| w.sim.definitions.say("\"p1\"")).await;
        let id = world.state().profiles.values().find(|profile| profile.name.as_str() == "p1").unwrap().id;
        world.sim.faults.fail("store.commit", bad_luck());
        world.perform(profile::Delete::new(id)).await.unwrap_err();
        assert!(world.sim.definitions.say("\"p1\""));
    });
}

#[test]
fn nothing_is_lost_where_everything_is_known() {
    Machine::new().daemon(async |world| {
        full(&world).await;
        let before = records(&world);
        assert_eq!(shown(&world.engine.lost(&root(), &[]).await.unwrap()), [""; 0]);
        world.perform(Recover::new(vec![])).await.unwrap();
        assert_eq!(records(&world), before);
        world.sim.authority.rule(1000, Action::StorageManagePools, Ruling::No);
        let error = world.engine.lost(&mia(), &[]).await.unwrap_err();
        assert_eq!(error.kind, Kind::AccessDenied);
    });
}

#[test]
fn what_is_in_the_way_or_malformed_stays_and_is_said() {
    let machine = Machine::new();
    machine.daemon(async |world| {
        full(&world).await;
        let (instance, pool) = (world.id("c1").unwrap(), world.state().pools.values().next().unwrap().clone());
        let good = world.sim.pools.definition(instance).unwrap();
        let pools: &dyn PoolKinds = &*world.sim.pools;
        for (text, why) in [
            ("{", "malformed"),
            (&good.replace("\"c1\"", "\"../c1\""), "malformed"),
            (&good.replace(&instance.to_string(), &"0".repeat(32)), "another instance's"),
            (&good.replace("\"config\": {}", "\"config\": {\"limits.memory\": \"all\"}"), "limits.memory"),
            (&good.replace("\"default\"\n  ]", "\"web\"\n  ]"), "profile"),
            (&good.replace("\"architecture\": \"", "\"architecture\": \"\\u001b"), "architecture"),
        ] {
            assert_ne!(text, good, "{why}");
            let driver = pools.driver(&pool.driver).unwrap();
            driver.write_definition(&pool, Defined::Instance(instance), text).await.unwrap();
            let lost = machine.without_records();
            let engine = lxhost_engine::Engine::new(lost.sim.ports());
            engine.perform(&root(), Recover::new(vec![])).await.unwrap();
            assert!(engine.state().instances.is_empty(), "{text}");
            let found = shown(&engine.lost(&root(), &[]).await.unwrap());
            assert!(found.iter().any(|line| line.starts_with("instance left") && line.contains(why)), "{why}: {found:?}");
            assert!(found.iter().any(|line| line.starts_with("snapshot left")), "{found:?}");
            driver.write_definition(&pool, Defined::Instance(instance), &good).await.unwrap();
        }
    });
    // Somebody has begun anew and has taken a name.
    machine.without_records().daemon(async |world| {
        let name = "default".parse().unwrap();
        world.perform(pool::Create::new(world.engine.ports(), name, "", Default::default()).await.unwrap()).await.unwrap();
        let found = shown(&world.engine.lost(&root(), &[]).await.unwrap());
        assert!(found.iter().any(|line| line.contains("there is a pool default already")), "{found:?}");
        world.perform(Recover::new(vec![])).await.unwrap();
        assert_eq!((world.state().instances.len(), world.state().pools.len()), (0, 1));
    });
}

#[test]
fn whoever_takes_in_what_is_lost_may_give_it_what_it_has() {
    let machine = Machine::new();
    machine.daemon(async |world| full(&world).await);
    machine.without_records().daemon(async |world| {
        world.sim.authority.rule(1000, Action::StorageManagePools, Ruling::Yes);
        for action in [Action::InstanceConfigurePrivileged, Action::NetworkAttachPhysical] {
            world.sim.authority.rule(1000, action, Ruling::No);
            // Looking is free.
            assert!(!world.engine.lost(&mia(), &[]).await.unwrap().is_empty());
            let error = world.engine.perform(&mia(), Recover::new(vec![])).await.unwrap_err();
            assert_eq!(error.kind, Kind::AccessDenied);
            assert!(world.state().instances.is_empty() && world.state().pools.is_empty());
            world.sim.authority.rule(1000, action, Ruling::Yes);
        }
        world.engine.perform(&mia(), Recover::new(vec![])).await.unwrap();
        assert_eq!(world.state().instances.len(), 1);
    });
}

#[test]
fn nothing_is_found_on_a_pool_that_somebody_else_could_change() {
    let machine = Machine::new();
    machine.daemon(async |world| {
        crate::deeds::volumes::taken(&world).await;
        world.until(|w| w.sim.definitions.say("\"s1\"") && w.sim.definitions.say("user.a")).await;
    });
    let expected =
        ["pool left: somebody else's", "volume left: its pool p1 is not here", "snapshot left: its volume p1/v1 is not here"];
    let somebody = || lxhost_model::Error::new(Kind::Untrusted, "somebody else's");
    machine.without_records().daemon(async |world| {
        world.sim.faults.fail("pool.definitions", somebody());
        let found = shown(&world.engine.lost(&root(), &[]).await.unwrap());
        assert_eq!(found, expected);
        world.perform(Recover::new(vec![])).await.unwrap();
        // So it is where the pool is known.
        world.sim.faults.fail("pool.definitions", somebody());
        let found = shown(&world.engine.lost(&root(), &[]).await.unwrap());
        assert_eq!(found, expected[..1]);
    });
}
