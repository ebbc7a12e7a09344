//! Proxies of instances: who may have them, which get in each other's way, and what becomes of those that are lost.

use crate::world::{Machine, World, mia};
use lxhost_engine::network::listener::{Create, Replace};
use lxhost_engine::{Kind, Result, instance};
use lxhost_model::device::{Device, Devices};
use lxhost_model::{Action, Forward, ObjectId};
use lxhost_sim::Ruling;
use std::net::IpAddr;

fn device(name: &str, keys: &[(&str, &str)]) -> Devices {
    let name = name.parse().unwrap();
    let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let device = Device::new(&name, keys).unwrap();
    [(name, device)].into()
}

fn proxy(name: &str, keys: &[(&str, &str)]) -> Devices {
    device(name, &[&[("type", "proxy")], keys].concat())
}

fn has(id: ObjectId, devices: Devices) -> instance::Configure {
    instance::Configure::new(id, instance::Change { devices: Some(devices), ..Default::default() }).unwrap()
}

async fn given(world: &World, id: ObjectId, keys: &[(&str, &str)]) -> Result<()> {
    world.perform(has(id, proxy("web", keys))).await.map(drop)
}

const WEB: [(&str, &str); 2] = [("listen", "tcp:0.0.0.0:80"), ("connect", "tcp:127.0.0.1:80")];

#[test]
fn what_is_on_the_host_is_asked_about_by_name() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        let as_mia = async |keys: &[(&str, &str)]| world.engine.perform(&mia(), has(id, proxy("web", keys))).await.map(drop);
        world.sim.authority.rule(1000, Action::NetworkAttachPhysical, Ruling::No);
        assert_eq!(as_mia(&WEB).await.unwrap_err().kind, Kind::AccessDenied);
        world.sim.authority.rule(1000, Action::NetworkAttachPhysical, Ruling::Yes);
        world.sim.authority.rule(1000, Action::InstanceConfigurePrivileged, Ruling::No);
        as_mia(&WEB).await.unwrap();
        let inner = ("connect", "tcp:127.0.0.1:80");
        for keys in [
            &[("listen", "unix:/run/x"), inner][..],
            &[("listen", "unix:@x"), inner],
            &[("listen", "tcp:127.0.0.1:1"), ("connect", "unix:/run/x"), ("bind", "instance")],
        ] {
            assert_eq!(as_mia(keys).await.unwrap_err().kind, Kind::AccessDenied, "{keys:?}");
        }
        // The other way round the sockets are the instance's.
        as_mia(&[("listen", "tcp:127.0.0.1:1"), ("connect", "unix:/run/x")]).await.unwrap();
        as_mia(&[("listen", "unix:/run/x"), inner, ("bind", "instance")]).await.unwrap();
    });
}

#[test]
fn a_place_that_another_running_instance_has_is_refused_by_its_name() {
    Machine::new().daemon(async |world| {
        let (one, other) = (world.launch("c1").await, world.launch("c2").await);
        given(&world, one, &WEB).await.unwrap();
        let error = given(&world, other, &[("listen", "tcp:10.0.0.1:79-81"), WEB[1]]).await.unwrap_err();
        assert_eq!(error.kind, Kind::Conflict);
        assert!(error.message.contains("tcp port 80 is taken by device web of instance c1"), "{error}");
        world.is_whole("after the refusal").await;
        world.perform(instance::Stop::new(one, true, None)).await.unwrap();
        given(&world, other, &WEB).await.unwrap();
        let error = world.perform(instance::Start::new(one)).await.unwrap_err();
        assert!(error.kind == Kind::Conflict && error.message.contains("instance c2"), "{error}");
        world.is_whole("after both refusals").await;
    });
}

#[test]
fn an_instance_does_not_start_without_its_proxy_and_nothing_of_it_is_left() {
    Machine::new().daemon(async |world| {
        world.perform(world.create("c1", false)).await.unwrap();
        let id = world.id("c1").unwrap();
        given(&world, id, &[("listen", "tcp:0.0.0.0:22"), WEB[1]]).await.unwrap();
        let error = world.perform(instance::Start::new(id)).await.unwrap_err();
        assert!(error.kind == Kind::Conflict && error.message.contains("sshd"), "{error}");
        world.is_whole("after the start").await;
        assert!(world.sim.launcher.running().is_empty());
    });
}

#[test]
fn packets_are_translated_to_a_fixed_address_only() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        let nat = [("listen", "tcp:192.0.2.1:80"), ("connect", "tcp:0.0.0.0:80"), ("nat", "true")];
        let error = given(&world, id, &nat).await.unwrap_err();
        assert!(error.kind == Kind::InvalidConfig && error.message.contains("set ipv4.address"), "{error}");
        let lan = [("type", "nic"), ("nictype", "bridged"), ("parent", "eth0"), ("ipv4.address", "10.0.0.9/24")];
        let mut devices = device("lan", &lan);
        devices.extend(proxy("web", &nat));
        world.perform(has(id, devices.clone())).await.unwrap();
        let target = world.sim.proxies.open().pop().unwrap().target.unwrap();
        assert_eq!((target.address.to_string().as_str(), target.nic.as_str()), ("10.0.0.9", "lan"));
        devices.extend(proxy("web", &[nat[0], ("connect", "tcp:10.0.0.8:80"), nat[2]]));
        let error = world.perform(has(id, devices)).await.unwrap_err();
        assert!(error.message.contains("10.0.0.8 is not a fixed address of the instance; 10.0.0.9 is"), "{error}");
        world.is_whole("after the refusal").await;
    });
}

#[test]
fn a_port_that_a_forward_leads_elsewhere_is_refused() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        let network = world.state().networks.values().next().unwrap().clone();
        let address = "192.0.2.1".parse().unwrap();
        let keys = [("protocol", "tcp"), ("listen_port", "80-90"), ("target_address", "10.0.0.9")];
        let ports = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let forward = Forward { ports: vec![ports], ..Default::default() };
        let forwards = [(address, forward)].into();
        let with = lxhost_model::Network { forwards, ..lxhost_model::Network::clone(&network) };
        let write = lxhost_engine::ports::Write::Update(lxhost_engine::ports::Row::Network(with));
        lxhost_engine::ports::Store::commit(world.sim.store.as_ref(), vec![write]).await.unwrap();
        let error = given(&world, id, &[("listen", "tcp:192.0.2.1:85"), WEB[1]]).await.unwrap_err();
        assert!(error.kind == Kind::Conflict && error.message.contains("forward 192.0.2.1 of network"), "{error}");
        given(&world, id, &[("listen", "tcp:192.0.2.1:91"), WEB[1]]).await.unwrap();
        given(&world, id, &[("listen", "tcp:192.0.2.2:85"), WEB[1]]).await.unwrap();
    });
}

#[test]
fn a_forward_of_ports_at_which_a_proxy_listens_is_refused_by_the_proxys_name() {
    Machine::new().daemon(async |world| {
        let id = world.launch("c1").await;
        given(&world, id, &[("listen", "tcp:192.0.2.1:85"), WEB[1]]).await.unwrap();
        let network = world.state().networks.values().next().unwrap().clone();
        let listen: IpAddr = "192.0.2.1".parse().unwrap();
        let net = network.subnets().next().unwrap();
        let target = net.hosts().find(|host| *host != net.addr()).unwrap().to_string();
        let forward = |protocol: &str, ports: &str| {
            let keys = [("protocol", protocol), ("listen_port", ports), ("target_address", target.as_str())];
            let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            Forward { ports: vec![keys], ..Default::default() }
        };
        let create = async |listener: Forward| world.perform(Create { id: network.id, listen, listener }).await.map(drop);
        let rest = Forward { config: [("target_address".to_owned(), target.clone())].into(), ..Default::default() };
        for taken in [forward("tcp", "80-90"), rest] {
            let error = create(taken).await.unwrap_err();
            assert!(error.kind == Kind::Conflict && error.message.contains("device web of instance c1"), "{error}");
            assert!(world.state().networks[&network.id].forwards.is_empty());
        }
        create(forward("udp", "85")).await.unwrap();
        let replace =
            async |listener: Forward| world.perform(Replace { id: network.id, listen, listener, expected: None }).await.map(drop);
        assert_eq!(replace(forward("tcp", "85")).await.unwrap_err().kind, Kind::Conflict);
        replace(forward("tcp", "86")).await.unwrap();
        world.is_whole("after the refusals").await;
    });
}

#[test]
fn the_next_daemon_opens_what_is_lost() {
    let machine = Machine::new();
    let id = machine.daemon(async |world| {
        let id = world.launch("c1").await;
        given(&world, id, &WEB).await.unwrap();
        id
    });
    machine.sim.proxies.lose(id, "web");
    machine.daemon(async |world| {
        assert_eq!(world.sim.proxies.open().len(), 1);
        world.is_whole("after the repair").await;
    });
}
