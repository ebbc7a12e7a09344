//! Snapshots of instances: taken, listed, renamed, restored, deleted; refused, with nothing changed.

use crate::client::{Client, image, none, options, refused};
use crate::world::World;
use lxhost_dbus::Config;
use lxhost_dbus::proxy::{InstanceProxy, SnapshotsProxy};
use lxhost_model::Kind;
use zbus::wire::OwnedObjectPath;

async fn launched(client: &Client, start: bool) -> OwnedObjectPath {
    let spec = options([("start", start.into())]);
    let (path, job) = client.manager().await.create_instance("default", "c1", &image(), &spec, &none()).await.unwrap();
    client.done(&job).await;
    path
}

async fn both(client: &Client, path: &OwnedObjectPath) -> (InstanceProxy<'static>, SnapshotsProxy<'static>) {
    (client.object(path).await, client.object(path).await)
}

async fn names(snapshots: &SnapshotsProxy<'_>) -> Vec<String> {
    snapshots.list("", 0).await.unwrap().0.into_iter().map(|row| row.name).collect()
}

async fn set(instance: &InstanceProxy<'_>, key: &str, value: &str) {
    let keys = Config::from([(key.to_owned(), value.to_owned())]);
    instance.update_config(&keys, &[], &none()).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_lives_from_its_making_to_its_deletion() {
    let world = World::start().await;
    let client = world.client().await;
    let path = launched(&client, true).await;
    let (instance, snapshots) = both(&client, &path).await;
    set(&instance, "user.a", "before").await;
    let about = options([("description", "before the upgrade".into())]);
    let mut signals = client.signals().await;
    client.done(&snapshots.create("", &about).await.unwrap()).await;
    signals.told(&path, "org.lxhost1.Instance", "SnapshotCount").await;
    client.done(&snapshots.create("", &none()).await.unwrap()).await;
    let (rows, next) = snapshots.list("", 1).await.unwrap();
    assert_eq!((rows[0].name.as_str(), rows[0].description.as_str(), next.is_empty()), ("snap0", "before the upgrade", false));
    assert_eq!(snapshots.list(&next, 1).await.unwrap().0[0].name, "snap1");
    set(&instance, "user.a", "after").await;
    set(&instance, "snapshots.pattern", "auto-%d").await;
    client.done(&snapshots.create("", &none()).await.unwrap()).await;
    snapshots.rename("snap0", "first", &none()).await.unwrap();
    assert_eq!(names(&snapshots).await, ["first", "snap1", "auto-0"]);
    let kept = snapshots.get("first", &none()).await.unwrap();
    assert!(format!("{:?}", kept["config"]).contains("before"), "{kept:?}");

    client.done(&snapshots.restore("first", &none()).await.unwrap()).await;
    assert_eq!(instance.get_config(&none()).await.unwrap().0["user.a"], "before");
    let running = client.properties(path.as_str(), "org.lxhost1.Instance").await.unwrap();
    assert!(format!("{:?}", running["State"]).contains("running"), "it ran, and runs again");

    client.done(&snapshots.create("first", &options([("reuse", true.into())])).await.unwrap()).await;
    assert_eq!(names(&snapshots).await, ["snap1", "auto-0", "first"]);
    client.done(&snapshots.delete("snap1", &none()).await.unwrap()).await;
    refused(snapshots.delete("snap1", &none()).await, Kind::NoSuchSnapshot);
    client.done(&instance.delete(&options([("force", true.into())])).await.unwrap()).await;
    assert!(snapshots.list("", 0).await.is_err(), "they go with the instance");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let world = World::start().await;
    let client = world.client().await;
    let path = launched(&client, false).await;
    let (instance, snapshots) = both(&client, &path).await;
    client.done(&snapshots.create("s1", &none()).await.unwrap()).await;
    let long = "a".repeat(300);
    for name in ["../x", "a/b", ".", "..", "-x", "x\ny", "x y", "é", "%d", long.as_str()] {
        refused(snapshots.create(name, &none()).await, Kind::InvalidName);
        refused(snapshots.rename("s1", name, &none()).await, Kind::InvalidName);
        refused(snapshots.restore(name, &none()).await, Kind::InvalidName);
        refused(snapshots.delete(name, &none()).await, Kind::InvalidName);
    }
    refused(snapshots.create("s1", &none()).await, Kind::AlreadyExists);
    refused(snapshots.create("s2", &options([("statefull", true.into())])).await, Kind::UnknownOption);
    refused(snapshots.create("s2", &options([("stateful", true.into())])).await, Kind::Unsupported);
    refused(snapshots.create("s2", &options([("description", "\u{1b}[0m".into())])).await, Kind::InvalidConfig);
    refused(snapshots.rename("s2", "s3", &none()).await, Kind::NoSuchSnapshot);
    refused(snapshots.restore("s2", &none()).await, Kind::NoSuchSnapshot);
    let pattern = Config::from([("snapshots.pattern".to_owned(), "../%d".to_owned())]);
    refused(instance.update_config(&pattern, &[], &none()).await, Kind::InvalidConfig);
    assert_eq!(names(&snapshots).await, ["s1"]);
}

#[tokio::test]
async fn a_snapshot_has_an_end_and_goes_when_it_is_over() {
    let world = World::start().await;
    let client = world.client().await;
    let path = launched(&client, false).await;
    let (instance, snapshots) = both(&client, &path).await;
    set(&instance, "snapshots.expiry", "1w").await;
    let kept = |text: &'static str| options([("expiry", text.into())]);
    client.done(&snapshots.create("week", &none()).await.unwrap()).await;
    client.done(&snapshots.create("ever", &kept("")).await.unwrap()).await;
    client.done(&snapshots.create("second", &kept("1S")).await.unwrap()).await;
    let rows = snapshots.list("", 0).await.unwrap().0;
    let lives: Vec<u64> = rows.iter().map(|row| row.expires.saturating_sub(row.created)).collect();
    assert_eq!(lives, [7 * 86_400_000_000, 0, 1_000_000]);
    let shown = snapshots.get("second", &none()).await.unwrap();
    assert!(format!("{:?}", shown["expires"]).contains(&rows[2].expires.to_string()), "{shown:?}");
    let (manager, wait) = (client.manager().await, options([("wait", true.into())]));
    let gone = tokio::time::timeout(crate::client::PATIENCE, async {
        while names(&snapshots).await.len() == 3 {
            manager.tend(&wait).await.unwrap();
        }
    });
    gone.await.unwrap();
    assert_eq!(names(&snapshots).await, ["week", "ever"]);
    for text in ["soon", "0d", "1d 1d", "-1d"] {
        refused(snapshots.create("s2", &kept(text)).await, Kind::InvalidConfig);
    }
    for (key, value) in [("snapshots.schedule", "0 0 31 2 *"), ("snapshots.schedule", "@someday"), ("snapshots.expiry", "soon")] {
        let keys = Config::from([(key.to_owned(), value.to_owned())]);
        refused(instance.update_config(&keys, &[], &none()).await, Kind::InvalidConfig);
    }
    refused(manager.tend(&options([("wat", true.into())])).await, Kind::UnknownOption);
    assert_eq!(names(&snapshots).await, ["week", "ever"]);
}
