//! Snapshots that come by a schedule and go when their time is over, as time goes by; none is missed for good, and
//! none comes twice.

use crate::world::{Machine, World, mia};
use lxhost_engine::{Kind, instance, snapshot, volume};
use lxhost_model::config::Config;
use lxhost_model::{Action, ObjectId};
use lxhost_sim::Ruling;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

async fn set(world: &World, id: ObjectId, pairs: &[(&str, &str)]) {
    let set: Config = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let change = instance::Change { set, ..Default::default() };
    world.perform(instance::Configure::new(id, change).unwrap()).await.unwrap();
}

/// Lets it be a little past noon, lest the hour of the test matters.
fn noon(world: &World) {
    let now = world.engine.host().now() / 1_000_000;
    world.sim.host.pass(DAY - now % DAY + 12 * HOUR + 330);
}

/// Whether the timer calls, once everybody has heard of the last change.
async fn calls(world: &World, wanted: bool) {
    for _ in 0..2000 {
        if world.sim.host.is_called() == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the timer {}", if wanted { "does not call" } else { "goes on calling" });
}

/// Time passes, and the timer calls; returns the names there are then.
async fn pass(world: &World, seconds: u64) -> Vec<String> {
    world.sim.host.pass(seconds);
    world.engine.tend(&crate::world::root(), true).await.unwrap();
    world.rest().await;
    world.is_whole("after a round").await;
    names(world)
}

fn names(world: &World) -> Vec<String> {
    let mut names: Vec<String> = world.state().snapshots.values().map(|snapshot| snapshot.name.to_string()).collect();
    names.sort();
    names
}

#[test]
fn a_snapshot_is_taken_when_it_is_due_and_once() {
    Machine::new().daemon(async |world| {
        noon(&world);
        let id = world.launch("c1").await;
        calls(&world, false).await;
        set(&world, id, &[("snapshots.schedule", "@daily"), ("snapshots.pattern", "auto-%d")]).await;
        calls(&world, true).await;
        assert_eq!(pass(&world, 0).await, [""; 0], "it begins when it is set");
        assert_eq!(pass(&world, DAY).await, ["auto-0"]);
        assert_eq!(pass(&world, 60).await, ["auto-0"]);
        assert_eq!(pass(&world, DAY).await, ["auto-0", "auto-1"]);
        // Another schedule begins when it is set, too, whenever the last time of the other was.
        set(&world, id, &[("snapshots.schedule", "0 * * * *")]).await;
        assert_eq!(pass(&world, 0).await.len(), 2);
        assert_eq!(pass(&world, HOUR).await.len(), 3);
        set(&world, id, &[("snapshots.schedule", "")]).await;
        assert_eq!(pass(&world, DAY).await.len(), 3);
        calls(&world, false).await;
    });
}

#[test]
fn what_was_missed_is_made_up_for_once_and_what_did_not_run_is_passed_over() {
    let machine = Machine::new();
    machine.daemon(async |world| {
        noon(&world);
        for name in ["c1", "c2"] {
            let id = world.launch(name).await;
            set(&world, id, &[("snapshots.schedule", "@hourly"), ("snapshots.pattern", &format!("{name}-%d"))]).await;
        }
        pass(&world, 0).await;
        world.perform(instance::Stop::new(world.id("c2").unwrap(), true, None)).await.unwrap();
    });
    machine.sim.host.pass(5 * HOUR);
    machine.daemon(async |world| {
        calls(&world, true).await;
        assert_eq!(pass(&world, 0).await, ["c1-0"], "five were missed");
        let stopped = world.id("c2").unwrap();
        world.perform(instance::Start::new(stopped)).await.unwrap();
        assert_eq!(pass(&world, 0).await, ["c1-0"], "its time is over");
        world.perform(instance::Stop::new(stopped, true, None)).await.unwrap();
        set(&world, stopped, &[("snapshots.schedule.stopped", "true")]).await;
        assert_eq!(pass(&world, HOUR).await, ["c1-0", "c1-1", "c2-0"]);
    });
}

#[test]
fn what_something_is_done_to_has_its_turn_later_and_what_fails_is_not_tried_every_minute() {
    Machine::new().daemon(async |world| {
        noon(&world);
        let id = world.launch("c1").await;
        set(&world, id, &[("snapshots.schedule", "@hourly")]).await;
        pass(&world, 0).await;
        world.sim.faults.fail("pool.take_snapshot", lxhost_model::Error::new(Kind::NoSpace, "bad luck"));
        assert_eq!(pass(&world, HOUR).await, [""; 0]);
        assert_eq!(pass(&world, 60).await, [""; 0]);
        assert_eq!(pass(&world, HOUR).await, ["snap0"]);
    });
}

#[test]
fn a_snapshot_goes_when_its_time_is_over() {
    Machine::new().daemon(async |world| {
        noon(&world);
        let id = world.launch("c1").await;
        set(&world, id, &[("snapshots.expiry", "2d")]).await;
        let take = |name: &str, kept| {
            let random = world.engine.host().random();
            snapshot::Create::new(id, Some(name.parse().unwrap()), String::new(), false, random).unwrap().kept(kept)
        };
        calls(&world, false).await;
        world.perform(take("days", snapshot::Kept::AsConfigured)).await.unwrap();
        world.perform(take("hours", snapshot::Kept::For("3H".parse().unwrap()))).await.unwrap();
        world.perform(take("more", snapshot::Kept::For("3H".parse().unwrap()))).await.unwrap();
        world.perform(take("ever", snapshot::Kept::Forever)).await.unwrap();
        calls(&world, true).await;
        assert_eq!(pass(&world, 2 * HOUR).await, ["days", "ever", "hours", "more"]);
        assert_eq!(pass(&world, 2 * HOUR).await, ["days", "ever"]);
        assert_eq!(pass(&world, 2 * DAY).await, ["ever"]);
        calls(&world, false).await;
    });
}

#[test]
fn a_start_is_a_time_of_a_schedule_too() {
    Machine::new().daemon(async |world| {
        let spec =
            instance::Spec { config: Config::from([("snapshots.schedule".into(), "@startup".into())]), ..Default::default() };
        world.perform(world.create_as("c1", spec)).await.unwrap();
        let id = world.id("c1").unwrap();
        assert!(names(&world).is_empty());
        world.perform(instance::Start::new(id)).await.unwrap();
        assert_eq!(names(&world), ["snap0"]);
        world.sim.faults.fail("launcher.launch", lxhost_model::Error::failed("bad luck"));
        world.perform(instance::Stop::new(id, true, None)).await.unwrap();
        world.perform(instance::Start::new(id)).await.unwrap_err();
        assert_eq!(names(&world), ["snap0"], "with the start, its snapshot is undone");
        world.perform(instance::Start::new(id)).await.unwrap();
        assert_eq!(names(&world), ["snap0", "snap1"]);
        world.is_whole("in the end").await;
    });
}

#[test]
fn who_may_not_take_snapshots_may_not_have_them_taken() {
    Machine::new().daemon(async |world| {
        world.sim.authority.rule(1000, Action::InstanceSnapshot, Ruling::No);
        assert_eq!(world.engine.tend(&mia(), true).await.unwrap_err().kind, Kind::AccessDenied);
    });
}

#[test]
fn a_volume_has_its_schedule_whether_anything_runs_or_not() {
    let machine = Machine::new();
    machine.daemon(async |world| {
        noon(&world);
        crate::deeds::new_pool(&world, "p1").await.unwrap();
        crate::deeds::volumes::new_volume(&world).await.unwrap();
        calls(&world, false).await;
        let keys = [("snapshots.schedule", "@hourly"), ("snapshots.pattern", "auto-%d"), ("snapshots.expiry", "3H")];
        schedule(&world, &keys).await;
        calls(&world, true).await;
        assert_eq!(passed(&world, 0).await, [""; 0], "it begins when it is set");
        assert_eq!(passed(&world, HOUR).await, ["auto-0"]);
        assert_eq!(passed(&world, 60).await, ["auto-0"]);
        world.sim.faults.fail("pool.take_snapshot", lxhost_engine::Error::failed("no luck"));
        assert_eq!(passed(&world, HOUR).await, ["auto-0"], "that one failed");
        assert_eq!(passed(&world, 60).await, ["auto-0"], "and is not tried every minute");
    });
    machine.sim.host.pass(HOUR);
    machine.daemon(async |world| {
        calls(&world, true).await;
        assert_eq!(passed(&world, 0).await, ["auto-0", "auto-1"]);
        assert_eq!(passed(&world, HOUR).await, ["auto-1", "auto-2"], "the time of the first is over");
        schedule(&world, &[]).await;
        assert_eq!(passed(&world, 4 * HOUR).await, [""; 0]);
        calls(&world, false).await;
    });
}

#[test]
fn a_volume_has_its_turn_when_the_instances_of_a_boot_are_started() {
    Machine::new().daemon(async |world| {
        noon(&world);
        crate::deeds::new_pool(&world, "p1").await.unwrap();
        crate::deeds::volumes::new_volume(&world).await.unwrap();
        for name in ["c1", "c2"] {
            world.perform(world.create(name, false)).await.unwrap();
            set(&world, world.id(name).unwrap(), &[("boot.autostart", "true"), ("boot.autostart.delay", "1")]).await;
        }
        schedule(&world, &[("snapshots.schedule", "@hourly"), ("snapshots.pattern", "auto-%d")]).await;
        passed(&world, 0).await;
        let bulk = instance::Bulk { verb: instance::BulkVerb::Start { boot: true }, instances: vec![] };
        let job = world.engine.bulk(&crate::world::root(), bulk).await.unwrap();
        world.sim.host.pass(HOUR);
        world.engine.tend(&crate::world::root(), true).await.unwrap();
        assert!(world.engine.job(job).unwrap().result.is_none(), "they wait for each other");
        assert_eq!(crate::deeds::volumes::snapshots(&world), [""; 0]);
        world.engine.wait(job, None).await.unwrap();
        assert_eq!(passed(&world, 0).await, ["auto-0"]);
    });
}

/// Gives the volume these keys and no others.
async fn schedule(world: &World, pairs: &[(&str, &str)]) {
    let config: Config = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let id = crate::deeds::volumes::named(world, "v1").unwrap().id;
    world.perform(volume::Replace { id, config, description: None, expected: None }).await.unwrap();
}

/// Time passes, and the timer calls; returns the names of the volume's snapshots then.
async fn passed(world: &World, seconds: u64) -> Vec<String> {
    pass(world, seconds).await;
    let mut names = crate::deeds::volumes::snapshots(world);
    names.sort();
    names
}
