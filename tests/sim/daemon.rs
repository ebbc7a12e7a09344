//! The daemon as a program: its name, its log level, its end.

use crate::client::{error, none};
use crate::world::World;
use lxhost_model::Kind;
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
