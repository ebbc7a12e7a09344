//! Thousands of instances: pages, bulk state, introspection that stays small, one object manager per
//! collection.

use crate::client::{Client, empty, none, refused};
use crate::world::World;
use futures_util::StreamExt;
use lxhost_dbus::wire::Values;
use lxhost_model::Kind;
use std::collections::HashMap;
use std::time::Instant;
use zbus::wire::{ObjectPath, OwnedObjectPath};

/// Records there are: `LXHOST_RECORDS`, at least this many. `make check-full` asks for 10,000, which a build without
/// optimisation takes minutes to make.
const MANY: usize = 2500;
type Managed = HashMap<OwnedObjectPath, HashMap<String, Values>>;

fn many() -> usize {
    std::env::var("LXHOST_RECORDS").ok().and_then(|number| number.parse().ok()).unwrap_or(MANY).clamp(MANY, 99_999)
}

/// What was done, how long it took, and how much came of it.
fn figure(what: &str, began: Instant, much: usize) {
    println!("{} records: {what}: {:?}, {much}", many(), began.elapsed());
}

async fn managed(client: &Client, collection: &str) -> Managed {
    let path = format!("/org/lxhost1/{collection}");
    let interface = Some("org.freedesktop.DBus.ObjectManager");
    let reply = client.connection.call_method(Some("org.lxhost1"), path.as_str(), interface, "GetManagedObjects", &()).await;
    let reply = reply.unwrap();
    println!("{collection}: the answer has {} bytes", reply.data().len());
    reply.body().deserialize().unwrap()
}

async fn populate(client: &Client) {
    let manager = client.manager().await;
    let (source, nothing) = (empty(), none());
    let one = async |i: usize| {
        let (_, job) = manager.create_instance("default", &format!("c{i:05}"), &source, &nothing, &nothing).await.unwrap();
        client.done(&job).await;
    };
    futures_util::stream::iter(0..many()).for_each_concurrent(16, one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_instances_are_served_in_small_pieces() {
    let mut world = World::start().await;
    let client = world.client().await;
    populate(&client).await;
    pages(&client).await;
    states(&client).await;
    introspection(&client).await;
    let began = Instant::now();
    let objects = managed(&client, "instance").await;
    figure("GetManagedObjects", began, objects.len());
    assert_eq!(objects.len(), many());
    let first = objects.values().next().unwrap();
    assert!(first.contains_key("org.lxhost1.Instance") && first.contains_key("org.lxhost1.Guest"), "{first:?}");
    let shown: Vec<&String> = first["org.lxhost1.Instance"].keys().collect();
    assert!(!shown.iter().any(|key| ["Config", "Devices", "Environment"].contains(&key.as_str())), "{shown:?}");
    assert!(world.daemon_lives());
    assert_eq!(client.states().await.len(), many());
}

async fn pages(client: &Client) {
    let manager = client.manager().await;
    let (mut seen, mut cursor, mut calls) = (vec![], String::new(), 0);
    loop {
        let (page, next) = manager.list_instances(&none(), &cursor, 700).await.unwrap();
        assert!(page.len() <= 700);
        seen.extend(page.into_iter().map(|row| row.name));
        calls += 1;
        if next.is_empty() {
            break;
        }
        cursor = next;
    }
    assert_eq!(calls, many().div_ceil(700));
    let expected: Vec<String> = (0..many()).map(|i| format!("c{i:05}")).collect();
    assert!(seen == expected, "every instance once, in order");
    let (page, next) = manager.list_instances(&none(), "", u32::MAX).await.unwrap();
    assert!(page.len() == 1000 && !next.is_empty(), "a page has its limit whatever is asked");
    let (page, next) = manager.list_instances(&none(), "default/c99999", 10).await.unwrap();
    assert!(page.is_empty() && next.is_empty());
    let glob = crate::client::options([("name", "c024?0".into())]);
    assert_eq!(manager.list_instances(&glob, "", 0).await.unwrap().0.len(), 10);
}

async fn states(client: &Client) {
    let manager = client.manager().await;
    let rows = client.list().await;
    let mut paths: Vec<ObjectPath<'_>> = rows.iter().map(|row| row.path.as_ref()).collect();
    let began = Instant::now();
    let states = manager.get_states(&paths, &[]).await.unwrap();
    figure("GetStates", began, states.len());
    assert_eq!(states.len(), many());
    assert_eq!(String::try_from(states[0].1["state"].try_clone().unwrap()).unwrap(), "stopped");
    if paths.len() == 10_000 {
        paths.pop();
    }
    let there = paths.len();
    paths.push(ObjectPath::from_static_str_unchecked("/org/lxhost1/instance/00000000000040008000000000000000"));
    assert_eq!(manager.get_states(&paths, &["memory"]).await.unwrap().len(), there, "one that is gone is left out");
    refused(manager.get_states(&vec![paths[0].clone(); 10_001], &[]).await, Kind::LimitsExceeded);
}

async fn introspection(client: &Client) {
    let all = 100 * many();
    for (path, limit) in [("/", 1_000), ("/org", 1_000), ("/org/lxhost1", 40_000), ("/org/lxhost1/instance", all)] {
        let began = Instant::now();
        let xml = client.introspect(path).await.unwrap();
        figure(&format!("Introspect {path}"), began, xml.len());
        assert!(xml.len() < limit, "{path}: {} bytes", xml.len());
    }
    let children = client.introspect("/org/lxhost1/instance").await.unwrap().matches("<node name=").count();
    assert_eq!(children, many());
    // Everybody at once: the daemon stays on the bus.
    let all = futures_util::future::join_all((0..32).map(|_| client.introspect("/"))).await;
    assert!(all.iter().all(Result::is_ok));
}

#[tokio::test]
async fn every_collection_has_its_own_object_manager() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let mut signals = client.signals().await;
    for (collection, interface) in
        [("instance", "Instance"), ("network", "Network"), ("profile", "Profile"), ("pool", "Pool"), ("job", "Job")]
    {
        let objects = managed(&client, collection).await;
        assert!(!objects.is_empty(), "{collection}");
        for (path, interfaces) in objects {
            assert!(path.as_str().starts_with(&format!("/org/lxhost1/{collection}/")), "{path}");
            assert!(interfaces.contains_key(&format!("org.lxhost1.{interface}")), "{path}: {:?}", interfaces.keys());
        }
    }
    let at = |collection: &'static str| {
        move |m: &zbus::Message| m.header().path().is_some_and(|path| path.as_str() == format!("/org/lxhost1/{collection}"))
    };
    let second = client.create("c2", &none()).await;
    let added = signals.next("InterfacesAdded", at("instance")).await;
    let (added, _) = added.body().deserialize::<(OwnedObjectPath, HashMap<String, Values>)>().unwrap();
    assert_eq!(added, second);
    client.done(&client.instance(&second).await.delete(&none()).await.unwrap()).await;
    let removed = signals.next("InterfacesRemoved", at("instance")).await;
    let (removed, _) = removed.body().deserialize::<(OwnedObjectPath, Vec<String>)>().unwrap();
    assert_eq!(removed, second);
    let left: Vec<OwnedObjectPath> = managed(&client, "instance").await.into_keys().collect();
    assert_eq!(left, [path]);
}
