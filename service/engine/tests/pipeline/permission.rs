//! Who is asked what, and that an answer holds for what it was given for.

use crate::world::{Machine, World, mia};
use lxhost_engine::{Kind, Output, Result, instance, network, profile};
use lxhost_model::checkpoint::Trial;
use lxhost_model::device::Device;
use lxhost_model::{Action, ObjectId, Profile, Status};
use lxhost_sim::Ruling;

/// A profile that hands part of the host to its instances.
async fn privileged_profile(world: &World) {
    let name = "data".parse().unwrap();
    let keys = [("type", "disk"), ("source", "/etc"), ("path", "/mnt")];
    let device = Device::new(&name, keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()).unwrap();
    let profile = Profile {
        id: ObjectId::from_random(world.engine.host().random()),
        project: Default::default(),
        name: "host".parse().unwrap(),
        description: String::new(),
        config: Default::default(),
        devices: [(name, device)].into(),
        created: 0,
        generation: 0,
    };
    world.perform(profile::Create::new(profile).unwrap()).await.unwrap();
}

fn with_profiles(profiles: &[&str]) -> instance::Spec {
    let profiles = profiles.iter().map(|name| name.parse().unwrap()).collect();
    instance::Spec { profiles: Some(profiles), ..Default::default() }
}

#[test]
fn what_equals_root_is_asked_about_even_when_the_image_is_not_here_yet() {
    Machine::new().daemon(async |world| {
        privileged_profile(&world).await;
        world.sim.authority.rule(1000, Action::InstanceConfigurePrivileged, Ruling::No);
        let create = world.create_as("c1", with_profiles(&["default", "host"]));
        let error = world.engine.perform(&mia(), create).await.unwrap_err();
        assert_eq!(error.kind, Kind::AccessDenied);
        assert!(world.state().instances.is_empty());
        // The same for one that exists, and for a copy.
        world.perform(world.create("c1", false)).await.unwrap();
        let id = world.id("c1").unwrap();
        let change = instance::Change { profiles: with_profiles(&["default", "host"]).profiles, ..Default::default() };
        let error = world.engine.perform(&mia(), instance::Configure::new(id, change).unwrap()).await.unwrap_err();
        assert_eq!(error.kind, Kind::AccessDenied);
        let source = instance::Source::Copy(instance::Original::whole(id));
        let random = world.engine.host().random();
        let copy = instance::Create::new(Default::default(), None, source, with_profiles(&["host"]), random).unwrap();
        assert_eq!(world.engine.perform(&mia(), copy).await.unwrap_err().kind, Kind::AccessDenied);
        assert_eq!(world.state().instances.len(), 1);
    });
}

#[test]
fn what_reaches_links_of_the_host_is_asked_about_by_name() {
    let with = |id, kind: &str| {
        let name = "wan".parse().unwrap();
        let keys = [("type", "nic"), ("nictype", kind), ("parent", "eth0")];
        let keys = keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let devices = [(name, Device::new(&"wan".parse().unwrap(), keys).unwrap())].into();
        instance::Configure::new(id, instance::Change { devices: Some(devices), ..Default::default() }).unwrap()
    };
    Machine::new().daemon(async |world| {
        world.perform(world.create("c1", false)).await.unwrap();
        let id = world.id("c1").unwrap();
        world.sim.authority.rule(1000, Action::NetworkAttachPhysical, Ruling::No);
        let error = world.engine.perform(&mia(), with(id, "macvlan")).await.unwrap_err();
        assert_eq!(error.kind, Kind::AccessDenied);
        world.sim.authority.rule(1000, Action::NetworkAttachPhysical, Ruling::Yes);
        world.sim.authority.rule(1000, Action::InstanceConfigurePrivileged, Ruling::No);
        // A link that the guest has to itself equals root on the host.
        let error = world.engine.perform(&mia(), with(id, "physical")).await.unwrap_err();
        assert_eq!(error.kind, Kind::AccessDenied);
        world.engine.perform(&mia(), with(id, "macvlan")).await.unwrap();
    });
}

#[test]
fn a_network_over_an_interface_of_the_host_is_asked_about_by_name() {
    let keys = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    Machine::new().daemon(async |world| {
        let create = |name: &str, config| {
            network::Create::new(world.engine.ports(), Default::default(), name.parse().unwrap(), "bridge", config).unwrap()
        };
        world.sim.authority.rule(1000, Action::NetworkAttachPhysical, Ruling::No);
        for (key, value) in [("parent", "eth1"), ("bridge.external_interfaces", "eth1")] {
            let error = world.engine.perform(&mia(), create("wide", keys(key, value))).await.unwrap_err();
            assert_eq!(error.kind, Kind::AccessDenied, "{key}");
        }
        assert!(world.state().networks.is_empty());
        // One without is hers, and stays without.
        let made = create("narrow", keys("bridge.external_interfaces", ""));
        let id = made.id();
        world.engine.perform(&mia(), made).await.unwrap();
        let widen = || {
            let config = keys("bridge.external_interfaces", "eth1");
            network::Replace { id, config, description: None, expected: None }
        };
        assert_eq!(world.engine.perform(&mia(), widen()).await.unwrap_err().kind, Kind::AccessDenied);
        let tried = network::Tried::new(widen(), Trial::of_usec(60_000_000).unwrap());
        assert_eq!(world.engine.perform(&mia(), tried).await.unwrap_err().kind, Kind::AccessDenied);
        world.sim.authority.rule(1000, Action::NetworkAttachPhysical, Ruling::Yes);
        world.engine.perform(&mia(), widen()).await.unwrap();
    });
}

/// Lets Mia ask for `verb`, does `meanwhile` while she looks for her password, and says what came of it.
async fn meanwhile(world: &World, verb: impl lxhost_engine::Verb, meanwhile: impl AsyncFnOnce()) -> Result<Output> {
    world.sim.authority.take_asked();
    world.sim.authority.hold(true);
    let engine = world.engine.clone();
    let asking = tokio::spawn(async move { engine.perform(&mia(), verb).await });
    while world.sim.authority.take_asked().is_empty() {
        tokio::task::yield_now().await;
    }
    meanwhile().await;
    world.sim.authority.hold(false);
    let result = asking.await.unwrap();
    world.rest().await;
    result
}

#[test]
fn an_answer_about_one_name_does_not_hold_for_another() {
    Machine::new().daemon(async |world| {
        world.perform(world.create("harmless", false)).await.unwrap();
        let id = world.id("harmless").unwrap();
        let renamed = meanwhile(&world, instance::Start::new(id), async || {
            world.perform(instance::Rename::new(id, "precious".parse().unwrap())).await.unwrap();
        });
        assert_eq!(renamed.await.unwrap_err().kind, Kind::Conflict);
        assert_eq!(world.status("precious"), Some(Status::Stopped));
        world.engine.perform(&mia(), instance::Start::new(id)).await.unwrap();
    });
}

#[test]
fn an_answer_about_a_harmless_profile_does_not_hold_when_it_gets_a_part_of_the_host() {
    Machine::new().daemon(async |world| {
        world.perform(world.create("c1", false)).await.unwrap();
        privileged_profile(&world).await;
        world.sim.authority.rule(1000, Action::InstanceConfigurePrivileged, Ruling::No);
        let created = meanwhile(&world, world.create("c2", false), async || {
            let state = world.state();
            let of = |name: &str| state.profile(&Default::default(), &name.parse().unwrap()).unwrap().clone();
            let (default, host) = (of("default"), of("host"));
            let devices = default.devices.clone().into_iter().chain(host.devices.clone()).collect();
            let replace =
                profile::Replace { id: default.id, config: Default::default(), devices, description: None, expected: None };
            world.perform(replace).await.unwrap();
        });
        assert_eq!(created.await.unwrap_err().kind, Kind::Conflict);
        assert_eq!(world.id("c2"), None);
        world.is_whole("after the refusal").await;
    });
}

#[test]
fn a_change_that_could_not_be_made_when_it_was_asked_about_is_not_made_later() {
    Machine::new().daemon(async |world| {
        world.perform(world.create("c1", false)).await.unwrap();
        world.sim.authority.rule(1000, Action::InstanceConfigurePrivileged, Ruling::No);
        let id = world.id("c1").unwrap();
        // The profile does not exist yet: nothing about it equals root, and there is nothing to ask.
        let profiles = with_profiles(&["default", "host"]).profiles;
        let change = instance::Change { profiles, ..Default::default() };
        let changed = meanwhile(&world, instance::Configure::new(id, change).unwrap(), async || privileged_profile(&world).await);
        assert_eq!(changed.await.unwrap_err().kind, Kind::Conflict);
        assert_eq!(world.state().instances[&id].profiles.len(), 1);
    });
}
