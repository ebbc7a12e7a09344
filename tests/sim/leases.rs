//! Networks as they stand: who follows leases is told, who asks what is wrong is answered.

use crate::client::{Signals, none};
use crate::world::World;
use lxhost_dbus::proxy::NetworkProxy;
use zbus::wire::OwnedObjectPath;

async fn next(signals: &mut Signals, network: &OwnedObjectPath) -> (String, String, String) {
    let of = |message: &zbus::Message| message.header().path().is_some_and(|path| path.as_str() == network.as_str());
    signals.next("LeaseChanged", of).await.body().deserialize().unwrap()
}

#[tokio::test]
async fn a_lease_that_comes_and_goes_is_signalled_with_the_row_that_is_listed() {
    let world = World::start().await;
    let client = world.client().await;
    let first = client.launch("c1").await;
    let path = client.manager().await.list_networks(&none(), "", 0).await.unwrap().0[0].path.clone();
    let network: NetworkProxy<'static> = client.object(&path).await;
    let mut signals = client.signals().await;
    let second = client.launch("c2").await;
    let (mac, address, what) = loop {
        let change = next(&mut signals, &path).await;
        // The first may not have been told yet.
        if network.list_leases().await.unwrap().iter().any(|row| row.hostname == "c2" && row.address == change.1) {
            break change;
        }
    };
    assert_eq!(what, "added");
    client.done(&client.instance(&second).await.stop(&none()).await.unwrap()).await;
    assert_eq!(next(&mut signals, &path).await, (mac, address.clone(), "removed".to_owned()));
    assert!(network.list_leases().await.unwrap().iter().all(|row| row.address != address));
    client.done(&client.instance(&first).await.stop(&none()).await.unwrap()).await;
    assert_eq!(next(&mut signals, &path).await.2, "removed");
}

#[tokio::test]
async fn a_network_is_examined_for_who_may_manage_networks() {
    let world = World::start().await;
    let client = world.client().await;
    client.launch("c1").await;
    let path = client.manager().await.list_networks(&none(), "", 0).await.unwrap().0[0].path.clone();
    let network: NetworkProxy<'static> = client.object(&path).await;
    let rows = network.diagnose(&none()).await.unwrap();
    let text = |key: &str| String::try_from(rows[0][key].try_clone().unwrap()).unwrap();
    assert_eq!((rows.len(), text("name").as_str(), text("state").as_str()), (1, "link", "ok"));
    let unknown = crate::client::options([("loudly", true.into())]);
    crate::client::refused(network.diagnose(&unknown).await, lxhost_model::Kind::UnknownOption);
}
