//! Custom storage volumes over the bus: made, listed with who uses them, changed, renamed, deleted, and refused.

use crate::client::{Client, none, options, refused};
use crate::world::World;
use lxhost_dbus::Config;
use lxhost_dbus::proxy::{FilesProxy, PoolProxy, SnapshotsProxy, VolumeProxy};
use lxhost_model::Kind;
use zbus::wire::OwnedObjectPath;

fn keys(pairs: &[(&str, &str)]) -> Config {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) async fn pool(client: &Client) -> PoolProxy<'static> {
    let (path, job) = client.manager().await.create_pool("disks", "dir", &Config::new(), &none()).await.unwrap();
    client.done(&job).await;
    client.object(&path).await
}

pub(crate) async fn volume(client: &Client, pool: &PoolProxy<'_>, name: &str) -> (OwnedObjectPath, VolumeProxy<'static>) {
    let about = options([("description", "Data: one".into())]);
    let (path, job) = pool.create_volume("", name, &keys(&[("user.owner", "web")]), &about).await.unwrap();
    client.done(&job).await;
    (path.clone(), client.object(&path).await)
}

#[tokio::test]
async fn a_volume_is_listed_changed_renamed_and_deleted() {
    let world = World::start().await;
    let client = world.client().await;
    let (manager, pool) = (client.manager().await, pool(&client).await);
    let (path, data) = volume(&client, &pool, "data").await;
    assert_eq!(pool.get_volume("default", "data").await.unwrap(), path);
    assert_eq!(client.text(path.as_str(), "org.lxhost1.Volume", "ContentType").await, "filesystem");
    let mut signals = client.signals().await;

    let (mut config, generation) = data.get_config(&none()).await.unwrap();
    assert_eq!(config, keys(&[("user.owner", "web")]));
    config.insert("user.more".into(), "x".into());
    let about = options([("description", "Data: two".into())]);
    client.done(&data.replace_config(&config, generation, &about).await.unwrap()).await;
    signals.told(&path, "org.lxhost1.Volume", "Description").await;
    refused(data.replace_config(&config, generation, &none()).await, Kind::GenerationMismatch);
    let (config, generation) = data.get_config(&none()).await.unwrap();
    assert_eq!(config.len(), 2);
    let made = keys(&[("initial.uid", "7")]);
    refused(data.replace_config(&made, generation, &none()).await, Kind::InvalidConfig);
    assert!(data.get_usage(&none()).await.unwrap().contains_key("used"));

    client.done(&data.rename("archive", &none()).await.unwrap()).await;
    signals.told(&path, "org.lxhost1.Volume", "Name").await;
    let (rows, next) = manager.list_volumes(&options([("pool", "disks".into())]), "", 0).await.unwrap();
    let seen: Vec<_> = rows.iter().map(|row| (row.pool.as_str(), row.name.as_str(), row.used_by.len())).collect();
    assert_eq!((seen, next.as_str()), (vec![("disks", "archive", 0)], ""));

    assert!(refused(pool.delete(&none()).await, Kind::InUse).contains("archive"));
    client.done(&data.delete(&none()).await.unwrap()).await;
    refused(pool.get_volume("", "archive").await, Kind::NoSuchVolume);
    client.done(&pool.delete(&none()).await.unwrap()).await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_nothing_is_made() {
    let world = World::start().await;
    let client = world.client().await;
    let (manager, pool) = (client.manager().await, pool(&client).await);
    let long = "a".repeat(300);
    for name in ["", "../x", "a/b", ".", "a\nb", long.as_str()] {
        refused(pool.create_volume("", name, &Config::new(), &none()).await, Kind::InvalidName);
        refused(pool.get_volume("", name).await, Kind::NoSuchVolume);
    }
    for (key, value, kind) in [
        ("size", "1KiB", Kind::InvalidConfig),
        ("security.unmapped", "true", Kind::Unsupported),
        ("initial.mode", "rwx", Kind::InvalidConfig),
        ("colour", "red", Kind::InvalidConfig),
    ] {
        refused(pool.create_volume("", "data", &keys(&[(key, value)]), &none()).await, kind);
    }
    let iso = options([("content-type", "iso".into())]);
    refused(pool.create_volume("", "data", &Config::new(), &iso).await, Kind::Unsupported);
    let block = options([("content-type", "block".into())]);
    for size in ["0", "1048577", "9EiB"] {
        refused(pool.create_volume("", "data", &keys(&[("size", size)]), &block).await, Kind::InvalidConfig);
    }
    refused(pool.create_volume("lab", "data", &Config::new(), &none()).await, Kind::NoSuchProject);
    assert!(manager.list_volumes(&none(), "", 0).await.unwrap().0.is_empty());
}

#[tokio::test]
async fn a_name_is_one_volumes_on_each_pool() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let one = pool(&client).await;
    let (path, job) = manager.create_pool("disks-2", "dir", &Config::new(), &none()).await.unwrap();
    client.done(&job).await;
    let two: PoolProxy<'static> = client.object(&path).await;
    for pool in [&one, &two] {
        volume(&client, pool, "data").await;
        refused(pool.create_volume("", "data", &Config::new(), &none()).await, Kind::AlreadyExists);
    }
    volume(&client, &one, "more").await;
    let (mut names, mut cursor) = (vec![], String::new());
    loop {
        let (page, next) = manager.list_volumes(&none(), &cursor, 1).await.unwrap();
        names.extend(page.into_iter().map(|row| format!("{}/{}", row.pool, row.name)));
        if next.is_empty() {
            break;
        }
        cursor = next;
    }
    names.sort();
    assert_eq!(names, ["disks-2/data", "disks/data", "disks/more"]);
}

#[tokio::test]
async fn a_volume_has_snapshots_as_an_instance_has() {
    let world = World::start().await;
    let client = world.client().await;
    let pool = pool(&client).await;
    let (path, data) = volume(&client, &pool, "data").await;
    let snapshots: SnapshotsProxy<'static> = client.object(&path).await;
    let about = options([("description", "before".into()), ("expiry", "7d".into())]);
    client.done(&snapshots.create("", &about).await.unwrap()).await;
    client.done(&snapshots.create("weekly", &none()).await.unwrap()).await;
    let (rows, next) = snapshots.list("", 0).await.unwrap();
    let seen: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.description.as_str(), row.expires > row.created)).collect();
    assert_eq!((seen, next.as_str()), (vec![("snap0", "before", true), ("weekly", "", false)], ""));
    let shown = snapshots.get("snap0", &none()).await.unwrap();
    assert!(format!("{:?}", shown["config"]).contains("user.owner"), "{shown:?}");

    refused(snapshots.create("weekly", &none()).await, Kind::AlreadyExists);
    refused(snapshots.create("../x", &none()).await, Kind::InvalidName);
    refused(snapshots.create("x", &options([("expiry", "soon".into())])).await, Kind::InvalidConfig);
    refused(snapshots.create("x", &options([("stateful", true.into())])).await, Kind::Unsupported);
    for name in ["gone", "../x", ""] {
        let kind = if name == "gone" { Kind::NoSuchSnapshot } else { Kind::InvalidName };
        refused(snapshots.restore(name, &none()).await, kind);
        refused(snapshots.delete(name, &none()).await, kind);
        refused(snapshots.get(name, &none()).await, kind);
    }
    client.done(&snapshots.create("weekly", &options([("reuse", true.into())])).await.unwrap()).await;
    snapshots.rename("weekly", "monthly", &none()).await.unwrap();
    refused(snapshots.rename("monthly", "snap0", &none()).await, Kind::AlreadyExists);
    client.done(&snapshots.restore("monthly", &none()).await.unwrap()).await;
    client.done(&snapshots.delete("snap0", &none()).await.unwrap()).await;
    let left = snapshots.list("", 0).await.unwrap().0;
    assert_eq!(left.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["monthly"]);
    client.done(&data.delete(&none()).await.unwrap()).await;
    assert!(snapshots.list("", 0).await.is_err(), "they went with the volume");
}

#[tokio::test]
async fn a_volume_is_copied_and_moved_with_its_snapshots() {
    let world = World::start().await;
    let client = world.client().await;
    let (manager, one) = (client.manager().await, pool(&client).await);
    let (path, job) = manager.create_pool("disks-2", "dir", &Config::new(), &none()).await.unwrap();
    client.done(&job).await;
    let two: PoolProxy<'static> = client.object(&path).await;
    let (path, data) = volume(&client, &one, "data").await;
    let snapshots: SnapshotsProxy<'static> = client.object(&path).await;
    client.done(&snapshots.create("s1", &none()).await.unwrap()).await;

    let (copy, job) = data.copy("copy", &none()).await.unwrap();
    client.done(&job).await;
    assert_eq!(one.get_volume("", "copy").await.unwrap(), copy);
    let of_copy: SnapshotsProxy<'static> = client.object(&copy).await;
    assert_eq!(of_copy.list("", 0).await.unwrap().0[0].name, "s1");
    let away = options([("pool", "disks-2".into()), ("volume-only", true.into())]);
    let (copy, job) = data.copy("copy", &away).await.unwrap();
    client.done(&job).await;
    assert_eq!(two.get_volume("", "copy").await.unwrap(), copy);
    let of_copy: SnapshotsProxy<'static> = client.object(&copy).await;
    assert!(of_copy.list("", 0).await.unwrap().0.is_empty());
    let (past, job) = data.copy("past", &options([("snapshot", "s1".into())])).await.unwrap();
    client.done(&job).await;
    assert_eq!(one.get_volume("", "past").await.unwrap(), past);

    let mut signals = client.signals().await;
    client.done(&data.move_to("disks-2", &options([("name", "moved".into())])).await.unwrap()).await;
    signals.told(&path, "org.lxhost1.Volume", "Pool").await;
    assert_eq!(two.get_volume("", "moved").await.unwrap(), path, "its path stays");
    assert_eq!(snapshots.list("", 0).await.unwrap().0[0].name, "s1");

    refused(data.copy("copy", &away).await, Kind::AlreadyExists);
    refused(data.copy("../x", &none()).await, Kind::InvalidName);
    refused(data.copy("", &none()).await, Kind::InvalidName);
    refused(data.copy("x", &options([("pool", "nothing".into())])).await, Kind::NoSuchPool);
    refused(data.copy("x", &options([("snapshot", "s9".into())])).await, Kind::NoSuchSnapshot);
    refused(data.move_to("nothing", &none()).await, Kind::NoSuchPool);
    refused(data.move_to("disks-2", &none()).await, Kind::InvalidArgs);
    refused(data.move_to("disks", &options([("name", "past".into())])).await, Kind::AlreadyExists);
    assert_eq!(manager.list_volumes(&none(), "", 0).await.unwrap().0.len(), 4);
}

#[tokio::test]
async fn a_block_volume_grows_and_holds_no_files() {
    let world = World::start().await;
    let client = world.client().await;
    let (manager, pool) = (client.manager().await, pool(&client).await);
    let (path, job) = pool.create_volume("", "disk", &Config::new(), &options([("content-type", "block".into())])).await.unwrap();
    client.done(&job).await;
    assert_eq!(client.text(path.as_str(), "org.lxhost1.Volume", "ContentType").await, "block");
    assert_eq!(manager.list_volumes(&none(), "", 0).await.unwrap().0[0].content_type, "block");
    let disk: VolumeProxy<'static> = client.object(&path).await;
    let (config, generation) = disk.get_config(&none()).await.unwrap();
    assert_eq!(config, keys(&[("size", "10GiB")]));
    let total = async || u64::try_from(disk.get_usage(&none()).await.unwrap().remove("total").unwrap()).unwrap();
    assert_eq!(total().await, 10 << 30);
    client.done(&disk.replace_config(&keys(&[("size", "11GiB")]), generation, &none()).await.unwrap()).await;
    assert_eq!(total().await, 11 << 30);
    let (_, generation) = disk.get_config(&none()).await.unwrap();
    for smaller in [keys(&[("size", "10GiB")]), Config::new()] {
        assert!(refused(disk.replace_config(&smaller, generation, &none()).await, Kind::InvalidConfig).contains("smaller"));
    }
    let files: FilesProxy<'static> = client.object(&path).await;
    refused(files.open_file("/volume.img", "read", &none()).await, Kind::Unsupported);
    refused(files.open_sftp(&none()).await, Kind::Unsupported);
    refused(disk.export(std::os::fd::OwnedFd::from(std::io::pipe().unwrap().1).into(), &none()).await, Kind::Unsupported);
    client.done(&disk.delete(&none()).await.unwrap()).await;
}
