//! Forwards and load balancers of networks: made, changed, refused, gone with their network.

use crate::client::{Client, none, options, refused};
use crate::world::World;
use lxhost_dbus::Config;
use lxhost_dbus::proxy::NetworkProxy;
use lxhost_model::Kind;
use zbus::wire::OwnedObjectPath;

const LISTEN: &str = "192.0.2.1";

fn keys(pairs: &[(&str, &str)]) -> Config {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn port(listen: &str, target: &str) -> Config {
    keys(&[("protocol", "tcp"), ("listen_port", listen), ("target_address", target)])
}

async fn network(client: &Client, name: &str, address: &str) -> NetworkProxy<'static> {
    let keys = keys(&[("ipv4.address", address)]);
    let (path, job) = client.manager().await.create_network("default", name, "bridge", &keys, &none()).await.unwrap();
    client.done(&job).await;
    client.object(&path).await
}

#[tokio::test]
async fn a_forward_is_listed_changed_and_deleted() {
    let world = World::start().await;
    let client = world.client().await;
    let lab = network(&client, "lab", "10.9.0.1/24").await;
    let about = options([("description", "Web: one".into())]);
    let target = keys(&[("target_address", "10.9.0.9"), ("user.owner", "ops")]);
    let web = port("80,443", "10.9.0.5");
    client.done(&lab.create_forward(LISTEN, &target, std::slice::from_ref(&web), &about).await.unwrap()).await;

    let (rows, generation) = lab.list_forwards(&none()).await.unwrap();
    assert_eq!((rows.len(), rows[0].listen.as_str(), rows[0].description.as_str()), (1, LISTEN, "Web: one"));
    assert_eq!((&rows[0].config, &rows[0].ports[..]), (&target, &[web][..]));

    let mut signals = client.signals().await;
    let other = port("8000-8100", "10.9.0.6");
    let job = lab.replace_forward(LISTEN, &Config::new(), std::slice::from_ref(&other), generation, &none()).await.unwrap();
    client.done(&job).await;
    let path = OwnedObjectPath::from(lab.inner().path().to_owned());
    signals.told(&path, "org.lxhost1.Network", "Generation").await;
    let (rows, later) = lab.list_forwards(&none()).await.unwrap();
    assert_eq!((rows[0].description.as_str(), &rows[0].config, &rows[0].ports[..]), ("Web: one", &Config::new(), &[other][..]));
    assert!(later > generation);
    refused(lab.replace_forward(LISTEN, &Config::new(), &[], generation, &none()).await, Kind::GenerationMismatch);

    // They stay through a change of the network.
    let (mut config, generation) = lab.get_config(&none()).await.unwrap();
    config.insert("dns.domain".into(), "lab.test".into());
    client.done(&lab.replace_config(&config, generation, &none()).await.unwrap()).await;
    assert_eq!(lab.list_forwards(&none()).await.unwrap().0.len(), 1);

    client.done(&lab.delete_forward(LISTEN, &none()).await.unwrap()).await;
    assert!(lab.list_forwards(&none()).await.unwrap().0.is_empty());
    refused(lab.delete_forward(LISTEN, &none()).await, Kind::NoSuchForward);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let world = World::start().await;
    let client = world.client().await;
    let lab = network(&client, "lab", "10.9.0.1/24").await;
    let none_of = Config::new();
    for listen in ["", "0.0.0.0", "127.0.0.1", "224.0.0.1", "192.0.2.0/24", "eth0", "192.0.2.1\n"] {
        refused(lab.create_forward(listen, &none_of, &[], &none()).await, Kind::InvalidConfig);
    }
    for ports in [
        vec![port("0", "10.9.0.5")],
        vec![port("65536", "10.9.0.5")],
        vec![port("80", "10.9.1.5")],
        vec![port("80", "10.9.0.1")],
        vec![port("80", "10.9.0.255")],
        vec![port("80", "fd00::5")],
        vec![port("80", "c1")],
        vec![port("80 } accept", "10.9.0.5")],
        vec![port("80-90", "10.9.0.5"), port("85", "10.9.0.6")],
        vec![Config::new()],
        vec![port("80", "10.9.0.5"); 257],
    ] {
        let said = refused(lab.create_forward(LISTEN, &none_of, &ports, &none()).await, Kind::InvalidConfig);
        assert!(said.contains(LISTEN) && said.contains("lab"), "{said}");
    }
    for config in [keys(&[("target_address", "10.8.0.5")]), keys(&[("color", "red")])] {
        refused(lab.create_forward(LISTEN, &config, &[], &none()).await, Kind::InvalidConfig);
    }
    let said = refused(lab.create_forward("10.9.0.77", &none_of, &[], &none()).await, Kind::Conflict);
    assert!(said.contains("own subnet"), "{said}");
    refused(lab.create_forward("2001:db8::1", &none_of, &[], &none()).await, Kind::InvalidConfig);
    refused(lab.replace_forward(LISTEN, &none_of, &[], 0, &none()).await, Kind::NoSuchForward);
    assert!(lab.list_forwards(&none()).await.unwrap().0.is_empty());
}

#[tokio::test]
async fn networks_do_not_take_each_others_addresses() {
    let world = World::start().await;
    let client = world.client().await;
    let (lab, office) = (network(&client, "lab", "10.9.0.1/24").await, network(&client, "office", "10.9.1.1/24").await);
    let web = [port("80", "10.9.0.5")];
    client.done(&lab.create_forward(LISTEN, &Config::new(), &web, &none()).await.unwrap()).await;
    refused(lab.create_forward(LISTEN, &Config::new(), &[], &none()).await, Kind::AlreadyExists);
    let said = refused(office.create_forward(LISTEN, &Config::new(), &[], &none()).await, Kind::Conflict);
    assert!(said.contains("network lab"), "{said}");
    let said = refused(office.create_forward("10.9.0.200", &Config::new(), &[], &none()).await, Kind::Conflict);
    assert!(said.contains("network lab"), "{said}");

    // Nor does a network go where a forward listens, or away from its targets.
    let inside = keys(&[("ipv4.address", "192.0.2.254/24")]);
    let manager = client.manager().await;
    let (_, job) = manager.create_network("default", "late", "bridge", &inside, &none()).await.unwrap();
    assert_eq!(client.fails(&job).await.kind, Kind::Conflict);
    for moved in [keys(&[("ipv4.address", "10.9.7.1/24")]), keys(&[("ipv4.address", "10.9.0.1/24"), ("ipv4.routing", "false")])] {
        let (_, generation) = lab.get_config(&none()).await.unwrap();
        let job = lab.replace_config(&moved, generation, &none()).await.unwrap();
        assert_eq!(client.fails(&job).await.kind, Kind::InvalidConfig);
    }

    // They go with their network.
    client.done(&lab.delete(&none()).await.unwrap()).await;
    client.done(&office.create_forward(LISTEN, &Config::new(), &[], &none()).await.unwrap()).await;
}

#[tokio::test]
async fn a_load_balancer_is_listed_changed_and_deleted_and_shares_no_address() {
    let world = World::start().await;
    let client = world.client().await;
    let lab = network(&client, "lab", "10.9.0.1/24").await;
    let office = network(&client, "office", "10.9.1.1/24").await;
    let none_of = Config::new();
    let backend = |name: &str, target: &str| keys(&[("name", name), ("target_address", target)]);
    let port = |to: &str| keys(&[("protocol", "tcp"), ("listen_port", "80"), ("target_backend", to)]);
    let backends = [backend("w1", "10.9.0.5"), backend("w2", "10.9.0.6")];
    let about = options([("description", "Web".into())]);
    client.done(&lab.create_load_balancer(LISTEN, &none_of, &backends, &[port("w1,w2")], &about).await.unwrap()).await;
    let (rows, generation) = lab.list_load_balancers(&none()).await.unwrap();
    assert_eq!((rows[0].listen.as_str(), rows[0].description.as_str(), rows[0].backends.len()), (LISTEN, "Web", 2));

    for network in [&lab, &office] {
        refused(network.create_forward(LISTEN, &none_of, &[], &none()).await, Kind::Conflict);
    }
    refused(lab.create_load_balancer(LISTEN, &none_of, &[], &[], &none()).await, Kind::AlreadyExists);
    refused(office.create_load_balancer(LISTEN, &none_of, &[], &[], &none()).await, Kind::Conflict);
    let checked = keys(&[("healthcheck", "true")]);
    refused(lab.replace_load_balancer(LISTEN, &checked, &[], &[], generation, &none()).await, Kind::Unsupported);
    for (backends, ports) in [
        (vec![backend("w1", "10.9.1.5")], vec![]),
        (vec![backend("w1", "10.9.0.5")], vec![port("w2")]),
        (vec![backend("w1", "10.9.0.5"); 2], vec![]),
    ] {
        let result = lab.replace_load_balancer(LISTEN, &none_of, &backends, &ports, generation, &none()).await;
        assert!(refused(result, Kind::InvalidConfig).contains(LISTEN));
    }
    assert_eq!(lab.list_load_balancers(&none()).await.unwrap(), (rows, generation));

    let job = lab.replace_load_balancer(LISTEN, &none_of, &backends[..1], &[port("w1")], generation, &none()).await.unwrap();
    client.done(&job).await;
    let (rows, _) = lab.list_load_balancers(&none()).await.unwrap();
    assert_eq!((rows[0].description.as_str(), rows[0].backends.len()), ("Web", 1));
    client.done(&lab.delete_load_balancer(LISTEN, &none()).await.unwrap()).await;
    refused(lab.delete_load_balancer(LISTEN, &none()).await, Kind::NoSuchLoadBalancer);
    client.done(&office.create_forward(LISTEN, &none_of, &[], &none()).await.unwrap()).await;
}
