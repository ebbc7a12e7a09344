//! Copies of instances: with snapshots and without, of a snapshot, changed on the way; refused, with nothing changed.

use crate::client::{Client, image, none, options, refused};
use crate::world::World;
use lxhost_dbus::Config;
use lxhost_dbus::proxy::{InstanceProxy, JobProxy, SnapshotsProxy};
use lxhost_model::Kind;
use zbus::wire::OwnedObjectPath;

async fn original(client: &Client) -> (OwnedObjectPath, InstanceProxy<'static>, SnapshotsProxy<'static>) {
    let config = Config::from([("user.a".to_owned(), "now".to_owned()), ("user.b".to_owned(), "kept".to_owned())]);
    let spec = options([("start", true.into()), ("description", "The first".into()), ("config", config.into())]);
    let (path, job) = client.manager().await.create_instance("default", "c1", &image(), &spec, &none()).await.unwrap();
    client.done(&job).await;
    (path.clone(), client.object(&path).await, client.object(&path).await)
}

async fn text(client: &Client, path: &OwnedObjectPath, property: &str) -> String {
    let properties = client.properties(path.as_str(), "org.lxhost1.Instance").await.unwrap();
    format!("{:?}", properties[property])
}

async fn snapshots(client: &Client, path: &OwnedObjectPath) -> Vec<String> {
    let of: SnapshotsProxy<'static> = client.object(path).await;
    of.list("", 0).await.unwrap().0.into_iter().map(|row| row.name).collect()
}

#[tokio::test]
async fn a_copy_has_what_its_original_has_and_ids_of_its_own() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, instance, taken) = original(&client).await;
    client.done(&taken.create("s1", &options([("description", "why".into())])).await.unwrap()).await;
    let change = Config::from([("user.b".to_owned(), "changed".to_owned())]);
    let (copy, job) = instance.copy("c2", &options([("config", change.into())])).await.unwrap();
    client.done(&job).await;
    let (config, devices, profiles, _) = client.instance(&copy).await.get_config(&none()).await.unwrap();
    assert_eq!((config["user.a"].as_str(), config["user.b"].as_str()), ("now", "changed"));
    let (_, theirs, their_profiles, _) = instance.get_config(&none()).await.unwrap();
    assert_eq!((devices, profiles), (theirs, their_profiles));
    assert!(text(&client, &copy, "Description").await.contains("The first"));
    assert!(text(&client, &copy, "State").await.contains("stopped"));
    assert!(text(&client, &path, "State").await.contains("running"), "it goes on");
    assert_ne!(text(&client, &copy, "Ids").await, text(&client, &path, "Ids").await);
    assert_eq!(snapshots(&client, &copy).await, ["s1"]);
    // Each has its own.
    client.done(&taken.delete("s1", &none()).await.unwrap()).await;
    let of_copy: SnapshotsProxy<'static> = client.object(&copy).await;
    client.done(&of_copy.restore("s1", &none()).await.unwrap()).await;
    assert_eq!(client.instance(&copy).await.get_config(&none()).await.unwrap().0["user.b"], "kept");
    client.done(&client.instance(&copy).await.start(&none()).await.unwrap()).await;
}

#[tokio::test]
async fn a_snapshot_becomes_an_instance_as_it_was_and_others_are_left_behind() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, instance, taken) = original(&client).await;
    client.done(&taken.create("s1", &none()).await.unwrap()).await;
    let later = Config::from([("user.a".to_owned(), "later".to_owned())]);
    instance.update_config(&later, &[], &none()).await.unwrap();
    let (copy, job) = instance.copy("c2", &options([("snapshot", "s1".into()), ("start", true.into())])).await.unwrap();
    client.done(&job).await;
    assert_eq!(client.instance(&copy).await.get_config(&none()).await.unwrap().0["user.a"], "now");
    assert!(text(&client, &copy, "State").await.contains("running"));
    assert!(snapshots(&client, &copy).await.is_empty());
    let (alone, job) = instance.copy("", &options([("instance-only", true.into())])).await.unwrap();
    client.done(&job).await;
    assert!(snapshots(&client, &alone).await.is_empty());
    assert!(!text(&client, &alone, "Name").await.is_empty(), "a name was found");
    // As the source of a new instance, too.
    let from = options([("type", "copy".into()), ("instance", path.clone().into()), ("snapshot", "s1".into())]);
    let (_, job) = client.manager().await.create_instance("default", "c3", &from, &none(), &none()).await.unwrap();
    client.done(&job).await;
}

#[tokio::test]
async fn what_cannot_be_copied_is_refused_and_changes_nothing() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, instance, taken) = original(&client).await;
    client.done(&taken.create("s1", &none()).await.unwrap()).await;
    for name in ["c1", "../x", "a/b", "-x", "x y", "é"] {
        let kind = if name == "c1" { Kind::AlreadyExists } else { Kind::InvalidName };
        refused(instance.copy(name, &none()).await, kind);
    }
    refused(instance.copy("c2", &options([("snapshot", "s2".into())])).await, Kind::NoSuchSnapshot);
    refused(instance.copy("c2", &options([("snapshot", "../s1".into())])).await, Kind::InvalidName);
    refused(instance.copy("c2", &options([("refresh", true.into())])).await, Kind::UnknownOption);
    refused(instance.copy("c2", &options([("pool", "nowhere".into())])).await, Kind::NoSuchPool);
    refused(instance.copy("c2", &options([("profiles", vec!["nobodys"].into())])).await, Kind::NoSuchProfile);
    let key = Config::from([("limits.memmory".to_owned(), "1GiB".to_owned())]);
    refused(instance.copy("c2", &options([("config", key.into())])).await, Kind::InvalidConfig);
    refused(instance.move_to("nowhere", &none()).await, Kind::InvalidState);
    let manager = client.manager().await;
    let gone = OwnedObjectPath::try_from(format!("/org/lxhost1/instance/{}", "0".repeat(32))).unwrap();
    let from = options([("type", "copy".into()), ("instance", gone.into())]);
    refused(manager.create_instance("default", "c2", &from, &none(), &none()).await, Kind::NoSuchInstance);
    assert_eq!(manager.list_instances(&none(), "", 0).await.unwrap().0.len(), 1);
    assert_eq!(snapshots(&client, &path).await, ["s1"]);
}

#[tokio::test]
async fn a_copy_is_brought_up_to_date() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, instance, taken) = original(&client).await;
    client.done(&taken.create("s1", &none()).await.unwrap()).await;
    let (copy, job) = instance.copy("c2", &none()).await.unwrap();
    client.done(&job).await;
    let of_copy = client.instance(&copy).await;
    let mine = Config::from([("user.a".to_owned(), "mine".to_owned())]);
    of_copy.update_config(&mine, &[], &none()).await.unwrap();
    client.done(&taken.create("s2", &none()).await.unwrap()).await;
    client.done(&taken.delete("s1", &none()).await.unwrap()).await;
    client.done(&of_copy.refresh(&path, &none()).await.unwrap()).await;
    assert_eq!(snapshots(&client, &copy).await, ["s2"]);
    assert_eq!(of_copy.get_config(&none()).await.unwrap().0["user.a"], "mine", "what it is stays");
    client.done(&of_copy.refresh(&path, &options([("snapshot", "s2".into())])).await.unwrap()).await;
    assert_eq!(snapshots(&client, &copy).await, ["s2"]);

    refused(instance.refresh(&path, &none()).await, Kind::InvalidArgs);
    refused(of_copy.refresh(&path, &options([("snapshot", "s9".into())])).await, Kind::NoSuchSnapshot);
    let gone = OwnedObjectPath::try_from(format!("/org/lxhost1/instance/{}", "0".repeat(32))).unwrap();
    refused(of_copy.refresh(&gone, &none()).await, Kind::NoSuchInstance);
    client.done(&of_copy.start(&none()).await.unwrap()).await;
    refused(of_copy.refresh(&path, &none()).await, Kind::InvalidState);
}

#[tokio::test]
async fn an_instance_is_copied_to_another_pool_and_moves_there() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, instance, taken) = original(&client).await;
    client.done(&taken.create("s1", &none()).await.unwrap()).await;
    let (_, job) = client.manager().await.create_pool("other", "dir", &Config::new(), &none()).await.unwrap();
    client.done(&job).await;
    let (copy, job) = instance.copy("c2", &options([("pool", "other".into())])).await.unwrap();
    client.done(&job).await;
    assert!(text(&client, &copy, "Pool").await.contains("other"));
    assert!(text(&client, &path, "Pool").await.contains("default"));
    assert_eq!(snapshots(&client, &copy).await, ["s1"]);
    let why = refused(instance.move_to("other", &none()).await, Kind::InvalidState);
    assert!(why.contains("stop it first"), "{why}");
    client.done(&instance.stop(&options([("mode", "force".into())])).await.unwrap()).await;
    refused(instance.move_to("nowhere", &none()).await, Kind::NoSuchPool);
    refused(instance.move_to("../x", &none()).await, Kind::InvalidName);
    refused(instance.move_to("default", &none()).await, Kind::InvalidArgs);
    let mut signals = client.signals().await;
    client.done(&instance.move_to("other", &none()).await.unwrap()).await;
    assert!(text(&client, &path, "Pool").await.contains("other"));
    signals.told(&path, "org.lxhost1.Instance", "Pool").await;
    assert_eq!(snapshots(&client, &path).await, ["s1"]);
    client.done(&taken.restore("s1", &none()).await.unwrap()).await;
    client.done(&instance.start(&none()).await.unwrap()).await;
}

#[tokio::test]
async fn a_copy_that_is_cancelled_leaves_nothing() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, instance, taken) = original(&client).await;
    for _ in 0..50 {
        client.done(&taken.create("", &none()).await.unwrap()).await;
    }
    let (_, job) = instance.copy("c2", &none()).await.unwrap();
    let proxy: JobProxy<'static> = client.object(&job).await;
    // It may have ended by now; half a copy is not there in either case.
    let canceled = proxy.cancel(&none()).await.is_ok();
    let end = client.end(&job).await;
    let there = client.manager().await.list_instances(&none(), "", 0).await.unwrap().0.len();
    match end.result.as_str() {
        "done" => assert_eq!(there, 2),
        "canceled" => assert_eq!((there, canceled), (1, true)),
        other => panic!("{other}: {}", end.message),
    }
    assert!(text(&client, &path, "State").await.contains("running"));
    client.done(&instance.delete(&options([("force", true.into())])).await.unwrap()).await;
}
