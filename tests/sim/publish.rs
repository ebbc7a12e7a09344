//! Images made of instances: what they are called and say; refused, with nothing changed.

use crate::client::{Client, image, none, options, refused};
use crate::world::World;
use lxhost_dbus::Config;
use lxhost_dbus::proxy::{InstanceProxy, SnapshotsProxy};
use lxhost_model::Kind;
use zbus::wire::OwnedObjectPath;

async fn original(client: &Client) -> (OwnedObjectPath, InstanceProxy<'static>) {
    let spec = options([("start", true.into())]);
    let (path, job) = client.manager().await.create_instance("default", "c1", &image(), &spec, &none()).await.unwrap();
    client.done(&job).await;
    let taken: SnapshotsProxy<'static> = client.object(&path).await;
    client.done(&taken.create("s1", &none()).await.unwrap()).await;
    (path.clone(), client.object(&path).await)
}

async fn images(client: &Client) -> usize {
    client.manager().await.list_images(&none(), "", 0).await.unwrap().0.len()
}

#[tokio::test]
async fn an_image_of_an_instance_or_of_a_snapshot_is_launched_like_any() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, instance) = original(&client).await;
    for (alias, snapshot) in [("now", None), ("then", Some("s1"))] {
        let mut wanted = options([("aliases", vec![alias].into())]);
        let properties = Config::from([("description".to_owned(), format!("Mine, {alias}"))]);
        wanted.insert("properties", properties.into());
        if let Some(snapshot) = snapshot {
            wanted.insert("snapshot", snapshot.into());
        }
        let end = client.done(&instance.publish(&wanted).await.unwrap()).await;
        assert!(format!("{:?}", end.output["image"]).contains("/org/lxhost1/image/"));
        let source = options([("type", "image".into()), ("image", alias.into())]);
        let (_, job) = client.manager().await.create_instance("default", alias, &source, &none(), &none()).await.unwrap();
        client.done(&job).await;
    }
    assert!(client.text(path.as_str(), "org.lxhost1.Instance", "State").await.contains("running"), "it goes on");
}

#[tokio::test]
async fn a_name_goes_to_the_newest_only_when_that_is_wanted() {
    let world = World::start().await;
    let client = world.client().await;
    let (_, instance) = original(&client).await;
    let wanted = |properties: Config, reuse: bool| {
        options([("aliases", vec!["mine"].into()), ("reuse", reuse.into()), ("properties", properties.into())])
    };
    let says = |text: &str| Config::from([("description".to_owned(), text.to_owned())]);
    client.done(&instance.publish(&wanted(says("first"), false)).await.unwrap()).await;
    let before = images(&client).await;
    refused(instance.publish(&wanted(says("second"), false)).await, Kind::AlreadyExists);
    assert_eq!(images(&client).await, before);
    client.done(&instance.publish(&wanted(says("second"), true)).await.unwrap()).await;
    let found = client.manager().await.get_image("default", "mine").await.unwrap();
    let said = client.properties(found.as_str(), "org.lxhost1.Image").await.unwrap();
    assert!(format!("{:?}", said["Properties"]).contains("second"));
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_and_changes_nothing() {
    let world = World::start().await;
    let client = world.client().await;
    let (_, instance) = original(&client).await;
    let before = images(&client).await;
    refused(instance.publish(&options([("snapshot", "s2".into())])).await, Kind::NoSuchSnapshot);
    refused(instance.publish(&options([("snapshot", "../s1".into())])).await, Kind::InvalidName);
    refused(instance.publish(&options([("aliases", vec!["a b"].into())])).await, Kind::InvalidName);
    refused(instance.publish(&options([("compression", "zstd -19".into())])).await, Kind::Unsupported);
    refused(instance.publish(&options([("public", true.into())])).await, Kind::UnknownOption);
    let control = Config::from([("description".to_owned(), "a\u{1b}[31m".to_owned())]);
    refused(instance.publish(&options([("properties", control.into())])).await, Kind::InvalidConfig);
    assert_eq!(images(&client).await, before);
}
