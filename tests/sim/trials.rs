//! Changes of networks that wait to be confirmed, over the bus: told, confirmed, undone in time, and refused.

use crate::client::{Client, none, options, refused};
use crate::world::World;
use lxhost_dbus::Config;
use lxhost_dbus::proxy::NetworkProxy;
use lxhost_dbus::wire::Options;
use lxhost_model::Kind;
use zbus::wire::OwnedObjectPath;

const INTERFACE: &str = "org.lxhost1.Network";
const SECOND: u64 = 1_000_000;

fn within(usec: u64) -> Options<'static> {
    options([("rollback-usec", usec.into())])
}

fn address(address: &str) -> Config {
    [("ipv4.address".to_owned(), address.to_owned())].into()
}

async fn lab(client: &Client) -> (OwnedObjectPath, NetworkProxy<'static>) {
    let keys = address("10.9.0.1/24");
    let (path, job) = client.manager().await.create_network("default", "lab", "bridge", &keys, &none()).await.unwrap();
    client.done(&job).await;
    (path.clone(), client.object(&path).await)
}

async fn change(client: &Client, lab: &NetworkProxy<'_>, usec: u64) {
    let (_, generation) = lab.get_config(&none()).await.unwrap();
    let job = lab.replace_config(&address("10.9.5.1/24"), generation, &within(usec)).await.unwrap();
    client.done(&job).await;
}

async fn config(lab: &NetworkProxy<'_>) -> Config {
    lab.get_config(&none()).await.unwrap().0
}

#[tokio::test]
async fn a_change_is_undone_when_its_time_is_over_and_everybody_is_told() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, lab) = lab(&client).await;
    assert_eq!(lab.rollback_at().await.unwrap(), 0);
    let before = config(&lab).await;
    let mut signals = client.signals().await;
    change(&client, &lab, 3 * SECOND).await;
    let changed = signals.told(&path, INTERFACE, "RollbackAt").await;
    assert!(changed.contains_key("Subnets"), "{changed:?}");

    let undone = signals.told(&path, INTERFACE, "RollbackAt").await;
    assert!(undone.contains_key("Subnets"), "{undone:?}");
    assert_eq!((lab.rollback_at().await.unwrap(), config(&lab).await), (0, before));
    refused(lab.confirm(&none()).await, Kind::InvalidState);
}

#[tokio::test]
async fn a_confirmed_change_stays_and_another_is_undone_at_once() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, lab) = lab(&client).await;
    change(&client, &lab, 600 * SECOND).await;
    assert!(lab.rollback_at().await.unwrap() > 0);
    let said = refused(lab.rename("other", &none()).await, Kind::InvalidState);
    assert!(said.contains("lxctl network confirm lab"), "{said}");
    refused(lab.delete(&within(SECOND)).await, Kind::InvalidState);
    let mut signals = client.signals().await;
    client.done(&lab.confirm(&none()).await.unwrap()).await;
    signals.told(&path, INTERFACE, "RollbackAt").await;
    assert_eq!((lab.rollback_at().await.unwrap(), config(&lab).await["ipv4.address"].as_str()), (0, "10.9.5.1/24"));

    client.done(&lab.rename("office", &within(600 * SECOND)).await.unwrap()).await;
    assert_eq!(lab.name().await.unwrap(), "office");
    client.done(&lab.rollback(&none()).await.unwrap()).await;
    assert_eq!((lab.name().await.unwrap().as_str(), lab.rollback_at().await.unwrap()), ("lab", 0));
    refused(lab.rollback(&none()).await, Kind::InvalidState);
}

#[tokio::test]
async fn a_deletion_that_waits_keeps_the_object_until_it_is_confirmed() {
    let world = World::start().await;
    let client = world.client().await;
    let (_, lab) = lab(&client).await;
    client.done(&lab.delete(&within(600 * SECOND)).await.unwrap()).await;
    assert!(lab.rollback_at().await.unwrap() > 0);
    let rows = client.manager().await.list_networks(&none(), "", 0).await.unwrap().0;
    assert_eq!(rows.iter().map(|row| (row.name.as_str(), row.state.as_str())).collect::<Vec<_>>(), [("lab", "down")]);
    client.done(&lab.rollback(&none()).await.unwrap()).await;
    assert_eq!(client.manager().await.list_networks(&none(), "", 0).await.unwrap().0[0].state, "up");
    client.done(&lab.delete(&within(600 * SECOND)).await.unwrap()).await;
    client.done(&lab.confirm(&none()).await.unwrap()).await;
    refused(client.manager().await.get_network("default", "lab").await, Kind::NoSuchNetwork);
}

#[tokio::test]
async fn a_forward_and_a_load_balancer_may_wait_as_well() {
    let world = World::start().await;
    let client = world.client().await;
    let (_, lab) = lab(&client).await;
    let (keys, wait) = (Config::from([("target_address".to_owned(), "10.9.0.5".to_owned())]), within(600 * SECOND));
    let forwards = async || lab.list_forwards(&none()).await.unwrap().0.len();
    client.done(&lab.create_forward("192.0.2.1", &keys, &[], &wait).await.unwrap()).await;
    assert!(lab.rollback_at().await.unwrap() > 0);
    let said = refused(lab.delete_forward("192.0.2.1", &none()).await, Kind::InvalidState);
    assert!(said.contains("lxctl network confirm lab"), "{said}");
    client.done(&lab.rollback(&none()).await.unwrap()).await;
    assert_eq!((forwards().await, lab.rollback_at().await.unwrap()), (0, 0));

    client.done(&lab.create_forward("192.0.2.1", &keys, &[], &wait).await.unwrap()).await;
    client.done(&lab.confirm(&none()).await.unwrap()).await;
    let generation = lab.list_forwards(&none()).await.unwrap().1;
    client.done(&lab.replace_forward("192.0.2.1", &Config::new(), &[], generation, &wait).await.unwrap()).await;
    client.done(&lab.rollback(&none()).await.unwrap()).await;
    assert_eq!(lab.list_forwards(&none()).await.unwrap().0[0].config, keys);
    client.done(&lab.delete_forward("192.0.2.1", &wait).await.unwrap()).await;
    assert_eq!(forwards().await, 0);
    client.done(&lab.rollback(&none()).await.unwrap()).await;
    assert_eq!(forwards().await, 1);

    client.done(&lab.create_load_balancer("192.0.2.2", &Config::new(), &[], &[], &wait).await.unwrap()).await;
    client.done(&lab.rollback(&none()).await.unwrap()).await;
    assert!(lab.list_load_balancers(&none()).await.unwrap().0.is_empty());
    refused(lab.delete_forward("192.0.2.1", &within(1)).await, Kind::InvalidArgs);
}

#[tokio::test]
async fn a_time_that_makes_no_sense_changes_nothing() {
    let world = World::start().await;
    let client = world.client().await;
    let (_, lab) = lab(&client).await;
    let (before, generation) = lab.get_config(&none()).await.unwrap();
    let new = address("10.9.5.1/24");
    for usec in [0, 1, SECOND - 1, 86_400 * SECOND + 1, u64::MAX] {
        refused(lab.replace_config(&new, generation, &within(usec)).await, Kind::InvalidArgs);
        refused(lab.rename("other", &within(usec)).await, Kind::InvalidArgs);
        refused(lab.delete(&within(usec)).await, Kind::InvalidArgs);
        let manager = client.manager().await;
        refused(manager.create_network("default", "new", "bridge", &Config::new(), &within(usec)).await, Kind::InvalidArgs);
    }
    let text = options([("rollback-usec", "60s".into())]);
    refused(lab.replace_config(&new, generation, &text).await, Kind::InvalidArgs);
    refused(lab.confirm(&within(SECOND)).await, Kind::UnknownOption);
    assert_eq!(lab.get_config(&none()).await.unwrap(), (before, generation));
    assert_eq!(client.manager().await.list_networks(&none(), "", 0).await.unwrap().0.len(), 1);
}
