//! Jobs: waiting, cancelling, keeping, and who may have how much under way.

use crate::client::{empty, error, none, options, refused};
use crate::world::World;
use futures_util::future::join_all;
use lxhost_dbus::proxy::JobProxy;
use lxhost_model::{Action, Kind};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_wait_that_runs_out_of_time_says_so_and_changes_nothing() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    // A frozen guest does not shut down by itself; the import below waits for bytes that do not come.
    let (reader, writer) = std::io::pipe().unwrap();
    let manager = client.manager().await;
    let job = manager.import_image("default", std::os::fd::AsFd::as_fd(&reader).into(), "auto", &none()).await.unwrap();
    drop(reader);
    let proxy: JobProxy<'static> = client.object(&job).await;
    let asked = Instant::now();
    let end = proxy.wait(50_000).await.unwrap();
    assert_eq!(end.result, "running");
    assert!(asked.elapsed() >= Duration::from_millis(50));
    assert_eq!(proxy.state().await.unwrap(), "running");
    let waiting = {
        let proxy = proxy.clone();
        tokio::spawn(async move { proxy.wait(0).await })
    };
    std::io::Write::write_all(&mut &writer, b"bytes").unwrap();
    drop(writer);
    assert_eq!(waiting.await.unwrap().unwrap().result, "done", "a wait without a limit lasts to the end");
    drop(path);
}

#[tokio::test]
async fn a_cancelled_import_leaves_nothing() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let (reader, writer) = std::io::pipe().unwrap();
    let job = manager.import_image("default", std::os::fd::AsFd::as_fd(&reader).into(), "auto", &none()).await.unwrap();
    drop(reader);
    let proxy: JobProxy<'static> = client.object(&job).await;
    proxy.cancel(&none()).await.unwrap();
    let end = client.end(&job).await;
    assert_eq!(end.result, "canceled");
    drop(writer);
    assert!(manager.list_images(&none(), "", 0).await.unwrap().0.is_empty());
    refused(proxy.cancel(&none()).await, Kind::InvalidState);
    client.launch("c1").await;
}

#[tokio::test]
async fn an_ended_job_can_still_be_asked() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, job) = client.manager().await.create_instance("default", "c1", &empty(), &none(), &none()).await.unwrap();
    client.done(&job).await;
    let late = world.client().await;
    let end = late.end(&job).await;
    assert_eq!(end.result, "done");
    let all = late.properties(job.as_str(), "org.lxhost1.Job").await.unwrap();
    let text = |key: &str| String::try_from(all[key].try_clone().unwrap()).unwrap();
    assert_eq!((text("Verb"), text("State"), text("Result")), ("instance.create".into(), "done".into(), "done".into()));
    assert_eq!(u32::try_from(all["UID"].try_clone().unwrap()).unwrap(), rustix::process::getuid().as_raw());
    let (rows, _) = late.manager().await.list_jobs(&none(), "", 0).await.unwrap();
    assert!(rows.iter().any(|row| row.path == job), "{rows:?}");
    drop(path);
}

#[tokio::test]
async fn a_job_that_never_was_is_unknown() {
    let world = World::start().await;
    let client = world.client().await;
    let job = zbus::wire::OwnedObjectPath::try_from("/org/lxhost1/job/999999").unwrap();
    let proxy: JobProxy<'static> = client.object(&job).await;
    assert!(proxy.wait(0).await.is_err());
}

#[tokio::test]
async fn a_connection_may_not_have_everything_under_way() {
    let world = World::start().await;
    let (greedy, modest) = (world.client().await, world.client().await);
    let path = greedy.launch("c1").await;
    let guest = greedy.guest(&path).await;
    let (exec, _pipes) = guest.exec(&["sleep", "1000"], &Default::default(), &none()).await.unwrap();
    let exec = greedy.exec(&exec).await;
    // Calls that take a while; the bus itself allows 128 unanswered calls of one connection.
    let waits = join_all((0..100).map(|_| exec.wait(1_000_000))).await;
    let over: Vec<Kind> = waits.into_iter().filter_map(|wait| wait.err()).map(|e| error(e).kind).collect();
    assert!(!over.is_empty() && over.iter().all(|kind| *kind == Kind::LimitsExceeded), "{over:?}");
    assert!(over.len() < 60, "a good number is allowed: {}", over.len());
    // Somebody else was not affected, and neither is the greedy one later.
    assert_eq!(modest.states().await.len(), 1);
    assert_eq!(exec.wait(1).await.unwrap().0, "running");
    exec.close().await.unwrap();
}

#[tokio::test]
async fn permissions_name_every_action() {
    let world = World::start().await;
    let client = world.client().await;
    let permissions = client.manager().await.get_permissions().await.unwrap();
    let named: BTreeSet<&str> = permissions.keys().map(String::as_str).collect();
    assert_eq!(named, Action::ALL.iter().map(|action| action.id()).collect());
    assert!(permissions.values().all(|answer| matches!(answer.as_str(), "yes" | "no" | "auth")));
}

#[tokio::test]
async fn server_info_has_what_people_look_for() {
    let world = World::start().await;
    let client = world.client().await;
    let info = client.manager().await.get_server_info().await.unwrap();
    for key in ["version", "kernel", "architecture", "memory", "pool-drivers", "network-types", "remotes", "checks"] {
        assert!(info.contains_key(key), "{key} is missing");
    }
    let all = client.properties("/org/lxhost1", "org.lxhost1.Manager").await.unwrap();
    assert_eq!(String::try_from(all["Version"].try_clone().unwrap()).unwrap(), env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_timeout_of_a_stop_is_a_whole_number_of_microseconds_up_to_the_largest() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let instance = client.instance(&path).await;
    let job = instance.stop(&options([("timeout-usec", u64::MAX.into())])).await.unwrap();
    client.done(&job).await;
    assert_eq!(instance.state().await.unwrap(), "stopped");
}
