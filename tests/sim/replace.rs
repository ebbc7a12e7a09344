//! Networks and pools that are changed: keys and description, by generation, with what cannot change refused.

use crate::client::{Client, none, options, refused};
use crate::world::World;
use lxhost_dbus::Config;
use lxhost_dbus::proxy::{NetworkProxy, PoolProxy};
use lxhost_model::Kind;

fn config(pairs: &[(&str, &str)]) -> Config {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn network(client: &Client) -> NetworkProxy<'static> {
    let about = options([("description", "Lab: one".into())]);
    let keys = config(&[("ipv4.address", "10.99.7.1/24")]);
    let (path, job) = client.manager().await.create_network("default", "lab", "bridge", &keys, &about).await.unwrap();
    client.done(&job).await;
    client.object(&path).await
}

#[tokio::test]
async fn a_network_is_changed_and_tells_what_changed() {
    let world = World::start().await;
    let client = world.client().await;
    let network = network(&client).await;
    assert_eq!(network.description().await.unwrap(), "Lab: one");
    let (_, generation) = network.get_config(&none()).await.unwrap();
    let mut signals = client.signals().await;

    let keys = config(&[("ipv4.address", "10.99.8.1/24"), ("user.owner", "web")]);
    let job = network.replace_config(&keys, generation, &options([("description", "Lab: two".into())])).await.unwrap();
    client.done(&job).await;

    let path = zbus::wire::OwnedObjectPath::from(network.inner().path().to_owned());
    let changed = signals.changed(&path, "org.lxhost1.Network").await;
    assert!(changed.contains_key("Subnets") && changed.contains_key("Description"), "{changed:?}");
    let (now, later) = network.get_config(&none()).await.unwrap();
    assert_eq!((&now["ipv4.address"], &now["user.owner"]), (&"10.99.8.1/24".to_owned(), &"web".to_owned()));
    assert_eq!(network.description().await.unwrap(), "Lab: two");

    refused(network.replace_config(&keys, generation, &none()).await, Kind::GenerationMismatch);
    let job = network.replace_config(&config(&[("ipv4.address", "nonsense")]), later, &none()).await.unwrap();
    client.fails(&job).await;
    assert_eq!(network.get_config(&none()).await.unwrap(), (now, later), "a change that failed changed something");
}

#[tokio::test]
async fn a_network_is_renamed_at_the_same_path_and_says_how_it_stands() {
    let world = World::start().await;
    let client = world.client().await;
    let network = network(&client).await;
    let before = network.get_state(&none()).await.unwrap();
    let mut signals = client.signals().await;
    let job = network.rename("office", &none()).await.unwrap();
    client.done(&job).await;
    let path = zbus::wire::OwnedObjectPath::from(network.inner().path().to_owned());
    let changed = signals.changed(&path, "org.lxhost1.Network").await;
    assert!(changed.contains_key("Name") && changed.contains_key("Interface"), "{changed:?}");
    let manager = client.manager().await;
    assert_eq!(manager.get_network("default", "office").await.unwrap(), path);
    let state = network.get_state(&none()).await.unwrap();
    assert_ne!(state["interface"], before["interface"]);
    assert_eq!(state["up"], before["up"]);
    refused(network.rename("a/b", &none()).await, Kind::InvalidName);
    refused(network.rename("office", &none()).await, Kind::AlreadyExists);
    refused(network.get_state(&options([("x", true.into())])).await, Kind::UnknownOption);
}

#[tokio::test]
async fn a_pool_keeps_its_place_whatever_else_changes() {
    let world = World::start().await;
    let client = world.client().await;
    let about = options([("description", "Disks".into())]);
    let (path, job) = client.manager().await.create_pool("disks", "", &Config::new(), &about).await.unwrap();
    client.done(&job).await;
    let pool: PoolProxy<'static> = client.object(&path).await;
    assert_eq!(pool.description().await.unwrap(), "Disks");
    let (mut keys, generation) = pool.get_config(&none()).await.unwrap();
    assert!(keys.contains_key("source"));

    refused(pool.replace_config(&Config::new(), generation, &none()).await, Kind::InvalidConfig);
    let mut moved = keys.clone();
    moved.insert("source".to_owned(), "/srv/elsewhere".to_owned());
    refused(pool.replace_config(&moved, generation, &none()).await, Kind::InvalidConfig);
    let mut unknown = keys.clone();
    unknown.insert("no.such.key".to_owned(), "1".to_owned());
    refused(pool.replace_config(&unknown, generation, &none()).await, Kind::InvalidConfig);

    keys.insert("user.owner".to_owned(), "web".to_owned());
    let later = pool.replace_config(&keys, generation, &none()).await.unwrap();
    assert_eq!(pool.get_config(&none()).await.unwrap(), (keys.clone(), later));
    refused(pool.replace_config(&keys, generation, &none()).await, Kind::GenerationMismatch);
}
