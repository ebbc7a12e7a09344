//! The trash on the bus: listed in pages, brought back, emptied; refused, with nothing changed.

use crate::client::{Client, image, none, options, refused};
use crate::world::World;
use lxhost_dbus::proxy::{InstanceProxy, PoolProxy, TrashProxy};
use lxhost_model::Kind;

async fn prepared(client: &Client, names: &[&str]) -> TrashProxy<'static> {
    let manager = client.manager().await;
    for name in names {
        let (_, job) = manager.create_instance("default", name, &image(), &none(), &none()).await.unwrap();
        client.done(&job).await;
    }
    let pool: PoolProxy<'static> = client.object(&manager.get_pool("default").await.unwrap()).await;
    let (mut config, generation) = pool.get_config(&none()).await.unwrap();
    config.insert("trash.expiry".into(), "7d".into());
    pool.replace_config(&config, generation, &none()).await.unwrap();
    for name in names {
        delete(client, name).await;
    }
    client.object(&zbus::wire::OwnedObjectPath::try_from("/org/lxhost1").unwrap()).await
}

async fn delete(client: &Client, name: &str) {
    let path = client.manager().await.get_instance("default", name).await.unwrap();
    let instance: InstanceProxy<'static> = client.object(&path).await;
    client.done(&instance.delete(&none()).await.unwrap()).await;
}

async fn names(trash: &TrashProxy<'_>) -> Vec<String> {
    trash.list(&none(), "", 0).await.unwrap().0.into_iter().map(|row| row.name).collect()
}

#[tokio::test]
async fn what_was_deleted_is_listed_and_comes_back_with_its_object() {
    let world = World::start().await;
    let client = world.client().await;
    let trash = prepared(&client, &["c1", "c2", "c3"]).await;
    let (rows, next) = trash.list(&options([("pool", "default".into())]), "", 2).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["c1", "c2"]);
    assert_eq!((rows[0].kind.as_str(), rows[0].expires - rows[0].deleted), ("instance", 7 * 86_400_000_000));
    let (rest, end) = trash.list(&none(), &next, 2).await.unwrap();
    assert_eq!((rest.len(), rest[0].name.as_str(), end.as_str()), (1, "c3", ""));
    let path = lxhost_dbus::path::instance(rows[0].id.parse().unwrap());
    assert!(client.properties(&path, "org.lxhost1.Instance").await.is_err(), "its object is gone");
    client.done(&trash.restore(&rows[0].id, "", &none()).await.unwrap()).await;
    assert!(format!("{:?}", client.properties(&path, "org.lxhost1.Instance").await.unwrap()["Name"]).contains("c1"));
    client.done(&trash.restore(&rows[1].id, "web", &none()).await.unwrap()).await;
    client.manager().await.get_instance("default", "web").await.unwrap();
    client.done(&trash.delete(&rest[0].id, &none()).await.unwrap()).await;
    assert_eq!(names(&trash).await, [""; 0]);
}

#[tokio::test]
async fn what_is_not_there_or_no_name_is_refused() {
    let world = World::start().await;
    let client = world.client().await;
    let trash = prepared(&client, &["c1"]).await;
    let id = trash.list(&none(), "", 0).await.unwrap().0[0].id.clone();
    for (id, name, kind) in [
        ("", "", Kind::NoSuchTrash),
        ("../../x", "", Kind::NoSuchTrash),
        ("00000000000000000000000000000000", "", Kind::NoSuchTrash),
        (id.as_str(), "../x", Kind::InvalidName),
        (id.as_str(), "c1\n", Kind::InvalidName),
    ] {
        refused(trash.restore(id, name, &none()).await, kind);
    }
    let unknown = options([("colour", "red".into())]);
    refused(trash.restore(&id, "", &unknown).await, Kind::UnknownOption);
    refused(trash.delete(&id, &unknown).await, Kind::UnknownOption);
    refused(trash.list(&unknown, "", 0).await, Kind::UnknownOption);
    refused(trash.delete("x", &none()).await, Kind::NoSuchTrash);
    assert_eq!(names(&trash).await, ["c1"]);
}
