//! Ports of bridges against a real kernel, in a network namespace of each test's own, which takes root; without it
//! says `skipped` and why. Units are noted, not started; what needs PID 1 or dnsmasq is in `network_host`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

use async_trait::async_trait;
use lxhost_drivers::network::{Networks, Surroundings};
use lxhost_engine::ports::{NetworkChange, NetworkDriver, NetworkKinds, NetworkRecords, Resolver, Units, Zones};
use lxhost_model::{Kind, Network, ObjectId, Result};
use lxhost_netlink::Handle;
use std::process::Command;
use std::sync::Arc;

/// PID 1 that has nothing to do.
struct Idle;

#[async_trait]
impl Units for Idle {
    async fn start_service(&self, _unit: &str) -> Result<()> {
        Ok(())
    }
    async fn restart_service(&self, _unit: &str) -> Result<()> {
        Ok(())
    }
    async fn stop_service(&self, _unit: &str) -> Result<()> {
        Ok(())
    }
    async fn reload_service(&self, _unit: &str) -> Result<()> {
        Ok(())
    }
    async fn is_active(&self, _unit: &str) -> Result<bool> {
        Ok(true)
    }
}

/// A host without a resolver that can be told.
struct Nobody;

#[async_trait]
impl Resolver for Nobody {
    async fn ask_for(&self, _link: u32, _servers: &[std::net::IpAddr], _domain: &str) -> Result<()> {
        Ok(())
    }
    async fn forget(&self, _link: u32) {}
}

#[async_trait]
impl Zones for Nobody {
    async fn cover(&self, _links: std::collections::BTreeSet<String>) -> Result<()> {
        Ok(())
    }
}

struct World {
    links: Handle,
    kinds: Networks,
    driver: Arc<dyn NetworkDriver>,
    _dir: tempfile::TempDir,
}

/// Moves this thread into a new network namespace with interfaces `lan0` and `lan1`.
async fn world() -> Option<World> {
    if let Err(errno) = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET) {
        println!("skipped: no network namespace of its own: {errno}");
        return None;
    }
    if !Command::new("nft").args(["list", "tables"]).output().is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no nft here");
        return None;
    }
    let links = Handle::open().unwrap();
    for (name, far) in [("lan0", "far0"), ("lan1", "far1")] {
        let made = Command::new("ip").args(["link", "add", name, "type", "veth", "peer", "name", far]).status();
        assert!(made.unwrap().success());
    }
    let dir = tempfile::tempdir().unwrap();
    let (run_dir, state_dir) = (dir.path().join("run"), dir.path().join("state"));
    let kinds = Networks::new(Surroundings {
        links: links.clone(),
        units: Arc::new(Idle),
        resolver: Arc::new(Nobody),
        zones: Arc::new(Nobody),
        run_dir,
        state_dir,
    });
    Some(World { driver: kinds.driver("bridge").unwrap(), kinds, links, _dir: dir })
}

fn record(name: &str, seed: u8, keys: &[(&str, &str)]) -> Network {
    Network {
        id: ObjectId::from_random([seed; 16]),
        project: Default::default(),
        name: name.parse().unwrap(),
        kind: "bridge".into(),
        description: String::new(),
        config: keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        forwards: Default::default(),
        load_balancers: Default::default(),
        checkpoint: None,
        created: 0,
        generation: 1,
    }
}

impl World {
    async fn made(&self, name: &str, keys: &[(&str, &str)]) -> Result<Network> {
        let mut network = record(name, 0x31, keys);
        network.config = self.driver.complete(&network, &NetworkRecords::default()).await?;
        self.driver.up(&network, &NetworkRecords::default().with(&network)).await?;
        assert!(self.driver.is_up(&network).await?);
        Ok(network)
    }

    /// Name of the bridge that an interface is a port of.
    async fn bridge_of(&self, name: &str) -> Option<String> {
        let controller = self.links.link(name).await.unwrap().unwrap().controller?;
        self.links.links().await.unwrap().into_iter().find(|link| link.index == controller).map(|link| link.name)
    }
}

#[tokio::test]
async fn a_parent_becomes_a_port_and_is_given_back() {
    let Some(world) = world().await else { return };
    let network = world.made("outer", &[("parent", "lan0")]).await.unwrap();
    assert_eq!((network.config["ipv4.address"].as_str(), network.config["ipv6.address"].as_str()), ("none", "none"));
    assert_eq!(world.bridge_of("lan0").await.as_deref(), Some("outer"));
    assert!(world.links.link("lan0").await.unwrap().unwrap().up);

    // Another parent: the first is the host's again.
    let mut other = network.clone();
    other.config.insert("parent".into(), "lan1".into());
    other.config = world.driver.complete(&other, &NetworkRecords::default()).await.unwrap();
    world.driver.up(&other, &NetworkRecords::default().with(&other)).await.unwrap();
    assert_eq!(world.bridge_of("lan0").await, None);
    assert_eq!(world.bridge_of("lan1").await.as_deref(), Some("outer"));

    // Somebody takes the port away, and the bridge after it.
    let _ = world.links.leave_bridge("lan1").await.unwrap();
    assert!(!world.driver.is_up(&other).await.unwrap());
    world.driver.up(&other, &NetworkRecords::default().with(&other)).await.unwrap();
    assert_eq!(world.bridge_of("lan1").await.as_deref(), Some("outer"));
    let _ = world.links.delete_link("outer").await.unwrap();
    world.driver.up(&other, &NetworkRecords::default().with(&other)).await.unwrap();
    assert_eq!(world.bridge_of("lan1").await.as_deref(), Some("outer"));

    world.driver.down(&other, &NetworkRecords::default()).await.unwrap();
    assert_eq!(world.bridge_of("lan1").await, None);
    assert!(!world.links.link_exists("outer").await.unwrap());
}

#[tokio::test]
async fn an_interface_that_carries_the_hosts_address_is_refused_by_that_address() {
    let Some(world) = world().await else { return };
    let _ = world.links.ensure_addresses("lan0", &["192.0.2.5/24".parse().unwrap()]).await.unwrap();
    let error = world.made("outer", &[("parent", "lan0")]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Conflict);
    assert!(error.message.contains("lan0 has the address 192.0.2.5/24") && error.message.contains("macvlan"), "{error}");
    assert!(!world.links.link_exists("outer").await.unwrap());

    let _ = world.links.ensure_addresses("lan0", &["169.254.7.7/16".parse().unwrap()]).await.unwrap();
    let network = world.made("outer", &[("parent", "lan0")]).await.unwrap();
    let second = record("second", 0x32, &[("bridge.external_interfaces", "lan0")]);
    let error = world.driver.complete(&second, &NetworkRecords::default().with(&network)).await.unwrap_err();
    assert!(error.kind == Kind::Conflict && error.message.contains("network outer"), "{error}");
    let error = world.driver.complete(&second, &NetworkRecords::default()).await.unwrap_err();
    assert!(error.kind == Kind::Conflict && error.message.contains("port of outer"), "{error}");
}

#[tokio::test]
async fn a_parent_that_is_not_there_is_refused_and_one_that_goes_is_missed() {
    let Some(world) = world().await else { return };
    for parent in ["lan7", "lan7.100"] {
        let error = world.made("outer", &[("parent", parent)]).await.unwrap_err();
        assert!(error.kind == Kind::InvalidConfig && error.message.contains("no interface lan7"), "{error}");
    }
    let network = world.made("outer", &[("bridge.external_interfaces", "lan0, lan1")]).await.unwrap();
    let _ = world.links.delete_link("lan1").await.unwrap();
    world.driver.up(&network, &NetworkRecords::default().with(&network)).await.unwrap();
    assert!(world.driver.is_up(&network).await.unwrap(), "it is up without the one that is gone");
    assert_eq!(world.bridge_of("lan0").await.as_deref(), Some("outer"));
    let lo = world.made("outer", &[("parent", "lo")]).await.unwrap_err();
    assert_eq!(lo.kind, Kind::Conflict);
}

#[tokio::test]
async fn a_bridge_keeps_being_ours_when_its_hardware_address_is_chosen_and_changed() {
    let Some(world) = world().await else { return };
    let keys = [("ipv4.address", "none"), ("ipv6.address", "none"), ("bridge.hwaddr", "00:16:3e:aa:00:01")];
    let mut network = world.made("outer", &keys).await.unwrap();
    let mac = async || world.links.link("outer").await.unwrap().unwrap().mac.unwrap();
    assert_eq!(mac().await, [0, 0x16, 0x3e, 0xaa, 0, 1]);
    network.config.insert("bridge.hwaddr".into(), "00:16:3e:aa:00:02".into());
    network.config = world.driver.complete(&network, &NetworkRecords::default()).await.unwrap();
    world.driver.up(&network, &NetworkRecords::default().with(&network)).await.unwrap();
    assert_eq!(mac().await[5], 2);
    network.config.remove("bridge.hwaddr");
    world.driver.up(&network, &NetworkRecords::default().with(&network)).await.unwrap();
    assert_eq!(mac().await[0] & 3, 2, "made of the record again");
    world.driver.down(&network, &NetworkRecords::default()).await.unwrap();
    assert!(!world.links.link_exists("outer").await.unwrap());
}

#[tokio::test]
async fn a_bridge_that_was_flushed_or_renamed_is_seen_and_made_right_again() {
    let Some(world) = world().await else { return };
    let network = world.made("outer", &[("ipv4.address", "10.77.5.1/24"), ("ipv6.address", "none")]).await;
    // Forwarding cannot be turned on everywhere.
    let Ok(network) = network else { return println!("skipped: {}", network.unwrap_err()) };
    let ip = |argv: &[&str]| assert!(Command::new("ip").args(argv).status().unwrap().success(), "{argv:?}");
    for argv in
        [&["address", "flush", "dev", "outer"][..], &["link", "set", "outer", "down"], &["link", "set", "outer", "name", "other"]]
    {
        ip(argv);
        assert!(!world.driver.is_up(&network).await.unwrap(), "{argv:?}");
        world.driver.up(&network, &NetworkRecords::default()).await.unwrap();
        assert!(world.driver.is_up(&network).await.unwrap(), "{argv:?}");
    }
    assert!(!world.links.link_exists("other").await.unwrap(), "it has its own name again");
}

#[tokio::test]
async fn rules_that_somebody_flushes_are_seen_and_written_again_and_our_own_changes_are_not() {
    let Some(world) = world().await else { return };
    let changes = async || {
        let mut seen = Vec::new();
        while let Ok(change) = tokio::time::timeout(std::time::Duration::from_millis(200), world.kinds.next_change()).await {
            seen.push(change.unwrap());
        }
        seen
    };
    assert_eq!(changes().await, []);
    let nft = |words: &str| {
        let output = Command::new("nft").args(words.split(' ')).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    // Docker's chain, as it is before any rule of ours.
    for words in ["add table ip filter", "add chain ip filter DOCKER-USER"] {
        assert!(nft(words).0, "{words}");
    }
    let network = world.made("outer", &[("parent", "lan0"), ("ipv6.address", "none")]).await.unwrap();
    let records = NetworkRecords::default().with(&network);
    let ours = |changes: &[NetworkChange]| changes.iter().filter(|change| **change == NetworkChange::Firewall).count();
    // The chain, and nothing of what we did.
    assert_eq!(ours(&changes().await), 1);
    let before = nft("list table inet lxhost");
    assert!(before.0, "{before:?}");
    for deed in ["flush ruleset", "delete table inet lxhost", "add rule inet lxhost input drop"] {
        assert!(nft(deed).0, "{deed}");
        assert_eq!(ours(&changes().await), 1, "{deed}");
        world.kinds.restore_firewall(&records).await.unwrap();
        assert_eq!(nft("list table inet lxhost"), before, "{deed}");
        assert_eq!(ours(&changes().await), 0, "our own change after {deed}");
    }
    assert!(nft("add table inet other").0);
    assert_eq!(ours(&changes().await), 0);
}
