//! One verb on many instances.

use crate::client::{none, options, refused};
use crate::world::World;
use lxhost_model::Kind;
use std::collections::HashMap;
use zbus::wire::{ObjectPath, OwnedObjectPath, Variant};

fn priority(key: &'static str, value: &'static str) -> lxhost_dbus::wire::Options<'static> {
    options([("config", Variant::from(HashMap::from([(key, value)])))])
}

#[tokio::test]
async fn higher_priorities_go_first() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let mut names = HashMap::new();
    for (name, value) in [("low", "1"), ("high", "100"), ("middle", "50"), ("high2", "100")] {
        names.insert(client.create(name, &priority("boot.autostart.priority", value)).await, name);
    }
    names.insert(client.create("none", &none()).await, "none");
    let mut signals = client.signals().await;
    let job = manager.bulk_operation("start", &[], &none()).await.unwrap();
    client.done(&job).await;
    let mut order = vec![];
    type Body = (OwnedObjectPath, String, String, String, String, String);
    while order.len() < 5 {
        let message = signals.next("InstanceStateChanged", |_| true).await;
        let (path, _, _, _, new, _) = message.body().deserialize::<Body>().unwrap();
        if new == "running" {
            order.push(names[&path]);
        }
    }
    let wave = |names: &[&'static str]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    };
    assert_eq!(wave(&order[..2]), ["high", "high2"], "{order:?}");
    assert_eq!(order[2..], ["middle", "low", "none"]);
}

#[tokio::test]
async fn at_boot_the_next_ones_wait_for_one_with_a_delay() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let config = |pairs: &[(&'static str, &'static str)]| {
        let mut keys = HashMap::from([("boot.autostart", "true")]);
        keys.extend(pairs.iter().copied());
        options([("config", Variant::from(keys))])
    };
    client.create("first", &config(&[("boot.autostart.priority", "9"), ("boot.autostart.delay", "1")])).await;
    client.create("second", &config(&[])).await;
    client.create("third", &options([("config", Variant::from(HashMap::from([("boot.autostart", "false")])))])).await;
    let begin = std::time::Instant::now();
    let job = manager.bulk_operation("start", &[], &options([("autostart", true.into())])).await.unwrap();
    client.done(&job).await;
    assert!(begin.elapsed() >= std::time::Duration::from_secs(1), "{:?}", begin.elapsed());
    let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    assert_eq!(client.states().await, [state("first", "running"), state("second", "running"), state("third", "stopped")]);
}

#[tokio::test]
async fn all_means_those_that_the_verb_suits() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    client.launch("runs").await;
    client.create("stopped", &none()).await;
    client.done(&manager.bulk_operation("freeze", &[], &none()).await.unwrap()).await;
    let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    assert_eq!(client.states().await, [state("runs", "frozen"), state("stopped", "stopped")]);
    client.done(&manager.bulk_operation("thaw", &[], &none()).await.unwrap()).await;
    client.done(&manager.bulk_operation("stop", &[], &none()).await.unwrap()).await;
    assert_eq!(client.states().await, [state("runs", "stopped"), state("stopped", "stopped")]);
    client.done(&manager.bulk_operation("delete", &[], &none()).await.unwrap()).await;
    assert!(client.list().await.is_empty());
    client.done(&manager.bulk_operation("start", &[], &none()).await.unwrap()).await;
}

#[tokio::test]
async fn one_failure_does_not_keep_the_others_from_being_done() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let (a, b) = (client.create("a", &none()).await, client.launch("b").await);
    let both: Vec<ObjectPath<'_>> = vec![a.as_ref(), b.as_ref()];
    let job = manager.bulk_operation("start", &both, &none()).await.unwrap();
    let error = client.fails(&job).await;
    assert!(error.message.contains("b: ") && !error.message.contains("a: "), "{error}");
    assert!(client.states().await.iter().all(|(_, state)| state == "running"));
    // Named twice is meant once.
    let twice: Vec<ObjectPath<'_>> = vec![a.as_ref(), a.as_ref(), b.as_ref()];
    client.done(&manager.bulk_operation("stop", &twice, &none()).await.unwrap()).await;
}

#[tokio::test]
async fn the_shutdown_of_the_host_remembers_who_ran() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    client.launch("ran").await;
    client.create("did-not", &none()).await;
    client.create("always", &priority("boot.autostart", "true")).await;
    let never = options([("config", Variant::from(HashMap::from([("boot.autostart", "false")]))), ("start", true.into())]);
    client.create("never", &never).await;
    let auto = options([("autostart", true.into())]);
    client.done(&manager.bulk_operation("stop", &[], &auto).await.unwrap()).await;
    assert!(client.states().await.iter().all(|(_, state)| state == "stopped"));
    client.done(&manager.bulk_operation("start", &[], &auto).await.unwrap()).await;
    let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    let expected = [state("always", "running"), state("did-not", "stopped"), state("never", "stopped"), state("ran", "running")];
    assert_eq!(client.states().await, expected);
}

#[tokio::test]
async fn what_is_no_instance_is_refused_before_anything_happens() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let path = client.launch("c1").await;
    let stranger = ObjectPath::from_static_str_unchecked("/org/lxhost1/instance/00000000000040008000000000000000");
    refused(manager.bulk_operation("stop", &[path.as_ref(), stranger.clone()], &none()).await, Kind::NoSuchInstance);
    refused(manager.bulk_operation("stop", &[ObjectPath::from_static_str_unchecked("/")], &none()).await, Kind::NoSuchInstance);
    refused(manager.bulk_operation("explode", &[], &none()).await, Kind::InvalidArgs);
    refused(manager.bulk_operation("stop", &vec![stranger; 10_001], &none()).await, Kind::LimitsExceeded);
    assert_eq!(client.states().await[0].1, "running");
}
