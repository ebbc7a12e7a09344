//! The engine on a simulated machine, from a launch to a deletion.

// Clippy sees tests in functions with #[test] only, not in what they share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use lxhost_engine::ports::{Caller, Exec, ExecResult, Streams};
use lxhost_engine::{Engine, Kind, SubState, instance};
use lxhost_model::instance::ExitReason;
use lxhost_model::{Action, Error, ObjectId, Status};
use lxhost_sim::{Ruling, Sim};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

struct World {
    _dir: tempfile::TempDir,
    sim: Sim,
    engine: Engine,
}

async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let sim = Sim::new(dir.path(), true);
    let engine = Engine::new(sim.ports());
    engine.start().await;
    World { _dir: dir, sim, engine }
}

fn root() -> Caller {
    Caller { bus_name: ":1.1".into(), uid: 0, interactive: false }
}

fn mia() -> Caller {
    Caller { bus_name: ":1.2".into(), uid: 1000, interactive: false }
}

impl World {
    fn create(&self, name: &str) -> instance::Create {
        let spec = instance::Spec { start: true, ..instance::Spec::default() };
        let source = instance::Source::Image("sim:empty".into());
        let random = self.engine.host().random();
        instance::Create::new(Default::default(), Some(name.parse().unwrap()), source, spec, random).unwrap()
    }

    async fn launch(&self, name: &str) -> ObjectId {
        let create = self.create(name);
        let id = create.id();
        self.engine.perform(&root(), create).await.unwrap();
        id
    }

    fn status(&self, id: ObjectId) -> Option<Status> {
        self.engine.state().instances.get(&id).map(|i| i.status)
    }

    /// Waits for events until `done`.
    async fn until(&self, done: impl Fn(&World) -> bool) {
        let mut events = self.engine.subscribe();
        let wait = async {
            while !done(self) {
                events.recv().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("it never happened");
    }
}

fn nothing() -> OwnedFd {
    File::options().read(true).write(true).open("/dev/null").unwrap().into()
}

#[tokio::test]
async fn a_launch_runs_gets_ready_and_an_address_and_a_deletion_leaves_nothing() {
    let world = world().await;
    let id = world.launch("c1").await;
    assert_eq!(world.status(id), Some(Status::Running));
    world.until(|w| w.engine.live(id).is_some_and(|l| l.sub_state == SubState::Ready && !l.addresses.is_empty())).await;
    assert_eq!(world.sim.pools.hostname(id).as_deref(), Some("c1"));
    assert_eq!(world.sim.networks.joined().len(), 1);

    world.engine.perform(&root(), instance::Stop::new(id, false, Some(10))).await.unwrap();
    assert_eq!(world.status(id), Some(Status::Stopped));
    world.engine.perform(&root(), instance::Delete::new(id, false)).await.unwrap();
    assert_eq!(world.status(id), None);
    assert!(world.sim.pools.roots().is_empty() && world.sim.networks.joined().is_empty());
    assert!(world.sim.launcher.spec(id).is_none());
    assert!(world.engine.state().jobs.is_empty(), "no job is left in the records");
}

#[tokio::test]
async fn a_start_that_fails_is_undone() {
    let world = world().await;
    let id = world.launch("c1").await;
    world.engine.perform(&root(), instance::Stop::new(id, true, Some(10))).await.unwrap();
    world.sim.faults.fail("launcher.launch", Error::failed("no such luck"));
    let error = world.engine.perform(&root(), instance::Start::new(id)).await.unwrap_err();
    assert!(error.message.contains("no such luck"), "{error}");
    assert_eq!(world.status(id), Some(Status::Stopped));
    assert!(world.sim.networks.joined().is_empty(), "the interface is given back");
    world.engine.perform(&root(), instance::Start::new(id)).await.unwrap();
    assert_eq!(world.status(id), Some(Status::Running));
}

#[tokio::test]
async fn a_guest_that_powers_off_is_stopped() {
    let world = world().await;
    let id = world.launch("c1").await;
    world.sim.launcher.end(id, ExitReason::Poweroff, 0).unwrap();
    world.until(|w| w.status(id) == Some(Status::Stopped)).await;
    assert!(world.engine.live(id).is_none());
}

#[tokio::test]
async fn who_may_not_start_changes_nothing() {
    let world = world().await;
    world.sim.authority.rule(1000, Action::InstanceOperate, Ruling::No);
    let before = world.sim.faults.take_calls();
    let error = world.engine.perform(&mia(), world.create("c1")).await.unwrap_err();
    assert_eq!(error.kind, Kind::AccessDenied);
    assert!(world.engine.state().instances.is_empty());
    assert!(world.sim.faults.take_calls().is_empty(), "{before:?}");
    assert!(world.sim.authority.take_asked().iter().any(|(_, action, _)| *action == Action::InstanceOperate));
}

#[tokio::test]
async fn a_command_really_runs_and_its_exit_is_told() {
    let world = world().await;
    let id = world.launch("c1").await;
    let (mut reader, writer) = std::io::pipe().unwrap();
    let argv = ["sh", "-c", "echo out $A; exit 7"].map(String::from).to_vec();
    let exec = Exec { argv, environment: [("A".to_owned(), "b".to_owned())].into(), ..Exec::default() };
    let streams = Streams { stdin: nothing(), stdout: writer.into(), stderr: nothing() };
    let session = world.engine.exec(&root(), id, exec, streams, false).await.unwrap();
    let ended = world.engine.exec_wait(session, Some(Duration::from_secs(10))).await.unwrap();
    assert_eq!(ended, Some(ExecResult::Exited(7)));
    let mut out = String::new();
    reader.read_to_string(&mut out).unwrap();
    assert_eq!(out, "out b\n");
}

#[tokio::test]
async fn a_command_on_a_terminal_has_it_as_its_own_and_dies_with_its_container() {
    let world = world().await;
    let id = world.launch("c1").await;
    let argv = ["sh", "-c", "stty size </dev/tty; read x; echo got $x; sleep 1000"].map(String::from).to_vec();
    let exec = Exec { argv, pty: Some((24, 81)), ..Exec::default() };
    let (session, master, path) = world.engine.exec_pty(&root(), id, exec, false).await.unwrap();
    assert!(path.starts_with("/dev/pts/"), "{path}");
    let mut master = File::from(master);
    master.write_all(b"hello\n").unwrap();
    let mut reader = master.try_clone().unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let mut seen = Vec::new();
        let mut chunk = [0; 256];
        while !String::from_utf8_lossy(&seen).contains("got hello") {
            let n = reader.read(&mut chunk).unwrap();
            seen.extend_from_slice(&chunk[..n]);
        }
        String::from_utf8(seen).unwrap()
    });
    let seen = tokio::time::timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
    assert!(seen.contains("24 81"), "{seen:?}");
    world.engine.perform(&root(), instance::Stop::new(id, true, Some(10))).await.unwrap();
    let ended = world.engine.exec_wait(session, Some(Duration::from_secs(10))).await.unwrap();
    assert_eq!(ended, Some(ExecResult::Lost));
    // The terminal hangs up when the last process that has it open is gone.
    let hung_up = tokio::task::spawn_blocking(move || while matches!(master.read(&mut [0; 256]), Ok(1..)) {});
    tokio::time::timeout(Duration::from_secs(10), hung_up).await.expect("its processes live on").unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let world = world().await;
    let id = world.launch("c1").await;
    let exec = Exec { argv: vec!["no-such-program".into()], ..Exec::default() };
    let streams = Streams { stdin: nothing(), stdout: nothing(), stderr: nothing() };
    let error = world.engine.exec(&root(), id, exec, streams, false).await.unwrap_err();
    assert_eq!(error.kind, Kind::NoSuchCommand);
    assert!(error.message.contains("no-such-program"), "{error}");
}

#[tokio::test]
async fn an_image_that_does_not_exist_fails_the_job_and_names_the_nearest() {
    let world = world().await;
    let source = instance::Source::Image("sim:emtpy".into());
    let spec = instance::Spec::default();
    let create = instance::Create::new(Default::default(), None, source, spec, world.engine.host().random()).unwrap();
    let error = world.engine.perform(&root(), create).await.unwrap_err();
    assert_eq!(error.kind, Kind::NoSuchImage, "{error}");
    assert!(error.message.contains("sim:empty"), "{error}");
    assert!(world.engine.state().instances.is_empty());
}
