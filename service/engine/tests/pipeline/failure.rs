//! Each call that a deed makes fails once: what the deed did before is undone, or it can be done again.

use crate::deeds::{Deed, all};
use crate::world::{Machine, World, bad_luck};
use lxhost_engine::{Kind, Result, instance};
use lxhost_model::{Error, Status};

/// More calls than any deed makes.
const ENOUGH: usize = 100;

/// Lets one call of `deed` fail; `false` when it makes no such call.
fn fail(deed: &Deed, at: usize) -> bool {
    Machine::new().daemon(async |world| {
        (deed.before)(world.clone()).await;
        world.rest().await;
        world.is_whole(&format!("before {}", deed.name)).await;
        let (before, _) = (world.seen(), world.sim.faults.take_calls());
        world.sim.faults.fail_after(at, bad_luck());
        let result = (deed.act)(world.clone()).await;
        world.rest().await;
        world.sim.faults.revive();
        let calls = world.sim.faults.take_calls();
        let when = format!("{} whose call {at} failed after {calls:?}: {result:?}", deed.name);
        is_undone_or_done_again(&world, deed, &before, result, &when).await;
        calls.len() > at
    })
}

/// What a failed deed left: all as it was `before`, where that is promised, or something to do it again from.
pub(crate) async fn is_undone_or_done_again(world: &World, deed: &Deed, before: &[String], result: Result<()>, when: &str) {
    if deed.undone && result.is_err() {
        assert_eq!(world.seen(), before, "{when}");
    }
    match result {
        Ok(()) if world.status("c1") != Some(Status::Error) => assert!((deed.done)(world), "{when}"),
        _ => again(world, deed, when).await,
    }
    world.is_whole(when).await;
}

/// What failed can be done again, from whatever it left.
async fn again(world: &World, deed: &Deed, when: &str) {
    if (deed.done)(world) {
        return;
    }
    for instance in world.state().instances.values() {
        let rested =
            matches!(instance.status, Status::Stopped | Status::Running | Status::Frozen | Status::Deleting | Status::Error);
        assert!(rested, "{when}: {} is {}", instance.name, instance.status);
    }
    match (deed.act)(world.clone()).await {
        Ok(()) => assert!((deed.done)(world), "again, {when}"),
        // A launch that could not be started is there and stopped: only the start is left to do.
        Err(error) if error.kind == Kind::AlreadyExists => {
            world.perform(instance::Start::new(world.id("c1").unwrap())).await.unwrap();
        }
        // A restart that was stopped and not started.
        Err(error) if error.kind == Kind::NotRunning => {
            world.perform(instance::Start::new(world.id("c1").unwrap())).await.unwrap();
        }
        Err(error) => panic!("again, {when}: {error}"),
    }
}

#[test]
fn whatever_fails_is_undone_or_can_be_done_again() {
    for deed in all() {
        let tried = (0..ENOUGH).find(|at| !fail(&deed, *at)).unwrap();
        assert!(tried > 0, "{} calls nothing", deed.name);
    }
}

#[test]
fn an_error_met_while_undoing_is_told_too() {
    Machine::new().daemon(async |world| {
        world.launch("c0").await;
        world.sim.faults.fail("pool.create_root", bad_luck());
        world.sim.faults.fail("pool.remove_root", Error::failed("worse luck"));
        let error = world.perform(world.create("c1", false)).await.unwrap_err();
        assert!(error.message.contains("bad luck") && error.message.contains("worse luck"), "{error}");
    });
}

#[test]
fn a_guest_that_cannot_leave_its_network_is_stopped_all_the_same() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        world.sim.faults.fail("network.leave", bad_luck());
        world.sim.faults.fail("network.leave", bad_luck());
        world.perform(instance::Stop::new(id, true, None)).await.unwrap();
        assert_eq!(world.status("c1"), Some(Status::Stopped));
        world.perform(instance::Start::new(id)).await.unwrap();
        world.is_whole("after the next start").await;
    });
}

#[test]
fn what_cannot_be_killed_needs_attention_and_can_be_started_again() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        world.sim.faults.fail("launcher.kill", bad_luck());
        world.sim.launcher.end(id, lxhost_model::instance::ExitReason::Crash, 1).unwrap();
        world.until(|w| w.status("c1") == Some(Status::Error)).await;
        world.rest().await;
        world.perform(instance::Start::new(id)).await.unwrap();
        world.is_whole("after the next start").await;
    });
}
