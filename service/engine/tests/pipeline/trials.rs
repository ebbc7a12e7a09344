//! Changes of networks that are undone by themselves unless somebody confirms them: the record, and the routes that the
//! host had, become what they were, whatever became of the daemon meanwhile.

use crate::world::{Machine, World};
use lxhost_engine::network::listener::Create as Listen;
use lxhost_engine::network::{Confirm, Create, Delete, Rename, Replace, RollBack, Tried};
use lxhost_engine::{Kind, Result, Verb, instance};
use lxhost_model::checkpoint::{Trial, Way};
use lxhost_model::config::Config;
use lxhost_model::device::Device;
use lxhost_model::{Forward, Network, ObjectId};
use std::sync::Arc;

const SECOND: u64 = 1_000_000;
/// Long enough for everything but its end.
const HOUR: u64 = 3600 * SECOND;

fn trial(usec: u64) -> Trial {
    Trial::of_usec(usec).unwrap()
}

pub(crate) fn network(world: &World) -> Option<Arc<Network>> {
    world.state().networks.values().find(|network| network.name.as_str().starts_with("br")).cloned()
}

fn id(world: &World) -> ObjectId {
    network(world).unwrap().id
}

fn keys(pairs: &[(&str, &str)]) -> Config {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Its keys before the change, and after it.
const OLD: &[(&str, &str)] = &[("ipv4.address", "10.9.1.1/24"), ("bridge.external_interfaces", "eth1")];
const NEW: &[(&str, &str)] = &[("ipv4.address", "10.9.2.1/24")];

/// What the host is reached by: a default route through the bridge, and one by its port.
fn ways() -> Vec<(&'static str, Way)> {
    let way = |to: &str, gateway: Option<&str>| Way {
        destination: to.parse().unwrap(),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        source: None,
        table: 254,
        metric: 0,
        protocol: 4,
        on_link: false,
    };
    vec![("br1", way("0.0.0.0/0", Some("10.9.1.254"))), ("eth1", way("10.8.0.0/16", None))]
}

pub(crate) fn create(world: &World) -> Create {
    Create::new(world.engine.ports(), Default::default(), "br1".parse().unwrap(), "bridge", keys(OLD)).unwrap()
}

/// A network with a port of the host, and routes that lead by both.
pub(crate) async fn bridge(world: &World) {
    world.perform(create(world)).await.unwrap();
    ways().into_iter().for_each(|(interface, way)| world.sim.networks.route(interface, way));
}

pub(crate) fn has_ways(world: &World) -> bool {
    let routes = world.sim.networks.routes();
    ways().iter().all(|(interface, way)| routes.get(*interface).is_some_and(|there| there.contains(way)))
}

pub(crate) fn replace(world: &World) -> Replace {
    Replace { id: id(world), config: keys(NEW), description: None, expected: None }
}

pub(crate) fn tried<V: Verb>(verb: V) -> Tried<V> {
    Tried::new(verb, trial(HOUR))
}

/// A network whose change, or deletion, waits to be confirmed.
pub(crate) async fn waiting<V: Verb>(world: &World, verb: impl Fn(&World) -> V) {
    bridge(world).await;
    world.perform(tried(verb(world))).await.unwrap();
}

pub(crate) async fn confirm(world: &World) -> Result<()> {
    world.perform(Confirm::new(id(world))).await.map(drop)
}

pub(crate) async fn roll_back(world: &World) -> Result<()> {
    world.perform(RollBack::new(id(world))).await.map(drop)
}

/// Whether the network is as it was made, on the host too, and nothing waits.
pub(crate) fn is_old(world: &World) -> bool {
    let Some(network) = network(world) else { return false };
    let there = world.sim.networks.configs().get(&network.id) == Some(&keys(OLD));
    network.config == keys(OLD) && network.name.as_str() == "br1" && network.checkpoint.is_none() && there && has_ways(world)
}

/// Whether it is as it was changed, and whether that still waits.
pub(crate) fn is_new(world: &World, waits: bool) -> bool {
    network(world).is_some_and(|network| {
        let there = world.sim.networks.configs().get(&network.id) == Some(&keys(NEW));
        network.config == keys(NEW) && there && network.checkpoint.is_some() == waits
    })
}

#[test]
fn what_nobody_confirms_is_undone_with_the_routes_of_the_host() {
    Machine::new().daemon(async |world| {
        bridge(&world).await;
        let before = network(&world).unwrap();
        world.engine.perform(&crate::world::root(), Tried::new(replace(&world), trial(SECOND))).await.unwrap();
        world.until(is_old).await;
        let after = network(&world).unwrap();
        assert_eq!(Network { generation: before.generation, ..Network::clone(&after) }, *before);
        assert!(after.generation > before.generation, "whoever read it meanwhile has to read it again");
        world.rest().await;
        assert!(world.engine.jobs().iter().any(|job| job.verb == "network.roll-back"));
        world.is_whole("after the change was undone").await;
        // It can be changed again, and a change without a term stays.
        world.perform(replace(&world)).await.unwrap();
        assert!(is_new(&world, false) && !has_ways(&world));
    });
}

#[test]
fn what_somebody_confirms_stays() {
    Machine::new().daemon(async |world| {
        waiting(&world, replace).await;
        assert!(is_new(&world, true));
        confirm(&world).await.unwrap();
        assert!(is_new(&world, false));
        for done in [confirm(&world).await, roll_back(&world).await] {
            assert_eq!(done.unwrap_err().kind, Kind::InvalidState);
        }
        world.is_whole("after the change was confirmed").await;
    });
}

#[test]
fn the_time_runs_on_while_there_is_no_daemon() {
    let machine = Machine::new();
    machine.daemon(async |world| {
        bridge(&world).await;
        let root = crate::world::root();
        world.engine.perform(&root, Tried::new(replace(&world), trial(SECOND))).await.unwrap();
        assert!(network(&world).unwrap().checkpoint.is_some());
    });
    machine.daemon(async |world| {
        world.until(is_old).await;
        world.rest().await;
        world.is_whole("after a daemon came back").await;
    });
}

#[test]
fn while_a_change_waits_no_other_is_taken() {
    Machine::new().daemon(async |world| {
        waiting(&world, replace).await;
        let seen = world.seen();
        let id = id(&world);
        let forward = Listen { id, listen: "192.0.2.1".parse().unwrap(), listener: Forward::default() };
        let refusals = [
            world.perform(replace(&world)).await,
            world.perform(tried(replace(&world))).await,
            world.perform(Rename::new(id, "br2".parse().unwrap())).await,
            world.perform(Delete::new(id)).await,
            world.perform(forward).await,
        ];
        for refused in refusals {
            let error = refused.unwrap_err();
            assert_eq!(error.kind, Kind::InvalidState, "{error}");
            assert!(error.message.contains("network confirm br1") && error.message.contains("network rollback br1"), "{error}");
        }
        // Nor is what it was before given to somebody else.
        let other =
            |name: &str, config| Create::new(world.engine.ports(), Default::default(), name.parse().unwrap(), "bridge", config);
        let overlap = world.perform(other("n2", keys(&[("ipv4.address", "10.9.1.77/24")])).unwrap()).await;
        assert_eq!(overlap.unwrap_err().kind, Kind::Conflict);
        assert_eq!(world.seen(), seen);
        roll_back(&world).await.unwrap();
        assert!(is_old(&world));
    });
}

#[test]
fn a_renamed_network_gets_its_name_back_which_nobody_else_had() {
    Machine::new().daemon(async |world| {
        waiting(&world, |world| Rename::new(id(world), "br2".parse().unwrap())).await;
        let taken = world.perform(create(&world)).await.unwrap_err();
        assert_eq!(taken.kind, Kind::AlreadyExists);
        roll_back(&world).await.unwrap();
        assert!(is_old(&world));
        world.is_whole("after the name came back").await;
    });
}

#[test]
fn nobody_joins_a_network_that_may_be_gone_in_a_moment() {
    Machine::new().daemon(async |world| {
        world.perform(world.create("c1", false)).await.unwrap();
        let attach = |world: &World| {
            let name: lxhost_model::name::DeviceName = "eth1".parse().unwrap();
            let device = Device::new(&name, keys(&[("type", "nic"), ("network", "br1")])).unwrap();
            let change = instance::Change { devices: Some([(name, device)].into()), ..Default::default() };
            instance::Configure::new(world.id("c1").unwrap(), change).unwrap()
        };
        world.perform(tried(create(&world))).await.unwrap();
        assert_eq!(world.perform(attach(&world)).await.unwrap_err().kind, Kind::InvalidState);
        confirm(&world).await.unwrap();
        world.perform(tried(Delete::new(id(&world)))).await.unwrap();
        assert!(!world.sim.networks.are_up().contains(&id(&world)), "it is gone from the host");
        assert_eq!(world.perform(attach(&world)).await.unwrap_err().kind, Kind::InvalidState);
        roll_back(&world).await.unwrap();
        world.perform(attach(&world)).await.unwrap();
        world.is_whole("after all").await;
    });
}

#[test]
fn a_creation_that_nobody_confirms_leaves_nothing() {
    Machine::new().daemon(async |world| {
        let up = world.sim.networks.are_up();
        world.engine.perform(&crate::world::root(), Tried::new(create(&world), trial(SECOND))).await.unwrap();
        world.until(|world| network(world).is_none()).await;
        world.rest().await;
        assert_eq!(world.sim.networks.are_up(), up);
        world.is_whole("after it is gone").await;
    });
}
