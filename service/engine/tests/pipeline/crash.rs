//! The daemon dies at each call that a deed makes, and a new one starts on what is left: records and machine
//! agree, what was acknowledged is there, what was half made is gone.

use crate::deeds::{Deed, all};
use crate::world::{Machine, World};
use lxhost_engine::ports::{Row, Store, Write};
use lxhost_engine::{instance, trash};
use lxhost_model::Status;
use lxhost_model::instance::ExitReason;

/// More calls than any deed makes.
const ENOUGH: usize = 100;

/// A machine whose daemon died at a call of `deed`, and whether the deed was acknowledged; `None` when it makes
/// no such call.
fn died(deed: &Deed, at: usize) -> Option<(Machine, bool)> {
    let machine = Machine::new();
    let (died, acknowledged) = machine.daemon(async |world| {
        (deed.before)(world.clone()).await;
        world.rest().await;
        world.sim.faults.crash_after(at);
        let faults = world.sim.faults.clone();
        let mut act = tokio::spawn((deed.act)(world.clone()));
        tokio::select! {
            biased;
            () = faults.crashed() => (true, act.is_finished() && act.await.is_ok_and(|done| done.is_ok())),
            done = &mut act => (false, done.is_ok_and(|done| done.is_ok())),
        }
    });
    machine.sim.faults.revive();
    died.then_some((machine, acknowledged))
}

pub(crate) async fn is_recovered(world: &World, deed: &Deed, acknowledged: bool, when: &str) {
    world.is_whole(when).await;
    assert!(!acknowledged || (deed.done)(world), "{when}: it was acknowledged and is not there");
    // Nothing holds anybody up: everything there is can be deleted.
    for id in world.state().instances.keys() {
        world.perform(instance::Delete::new(*id, true)).await.unwrap_or_else(|e| panic!("{when}: {e}"));
    }
    for id in world.state().trash.keys() {
        // One goes with another.
        if world.state().trash.contains_key(id) {
            world.perform(trash::Delete::new(*id)).await.unwrap_or_else(|e| panic!("{when}: {e}"));
        }
    }
    world.is_whole(&format!("{when}, with everything deleted")).await;
}

#[test]
fn a_daemon_that_dies_anywhere_leaves_what_the_next_one_can_mend() {
    for deed in all() {
        for at in 0..ENOUGH {
            let Some((machine, acknowledged)) = died(&deed, at) else { break };
            let when = format!("{} whose daemon died at call {at}", deed.name);
            machine.daemon(async |world| is_recovered(&world, &deed, acknowledged, &when).await);
        }
    }
}

#[test]
fn a_daemon_that_dies_while_it_mends_is_mended_by_the_next() {
    for deed in all() {
        for at in 0..ENOUGH {
            let Some((machine, acknowledged)) = died(&deed, at) else { break };
            for again in 0..4 {
                machine.dying_start(again);
            }
            let when = format!("{} whose daemons died at call {at} and thereafter", deed.name);
            machine.daemon(async |world| is_recovered(&world, &deed, acknowledged, &when).await);
        }
    }
}

#[test]
fn what_ran_goes_on_under_the_next_daemon() {
    let machine = Machine::new();
    let id = machine.daemon(async |world| {
        let id = world.launch("c1").await;
        let frozen = world.launch("c2").await;
        world.perform(instance::Freeze::new(frozen)).await.unwrap();
        id
    });
    let leader = machine.sim.launcher.spec(id);
    machine.daemon(async |world| {
        assert_eq!((world.status("c1"), world.status("c2")), (Some(Status::Running), Some(Status::Frozen)));
        assert!(world.engine.live(id).is_some_and(|live| live.leader > 0));
        assert_eq!(world.sim.launcher.spec(id), leader, "it is the same run");
        world.is_whole("after the restart").await;
        assert!(world.sim.faults.take_calls().iter().filter(|call| *call == "launcher.launch").count() <= 2);
    });
}

#[test]
fn what_ended_while_no_daemon_was_there_is_stopped_and_an_ephemeral_one_is_gone() {
    let machine = Machine::new();
    let (plain, ephemeral) = machine.daemon(async |world| {
        let plain = world.launch("c1").await;
        let spec = instance::Spec { start: true, ephemeral: true, ..Default::default() };
        let create = world.create_as("c2", spec);
        let ephemeral = create.id();
        world.perform(create).await.unwrap();
        (plain, ephemeral)
    });
    machine.sim.launcher.end(plain, ExitReason::Poweroff, 0).unwrap();
    machine.sim.launcher.end(ephemeral, ExitReason::Poweroff, 0).unwrap();
    machine.daemon(async |world| {
        assert_eq!((world.status("c1"), world.status("c2")), (Some(Status::Stopped), None));
        world.is_whole("after the restart").await;
    });
}

#[test]
fn a_job_whose_plan_cannot_be_read_does_not_keep_the_daemon_from_starting() {
    let machine = Machine::new();
    machine.daemon(async |world| {
        world.launch("c1").await;
        let row = lxhost_model::job::JobRow {
            id: 999,
            verb: "instance.start".into(),
            object: None,
            uid: 0,
            created: 0,
            plan: "{".into(),
        };
        world.sim.store.commit(vec![Write::Insert(Row::Job(row))]).await.unwrap();
    });
    machine.daemon(async |world| {
        assert_eq!(world.status("c1"), Some(Status::Running));
        assert!(world.state().jobs.is_empty(), "it is not tried for ever");
        world.perform(instance::Stop::new(world.id("c1").unwrap(), true, None)).await.unwrap();
        assert!(world.engine.jobs().iter().all(|job| job.id > 999), "numbers of jobs are not used again");
    });
}

#[test]
fn files_of_images_survive_the_loss_of_the_records() {
    let machine = Machine::new();
    let image = machine.daemon(async |world| {
        world.launch("c1").await;
        let image = world.state().images.values().next().unwrap().fingerprint.clone();
        let id = world.state().images.values().next().unwrap().id;
        world.sim.store.commit(vec![Write::Delete(lxhost_engine::ports::RowKey::Image(id))]).await.unwrap();
        image
    });
    machine.daemon(async |world| {
        assert_eq!(world.engine.ports().images.kept().await.unwrap(), [image]);
    });
}
