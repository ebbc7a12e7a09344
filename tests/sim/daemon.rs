//! The daemon as a program: its name, its log level, its end.

use crate::client::{PATIENCE, error, none};
use crate::world::{Idle, World};
use lxhost_dbus::BUS_NAME;
use lxhost_model::Kind;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;
use zbus::wire::Variant;

#[tokio::test]
async fn a_second_daemon_is_refused_and_changes_nothing() {
    let mut world = World::start().await;
    let client = world.client().await;
    client.launch("c1").await;
    let (code, words) = world.second_daemon();
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("another lxhostd owns org.lxhost1 already"), "{words}");
    assert_eq!(std::fs::read_dir(world.second_state()).map(Iterator::count).unwrap_or(0), 0, "it left nothing");
    assert!(world.daemon_lives());
    assert_eq!(client.states().await, [("c1".to_owned(), "running".to_owned())]);
}

#[tokio::test]
async fn the_log_level_can_be_changed_while_it_runs() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, interface) = ("/org/freedesktop/LogControl1", "org.freedesktop.LogControl1");
    let set = async |level: &str| {
        let body = (interface, "LogLevel", Variant::from(level.to_owned()));
        let properties = Some("org.freedesktop.DBus.Properties");
        client.connection.call_method(Some("org.lxhost1"), path, properties, "Set", &body).await
    };
    let level = async || client.text(path, interface, "LogLevel").await;
    assert_eq!(level().await, "warning", "in syslog's words from the start");
    for word in ["debug", "info", "err", "warning"] {
        set(word).await.unwrap();
        assert_eq!(level().await, word);
    }
    assert_eq!(error(set("loud").await.unwrap_err()).kind, Kind::InvalidArgs);
    assert_eq!(level().await, "warning");
    assert_eq!(client.text(path, interface, "SyslogIdentifier").await, "lxhostd");
}

#[tokio::test]
async fn it_ends_in_order_when_it_is_told_to() {
    let mut world = World::start().await;
    let client = world.client().await;
    client.launch("c1").await;
    assert_eq!(world.terminate(), Some(0));
    assert!(client.manager().await.list_instances(&none(), "", 0).await.is_err());
}

/// Calls that wait for the name come with it, before the daemon has had time for anything else.
#[tokio::test]
async fn every_call_that_starts_it_is_answered() {
    let idle = Idle::start();
    let bus = zbus::fdo::DBusProxy::new(&idle.client().await.connection).await.unwrap();
    let nothing = none();
    for start in 0..40 {
        let client = idle.client().await;
        let manager = client.manager().await;
        let objects = zbus::fdo::ObjectManagerProxy::new(&client.connection, BUS_NAME, "/org/lxhost1/job").await.unwrap();
        let (jobs, objects) =
            tokio::join!(timeout(PATIENCE, manager.list_jobs(&nothing, "", 0)), timeout(PATIENCE, objects.get_managed_objects()));
        assert!(jobs.expect("an answer").unwrap().0.is_empty(), "start {start}");
        assert!(objects.expect("an answer").unwrap().is_empty(), "start {start}");
        let pid = bus.get_connection_unix_process_id(BUS_NAME.try_into().unwrap()).await.unwrap();
        kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
        while bus.name_has_owner(BUS_NAME.try_into().unwrap()).await.unwrap() {}
    }
}
