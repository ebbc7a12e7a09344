//! What guests do by themselves, and what PID 1 of the host asks for.

use crate::world::{Machine, World};
use lxhost_engine::{Error, Kind, SubState, instance};
use lxhost_model::instance::ExitReason;
use lxhost_model::{ObjectId, Status};

fn launches(world: &World) -> usize {
    world.sim.faults.take_calls().iter().filter(|call| *call == "launcher.launch").count()
}

fn last_exit(world: &World, id: ObjectId) -> Option<(ExitReason, i32)> {
    world.state().instances[&id].last_exit.as_ref().map(|exit| (exit.reason, exit.status))
}

#[test]
fn a_reboot_from_inside_starts_it_again() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        world.rest().await;
        launches(&world);
        world.sim.launcher.end(id, ExitReason::Reboot, 0).unwrap();
        world.rest().await;
        assert_eq!(world.status("c1"), Some(Status::Running));
        assert_eq!(launches(&world), 1);
        world.until(|w| w.engine.live(id).is_some_and(|live| live.sub_state == SubState::Ready)).await;
        world.is_whole("after the reboot").await;
    });
}

#[test]
fn a_reboot_does_not_end_an_ephemeral_instance_and_a_poweroff_does() {
    Machine::new().daemon(async |world| {
        let spec = instance::Spec { start: true, ephemeral: true, ..Default::default() };
        let create = world.create_as("c1", spec);
        let id = create.id();
        world.perform(create).await.unwrap();
        world.sim.launcher.end(id, ExitReason::Reboot, 0).unwrap();
        world.rest().await;
        assert_eq!(world.status("c1"), Some(Status::Running));
        world.sim.launcher.end(id, ExitReason::Poweroff, 0).unwrap();
        world.rest().await;
        assert_eq!(world.id("c1"), None);
        world.is_whole("after its end").await;
    });
}

#[test]
fn a_guest_that_goes_down_by_itself_while_it_is_stopped_is_stopped() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        world.rest().await;
        world.sim.faults.take_calls();
        world.sim.faults.fail("launcher.shut_down", Error::new(Kind::NotRunning, "it does not run"));
        let end = async {
            world.until(|w| w.sim.faults.take_calls().iter().any(|call| call == "launcher.shut_down")).await;
            world.sim.launcher.end(id, ExitReason::Poweroff, 0).unwrap();
        };
        let (stopped, ()) = tokio::join!(world.perform(instance::Stop::new(id, false, None)), end);
        stopped.unwrap();
        assert_eq!(world.status("c1"), Some(Status::Stopped));
        assert_eq!(last_exit(&world, id), Some((ExitReason::Poweroff, 0)));
        world.is_whole("after its end").await;
    });
}

#[test]
fn an_ephemeral_instance_is_gone_after_a_stop_and_not_after_a_restart() {
    Machine::new().daemon(async |world| {
        let create = world.create_as("c1", instance::Spec { start: true, ephemeral: true, ..Default::default() });
        let id = create.id();
        world.perform(create).await.unwrap();
        for force in [false, true] {
            world.perform(instance::Restart::new(id, force, None)).await.unwrap();
            assert_eq!(world.status("c1"), Some(Status::Running));
        }
        world.perform(instance::Stop::new(id, false, None)).await.unwrap();
        assert_eq!(world.id("c1"), None);
        world.is_whole("after its stop").await;
    });
}

#[test]
fn a_guest_that_ends_while_it_is_being_started_is_stopped_in_the_end() {
    for reason in [ExitReason::Crash, ExitReason::Poweroff] {
        Machine::new().daemon(async |world| {
            let id = world.launch("c1").await;
            world.perform(instance::Stop::new(id, true, None)).await.unwrap();
            let job = world.engine.submit(&crate::world::root(), instance::Start::new(id)).await.unwrap();
            world.until(|w| w.sim.launcher.spec(id).is_some()).await;
            world.sim.launcher.end(id, reason, 1).unwrap();
            world.engine.wait(job, None).await.unwrap();
            world.rest().await;
            assert_eq!(world.status("c1"), Some(Status::Stopped));
            assert_eq!(last_exit(&world, id), Some((reason, 1)));
            world.is_whole("after its end").await;
        });
    }
}

#[test]
fn the_end_that_a_guest_had_is_kept() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        world.sim.launcher.end(id, ExitReason::Crash, 139).unwrap();
        world.rest().await;
        assert_eq!(last_exit(&world, id), Some((ExitReason::Crash, 139)));
        world.perform(instance::Start::new(id)).await.unwrap();
        world.perform(instance::Stop::new(id, false, None)).await.unwrap();
        assert_eq!(last_exit(&world, id), Some((ExitReason::Poweroff, 0)));
        world.perform(instance::Start::new(id)).await.unwrap();
        world.perform(instance::Stop::new(id, true, None)).await.unwrap();
        assert_eq!(last_exit(&world, id).unwrap().0, ExitReason::Killed);
    });
}

#[test]
fn a_guest_that_does_not_listen_is_killed_when_its_time_is_over() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        world.sim.launcher.ignore_shut_down(true);
        world.perform(instance::Stop::new(id, false, Some(1))).await.unwrap();
        assert_eq!(world.status("c1"), Some(Status::Stopped));
        assert_eq!(last_exit(&world, id).unwrap().0, ExitReason::Killed);
        world.is_whole("after the kill").await;
    });
}

#[test]
fn an_orderly_stop_that_the_host_asks_for_is_done() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        let frozen = world.launch("c2").await;
        world.perform(instance::Freeze::new(frozen)).await.unwrap();
        for id in [id, frozen] {
            world.sim.launcher.request_stop(id);
        }
        world.until(|w| w.status("c1") == Some(Status::Stopped) && w.status("c2") == Some(Status::Stopped)).await;
        world.rest().await;
        assert_eq!(last_exit(&world, id), Some((ExitReason::Poweroff, 0)));
        world.is_whole("after the stop").await;
    });
}

#[test]
fn a_restart_by_force_is_not_ended_by_the_end_of_the_run_before() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        for round in 0..300 {
            world.perform(instance::Restart::new(id, true, None)).await.unwrap();
            assert_eq!(world.status("c1"), Some(Status::Running), "round {round}");
        }
        world.is_whole("after all of them").await;
    });
}

#[test]
fn the_definition_beside_the_root_follows_changes_and_a_rename() {
    Machine::new().daemon(async |world| {
        let create = world.create("c1", false);
        let id = create.id();
        world.perform(create).await.unwrap();
        let written = async |wanted: &str| {
            while !world.sim.pools.definition(id).is_some_and(|text| text.contains(wanted)) {
                tokio::task::yield_now().await;
            }
        };
        written("\"c1\"").await;
        let change = instance::Change { set: [("user.note".to_owned(), "kept".to_owned())].into(), ..Default::default() };
        world.perform(instance::Configure::new(id, change).unwrap()).await.unwrap();
        written("kept").await;
        world.perform(instance::Rename::new(id, "c2".parse().unwrap())).await.unwrap();
        written("\"c2\"").await;
    });
}
