//! Cancelling: what can be undone is, what cannot goes on to its end.

use crate::world::{Machine, World, mia, root};
use lxhost_engine::{Kind, image, instance};
use lxhost_model::job::{JobId, JobResult};
use lxhost_model::{Action, Status};
use lxhost_sim::Ruling;
use std::io::Write;

/// A stop that waits for a guest which does not listen.
async fn waiting_stop(world: &World) -> JobId {
    let id = world.launch("c1").await;
    world.sim.launcher.ignore_shut_down(true);
    let job = world.engine.submit(&root(), instance::Stop::new(id, false, Some(0))).await.unwrap();
    world.until(|w| w.status("c1") == Some(Status::Stopping)).await;
    job
}

#[test]
fn a_stop_that_waits_can_be_cancelled_and_the_guest_runs_on() {
    Machine::new().daemon(async |world| {
        let job = waiting_stop(&world).await;
        world.engine.cancel(&root(), job).await.unwrap();
        let view = world.engine.wait(job, None).await.unwrap();
        assert_eq!(view.result, Some(JobResult::Canceled));
        world.rest().await;
        assert_eq!(world.status("c1"), Some(Status::Running));
        world.is_whole("after the cancelled stop").await;
        let error = world.engine.cancel(&root(), job).await.unwrap_err();
        assert_eq!(error.kind, Kind::InvalidState);
    });
}

#[test]
fn a_deletion_under_way_goes_on_to_its_end() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        let job = world.engine.submit(&root(), instance::Delete::new(id, true)).await.unwrap();
        world.until(|w| w.status("c1") != Some(Status::Running)).await;
        // Whatever the answer is, it may not be half deleted.
        let _ = world.engine.cancel(&root(), job).await;
        let view = world.engine.wait(job, None).await.unwrap();
        assert_eq!(view.result, Some(JobResult::Done));
        world.is_whole("after the deletion").await;
        assert_eq!(world.id("c1"), None);
    });
}

#[test]
fn a_cancelled_import_leaves_nothing() {
    Machine::new().daemon(async |world| {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let files = lxhost_engine::ports::ImageFiles { meta: reader.into(), rootfs: None };
        let import =
            image::Import::new(Default::default(), files, vec![], Default::default(), world.engine.host().random()).unwrap();
        let job = world.engine.submit(&root(), import).await.unwrap();
        world.until(|w| w.sim.faults.take_calls().iter().any(|call| call == "images.take_in")).await;
        world.engine.cancel(&root(), job).await.unwrap();
        assert_eq!(world.engine.wait(job, None).await.unwrap().result, Some(JobResult::Canceled));
        // What is being copied ends with its input.
        let _ = writer.write_all(b"too late");
        drop(writer);
        world.launch("c1").await;
        world.is_whole("after the cancelled import").await;
    });
}

#[test]
fn the_job_of_somebody_else_is_his_to_cancel() {
    Machine::new().daemon(async |world| {
        let job = waiting_stop(&world).await;
        world.sim.authority.rule(1000, Action::JobManageOthers, Ruling::No);
        assert_eq!(world.engine.cancel(&mia(), job).await.unwrap_err().kind, Kind::AccessDenied);
        assert_eq!(world.status("c1"), Some(Status::Stopping));
        world.sim.authority.rule(1000, Action::JobManageOthers, Ruling::Yes);
        world.engine.cancel(&mia(), job).await.unwrap();
        world.rest().await;
        assert_eq!(world.status("c1"), Some(Status::Running));
    });
}

#[test]
fn a_launch_takes_its_prerequisites_with_it_when_it_is_cancelled() {
    Machine::new().daemon(async |world| {
        let job = world.engine.submit(&root(), world.create("c1", true)).await.unwrap();
        world.engine.cancel(&root(), job).await.unwrap();
        world.rest().await;
        assert_eq!(world.engine.job(job).unwrap().result, Some(JobResult::Canceled));
        assert_eq!(world.id("c1"), None);
        world.is_whole("after the cancelled launch").await;
        world.launch("c1").await;
        world.is_whole("after the next").await;
    });
}
