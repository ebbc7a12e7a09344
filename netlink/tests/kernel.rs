//! The crate against a real kernel. Each test has a network namespace of its own, which takes root; without
//! it says `skipped` and why. Kinds of links that this kernel lacks are skipped by name; the suites in hosts
//! with a kernel of their own try those.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

use lxhost_netlink::{
    Bridge, Change, Done, Dummy, Error, FilterPart, FilterWatch, Handle, Neighbour, PortVlans, Rule, Shared, Sharing,
    StaticRoute, Tag, Vlan, Vxlan, Watch, filter_tables,
};
use std::process::{Child, Command, Stdio};

/// Moves this thread into a new network namespace and opens a connection to it.
fn own_namespace() -> Option<Handle> {
    match nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET) {
        Ok(()) => Some(Handle::open().unwrap()),
        Err(errno) => {
            println!("skipped: no network namespace of its own: {errno}");
            None
        }
    }
}

/// What was made, unless this kernel lacks such links.
fn unless_lacking(made: lxhost_netlink::Result<Done>) -> Option<Done> {
    match made {
        Err(error) if error.errno() == Some(nix::Error::EOPNOTSUPP as i32) => {
            println!("skipped: {error}");
            None
        }
        other => Some(other.unwrap()),
    }
}

/// A process with a network namespace of its own, killed at the end.
struct Guest(Child);

impl Guest {
    fn new() -> Self {
        // `cat` says when the namespace is there: it echoes only after `unshare` has executed it.
        let mut child =
            Command::new("unshare").args(["--net", "--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        use std::io::{Read, Write};
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Guest(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn run(&self, argv: &[&str]) -> String {
        let output = Command::new("nsenter").args(["-n", "-t", &self.pid().to_string(), "--"]).args(argv).output().unwrap();
        assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bridge(name: &str) -> Bridge {
    Bridge::new(name.parse().unwrap(), "0a:00:00:00:00:01".parse().unwrap())
}

#[tokio::test]
async fn a_bridge_is_made_once_adapted_and_removed_once() {
    let Some(handle) = own_namespace() else { return };
    let mut wanted = bridge("nltest-br1");
    assert_eq!(handle.ensure_bridge(&wanted).await.unwrap(), Done::Changed);
    assert_eq!(handle.ensure_bridge(&wanted).await.unwrap(), Done::Already);
    wanted.mtu = Some(1400);
    assert_eq!(handle.ensure_bridge(&wanted).await.unwrap(), Done::Changed);
    assert_eq!(handle.set_up("nltest-br1").await.unwrap(), Done::Changed);
    assert_eq!(handle.set_up("nltest-br1").await.unwrap(), Done::Already);
    let link = handle.link("nltest-br1").await.unwrap().unwrap();
    assert!(link.up && link.has_mac(wanted.mac) && link.mtu == 1400 && link.kind.as_deref() == Some("bridge"));

    let nets = ["10.99.1.1/24".parse().unwrap(), "fd42:99::1/64".parse().unwrap()];
    assert_eq!(handle.ensure_addresses("nltest-br1", &nets).await.unwrap(), Done::Changed);
    assert_eq!(handle.ensure_addresses("nltest-br1", &nets).await.unwrap(), Done::Already);
    let routes = handle.routes().await.unwrap();
    assert!(routes.iter().any(|r| r.destination == "10.99.1.0/24".parse().unwrap() && r.link == Some(link.index)), "{routes:?}");
    assert_eq!(handle.ensure_addresses("nltest-br1", &nets[1..]).await.unwrap(), Done::Changed);
    let addresses = handle.addresses().await.unwrap();
    let ours: Vec<_> = addresses.iter().filter(|a| a.link == link.index && !a.link_local).map(|a| a.net).collect();
    assert_eq!(ours, nets[1..]);

    assert_eq!(handle.delete_bridge("nltest-br1").await.unwrap(), Done::Changed);
    assert_eq!(handle.delete_bridge("nltest-br1").await.unwrap(), Done::Already);
    assert!(!handle.link_exists("nltest-br1").await.unwrap());
}

#[tokio::test]
async fn routes_by_a_link_stay_when_its_addresses_change() {
    let Some(handle) = own_namespace() else { return };
    let name = "nltest-br7";
    let _ = handle.ensure_bridge(&bridge(name)).await.unwrap();
    let _ = handle.set_up(name).await.unwrap();
    let index = handle.link(name).await.unwrap().unwrap().index;
    let promote = |on: &str| std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/promote_secondaries"), on).unwrap();
    let nets = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect::<Vec<ipnet::IpNet>>();
    let own = async || -> Vec<ipnet::IpNet> {
        let all = handle.addresses().await.unwrap();
        all.iter().filter(|a| a.link == index && !a.link_local).map(|a| a.net).collect()
    };
    promote("1");
    let _ = handle.ensure_addresses(name, &nets(&["10.99.1.1/24", "fd42:99::1/64"])).await.unwrap();
    let route = |net: &str, gateway: Option<&str>| StaticRoute {
        gateway: gateway.map(|address| address.parse().unwrap()),
        ..StaticRoute::new(net.parse().unwrap(), name.parse().unwrap())
    };
    let routes =
        [route("198.51.100.0/24", None), route("203.0.113.0/24", Some("10.99.1.9")), route("fd43:99::/64", Some("fd42:99::9"))];
    for route in &routes {
        assert_eq!(handle.ensure_route(route).await.unwrap(), Done::Changed);
    }
    // Another host in the same subnet, a larger subnet, one more, another one; the same address in a smaller one.
    for next in [
        &["10.99.1.254/24", "fd42:99::1/64"][..],
        &["10.99.1.254/22", "fd42:99::2/64"],
        &["10.99.9.1/24", "10.99.1.254/24", "fd42:99::2/80"],
        &["10.99.9.1/24", "fd42:99::2/64"],
    ] {
        assert_eq!(handle.ensure_addresses(name, &nets(next)).await.unwrap(), Done::Changed);
        assert_eq!(handle.ensure_addresses(name, &nets(next)).await.unwrap(), Done::Already);
        let (mut has, mut wanted) = (own().await, nets(next));
        has.sort();
        wanted.sort();
        assert_eq!(has, wanted);
        for route in &routes {
            assert_eq!(handle.ensure_route(route).await.unwrap(), Done::Already, "{} with {next:?}", route.destination);
        }
    }
    // Without promotion, the kernel takes the new address along with the old one.
    promote("0");
    let _ = handle.ensure_addresses(name, &nets(&["10.99.9.2/24"])).await.unwrap();
    assert_eq!(own().await, nets(&["10.99.9.2/24"]));
}

#[tokio::test]
async fn a_link_of_another_kind_is_never_taken_for_a_bridge() {
    let Some(handle) = own_namespace() else { return };
    assert!(matches!(handle.ensure_bridge(&bridge("lo")).await, Err(Error::WrongKind { .. })));
    assert!(matches!(handle.delete_bridge("lo").await, Err(Error::WrongKind { .. })));
}

#[tokio::test]
async fn the_far_end_of_a_pair_is_born_up_in_the_namespace_of_a_process() {
    let Some(handle) = own_namespace() else { return };
    let wanted = bridge("nltest-br2");
    let _ = handle.ensure_bridge(&wanted).await.unwrap();
    let _ = handle.set_up("nltest-br2").await.unwrap();
    let guest = Guest::new();
    let mac = "00:16:3e:01:02:03";
    let begin = std::time::Instant::now();
    handle.veth_into(guest.pid(), "nltest-v2", "nltest-br2", "eth0", mac, Some(1400)).await.unwrap();
    println!("pair made in {:?}", begin.elapsed());

    let near = handle.link("nltest-v2").await.unwrap().unwrap();
    let bridge_index = handle.link("nltest-br2").await.unwrap().unwrap().index;
    assert!(near.up && near.controller == Some(bridge_index) && near.mtu == 1400, "{near:?}");
    assert_eq!(near.mac, Some([0xfe, 0x16, 0x3e, 1, 2, 3]));
    let far = guest.run(&["ip", "-o", "link", "show", "eth0"]);
    assert!(far.contains(mac) && far.contains(",UP") && far.contains("mtu 1400"), "{far}");
    assert!(handle.link("nltest-br2").await.unwrap().unwrap().has_mac(wanted.mac), "the bridge keeps its address");

    let again = handle.veth_into(guest.pid(), "nltest-v2", "nltest-br2", "eth1", mac, None).await;
    assert!(matches!(&again, Err(Error::Exists(name)) if name == "nltest-v2"), "{again:?}");
    let inside = handle.veth_into(guest.pid(), "nltest-v3", "nltest-br2", "eth0", mac, None).await;
    assert!(matches!(&inside, Err(Error::Exists(name)) if name.starts_with("eth0 in")), "{inside:?}");
    assert!(!handle.link_exists("nltest-v3").await.unwrap(), "a refused pair leaves nothing");

    assert_eq!(handle.delete_link("nltest-v2").await.unwrap(), Done::Changed);
    assert_eq!(handle.delete_link("nltest-v2").await.unwrap(), Done::Already);
    assert!(!guest.run(&["ip", "-o", "link"]).contains("eth0"), "both ends go");
    let _ = handle.delete_bridge("nltest-br2").await.unwrap();
}

#[tokio::test]
async fn links_inside_may_be_called_as_one_here_is() {
    let Some(handle) = own_namespace() else { return };
    for name in ["eth0", "eth1"] {
        let _ = handle.ensure_bridge(&bridge(name)).await.unwrap();
    }
    let _ = handle.ensure_bridge(&bridge("nltest-br6")).await.unwrap();
    let guest = Guest::new();
    let mac = "00:16:3e:01:02:06";
    handle.veth_into(guest.pid(), "nltest-v6", "nltest-br6", "eth0", mac, Some(1400)).await.unwrap();
    let far = guest.run(&["ip", "-o", "link", "show", "eth0"]);
    assert!(far.contains(mac) && far.contains(",UP") && far.contains("mtu 1400"), "{far}");
    assert!(handle.link("nltest-v6").await.unwrap().unwrap().up);

    let shared =
        Shared { name: "eth1".parse().unwrap(), parent: "eth0".parse().unwrap(), sharing: Sharing::Bridge, mac: None, mtu: None };
    handle.create_shared_in(guest.pid(), &shared).await.unwrap();
    assert!(guest.run(&["ip", "-o", "-d", "link", "show", "eth1"]).contains("macvlan"));

    let names = async || handle.links().await.unwrap().into_iter().map(|link| link.name).collect::<Vec<_>>();
    let before = names().await;
    let taken = handle.veth_into(guest.pid(), "nltest-v7", "nltest-br6", "eth0", mac, None).await;
    assert!(matches!(&taken, Err(Error::Exists(name)) if name.starts_with("eth0 in")), "{taken:?}");
    assert_eq!(names().await, before, "what is refused leaves nothing");
}

#[tokio::test]
async fn a_pair_is_refused_without_its_bridge_or_its_process() {
    let Some(handle) = own_namespace() else { return };
    let mac = "00:16:3e:01:02:04";
    let lost = handle.veth_into(std::process::id(), "nltest-v4", "nltest-none", "eth9", mac, None).await;
    assert!(matches!(lost, Err(Error::NoSuchLink(_))), "{lost:?}");
    let _ = handle.ensure_bridge(&bridge("nltest-br4")).await.unwrap();
    let mut guest = Guest::new();
    guest.0.kill().unwrap();
    guest.0.wait().unwrap();
    let gone = handle.veth_into(guest.pid(), "nltest-v4", "nltest-br4", "eth9", mac, None).await;
    assert!(matches!(gone, Err(Error::NoSuchProcess(pid)) if pid == guest.pid()), "{gone:?}");
    assert!(!handle.link_exists("nltest-v4").await.unwrap());
    let _ = handle.delete_bridge("nltest-br4").await.unwrap();
}

#[tokio::test]
async fn lists_that_are_asked_for_at_once_are_all_answered() {
    let Some(handle) = own_namespace() else { return };
    let _ = handle.ensure_bridge(&bridge("nltest-br9")).await.unwrap();
    for _ in 0..50 {
        let (links, addresses, routes, again) = tokio::join!(handle.links(), handle.addresses(), handle.routes(), handle.links());
        assert!(links.is_ok() && addresses.is_ok() && routes.is_ok() && again.is_ok(), "{links:?} {addresses:?} {routes:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_no_name_names_no_link() {
    let Ok(handle) = Handle::open() else {
        println!("skipped: no netlink socket here");
        return;
    };
    for name in ["", "../lo", "a b", &"x".repeat(300)] {
        assert_eq!(handle.link(name).await.unwrap(), None);
        assert_eq!(handle.delete_link(name).await.unwrap(), Done::Already);
    }
    assert!(handle.link_exists("lo").await.unwrap());
}

#[tokio::test]
async fn a_bridge_speaks_spanning_tree_and_tells_vlans_apart_when_it_shall() {
    let Some(handle) = own_namespace() else { return };
    let mut wanted = bridge("br0");
    wanted.stp = true;
    assert_eq!(handle.ensure_bridge(&wanted).await.unwrap(), Done::Changed);
    assert_eq!(handle.ensure_bridge(&wanted).await.unwrap(), Done::Already);
    assert_eq!(std::fs::read_to_string("/proc/thread-self/net/dev").unwrap().matches("br0").count(), 1);
    wanted.stp = false;
    assert_eq!(handle.ensure_bridge(&wanted).await.unwrap(), Done::Changed);
    assert_eq!(handle.ensure_bridge(&wanted).await.unwrap(), Done::Already);
    wanted.vlan_filtering = true;
    if unless_lacking(handle.ensure_bridge(&wanted).await) != Some(Done::Changed) {
        return;
    }
    assert_eq!(handle.ensure_bridge(&wanted).await.unwrap(), Done::Already);
    let guest = Guest::new();
    handle.veth_into(guest.pid(), "port", "br0", "eth0", "00:16:3e:00:00:01", None).await.unwrap();
    let vlans = PortVlans { untagged: Some("10".parse().unwrap()), tagged: vec!["20".parse().unwrap(), "30".parse().unwrap()] };
    assert_eq!(handle.ensure_port_vlans("port", &vlans).await.unwrap(), Done::Changed);
    assert_eq!(handle.ensure_port_vlans("port", &vlans).await.unwrap(), Done::Already);
    let all = PortVlans { tagged: (11..=4094).map(|id| lxhost_netlink::VlanId::new(id).unwrap()).collect(), ..vlans.clone() };
    assert_eq!(handle.ensure_port_vlans("port", &all).await.unwrap(), Done::Changed);
    assert_eq!(handle.ensure_port_vlans("port", &all).await.unwrap(), Done::Already);
    let none = PortVlans::default();
    assert_eq!(handle.ensure_port_vlans("port", &none).await.unwrap(), Done::Changed);
    assert_eq!(handle.ensure_port_vlans("port", &none).await.unwrap(), Done::Already);
    assert_eq!(handle.ensure_port_vlans("br0", &vlans).await.unwrap(), Done::Changed);
    assert_eq!(handle.ensure_port_vlans("br0", &vlans).await.unwrap(), Done::Already);
}

#[tokio::test]
async fn a_port_joins_and_leaves_its_bridge_and_may_be_isolated() {
    let Some(handle) = own_namespace() else { return };
    for name in ["br0", "br1"] {
        let _ = handle.ensure_bridge(&bridge(name)).await.unwrap();
    }
    let guest = Guest::new();
    handle.veth_into(guest.pid(), "port", "br0", "eth0", "00:16:3e:00:00:01", None).await.unwrap();
    assert_eq!(handle.ensure_isolation("port", true).await.unwrap(), Done::Changed);
    assert_eq!(handle.ensure_isolation("port", true).await.unwrap(), Done::Already);
    assert_eq!(handle.ensure_hairpin("port", true).await.unwrap(), Done::Changed);
    assert_eq!(handle.ensure_hairpin("port", true).await.unwrap(), Done::Already);
    assert_eq!(handle.ensure_port("port", "br0").await.unwrap(), Done::Already);
    assert_eq!(handle.ensure_port("port", "br1").await.unwrap(), Done::Changed);
    assert_eq!(handle.leave_bridge("port").await.unwrap(), Done::Changed);
    assert_eq!(handle.leave_bridge("port").await.unwrap(), Done::Already);
    assert!(matches!(handle.ensure_port("port", "none").await, Err(Error::NoSuchLink(_))));
}

#[tokio::test]
async fn a_vlan_is_made_once_and_not_taken_for_another() {
    let Some(handle) = own_namespace() else { return };
    let _ = handle.ensure_bridge(&bridge("parent")).await.unwrap();
    for tag in [Tag::Customer, Tag::Provider] {
        let mut vlan = Vlan::new("v100".parse().unwrap(), "parent".parse().unwrap(), "100".parse().unwrap());
        vlan.tag = tag;
        let Some(done) = unless_lacking(handle.ensure_vlan(&vlan).await) else { return };
        assert_eq!(done, Done::Changed);
        assert_eq!(handle.ensure_vlan(&vlan).await.unwrap(), Done::Already);
        vlan.mtu = Some(1400);
        assert_eq!(handle.ensure_vlan(&vlan).await.unwrap(), Done::Changed);
        vlan.id = "101".parse().unwrap();
        assert!(matches!(handle.ensure_vlan(&vlan).await, Err(Error::Differs { what: "VLAN", .. })));
        assert!(matches!(handle.delete_bridge("v100").await, Err(Error::WrongKind { .. })));
        assert_eq!(handle.delete_vlan("v100").await.unwrap(), Done::Changed);
    }
    let orphan = Vlan::new("v1".parse().unwrap(), "none".parse().unwrap(), "1".parse().unwrap());
    assert!(matches!(handle.ensure_vlan(&orphan).await, Err(Error::NoSuchLink(name)) if name == "none"));
}

#[tokio::test]
async fn a_parent_is_shared_by_macvlan_and_ipvlan_here_and_inside() {
    let Some(handle) = own_namespace() else { return };
    for (number, sharing) in [Sharing::Bridge, Sharing::Private, Sharing::Vepa, Sharing::L2, Sharing::L3].into_iter().enumerate()
    {
        let parent = format!("parent{number}");
        let _ = handle.ensure_bridge(&bridge(&parent)).await.unwrap();
        let mac = Some("00:16:3e:00:00:02".parse().unwrap());
        let mut shared = Shared { name: "mine".parse().unwrap(), parent: parent.parse().unwrap(), sharing, mac, mtu: None };
        let Some(done) = unless_lacking(handle.ensure_shared(&shared).await) else { continue };
        assert_eq!(done, Done::Changed);
        assert_eq!(handle.ensure_shared(&shared).await.unwrap(), Done::Already);
        shared.sharing = if sharing.kind() == "macvlan" { Sharing::Passthrough } else { Sharing::L3Symmetric };
        assert!(matches!(handle.ensure_shared(&shared).await, Err(Error::Differs { what: "way of sharing it", .. })));
        assert_eq!(handle.delete_link("mine").await.unwrap(), Done::Changed);
        shared.sharing = sharing;
        shared.name = "eth0".parse().unwrap();
        let guest = Guest::new();
        handle.create_shared_in(guest.pid(), &shared).await.unwrap();
        let inside = guest.run(&["ip", "-o", "link", "show", "eth0"]);
        assert!(inside.contains("eth0@") && inside.contains(",UP"), "{inside}");
        assert!(matches!(handle.create_shared_in(guest.pid(), &shared).await, Err(Error::Exists(_))));
    }
}

#[tokio::test]
async fn a_segment_leads_to_a_group_or_to_hosts() {
    let Some(handle) = own_namespace() else { return };
    let _ = handle.ensure_bridge(&bridge("parent")).await.unwrap();
    let mut wanted = Vxlan::new("vx0".parse().unwrap(), 1000);
    wanted.parent = Some("parent".parse().unwrap());
    wanted.remote = Some("239.0.0.1".parse().unwrap());
    let Some(done) = unless_lacking(handle.ensure_vxlan(&wanted).await) else { return };
    assert_eq!(done, Done::Changed);
    assert_eq!(handle.ensure_vxlan(&wanted).await.unwrap(), Done::Already);
    wanted.segment = 1001;
    assert!(matches!(handle.ensure_vxlan(&wanted).await, Err(Error::Differs { .. })));
    let unicast = Vxlan { local: Some("127.0.0.1".parse().unwrap()), ..Vxlan::new("vx1".parse().unwrap(), 7) };
    assert_eq!(handle.ensure_vxlan(&unicast).await.unwrap(), Done::Changed);
    let hosts = ["192.0.2.1", "192.0.2.2"].map(|host| host.parse().unwrap());
    assert_eq!(handle.ensure_flood_targets("vx1", &hosts).await.unwrap(), Done::Changed);
    assert_eq!(handle.ensure_flood_targets("vx1", &hosts).await.unwrap(), Done::Already);
    assert_eq!(handle.ensure_flood_targets("vx1", &hosts[1..]).await.unwrap(), Done::Changed);
    assert_eq!(handle.ensure_flood_targets("vx1", &hosts[1..]).await.unwrap(), Done::Already);
    assert_eq!(handle.delete_vxlan("vx1").await.unwrap(), Done::Changed);
}

#[tokio::test]
async fn a_dummy_takes_an_address_and_is_renamed_and_moved() {
    let Some(handle) = own_namespace() else { return };
    let dummy = Dummy { name: "d0".parse().unwrap(), mac: Some("00:16:3e:00:00:03".parse().unwrap()), mtu: Some(1300) };
    let Some(done) = unless_lacking(handle.ensure_dummy(&dummy).await) else { return };
    assert_eq!((done, handle.ensure_dummy(&dummy).await.unwrap()), (Done::Changed, Done::Already));
    assert_eq!(handle.rename_link("d0", &"d1".parse().unwrap()).await.unwrap(), Done::Changed);
    let guest = Guest::new();
    handle.move_link("d1", guest.pid()).await.unwrap();
    assert!(guest.run(&["ip", "-o", "link"]).contains("d1"));
    assert!(!handle.link_exists("d1").await.unwrap());
}

#[tokio::test]
async fn routes_rules_and_neighbours_are_made_once_and_taken_away() {
    let Some(handle) = own_namespace() else { return };
    let _ = handle.ensure_bridge(&bridge("br0")).await.unwrap();
    let _ = handle.ensure_addresses("br0", &["10.99.1.1/24".parse().unwrap(), "fd42:99::1/64".parse().unwrap()]).await.unwrap();
    let _ = handle.set_up("br0").await.unwrap();
    let by = |net: &str| StaticRoute::new(net.parse().unwrap(), "br0".parse().unwrap());
    let through = |net: &str, gateway: &str| StaticRoute { gateway: Some(gateway.parse().unwrap()), ..by(net) };
    let elsewhere = StaticRoute { table: Some(1234), metric: Some(50), ..through("0.0.0.0/0", "10.99.1.2") };
    for route in [
        by("10.98.0.0/16"),
        by("fd42:98::/64"),
        through("10.97.0.0/16", "10.99.1.2"),
        through("fd42:97::/64", "fd42:99::2"),
        elsewhere,
    ] {
        assert_eq!(handle.ensure_route(&route).await.unwrap(), Done::Changed, "{route:?}");
        assert_eq!(handle.ensure_route(&route).await.unwrap(), Done::Already, "{route:?}");
        assert_eq!(handle.remove_route(&route).await.unwrap(), Done::Changed, "{route:?}");
        assert_eq!(handle.remove_route(&route).await.unwrap(), Done::Already, "{route:?}");
    }
    let rule =
        |from: &str| Rule { priority: 77, table: 1234, from: Some(from.parse().unwrap()), to: None, input: None, ipv6: false };
    for rule in [rule("10.99.1.7/32"), rule("fd42:99::7/128")] {
        match unless_lacking(handle.ensure_rule(&rule).await) {
            Some(done) => assert_eq!(done, Done::Changed),
            None => continue,
        }
        assert_eq!(handle.ensure_rule(&rule).await.unwrap(), Done::Already);
        assert_eq!(handle.remove_rule(&rule).await.unwrap(), Done::Changed);
        assert_eq!(handle.remove_rule(&rule).await.unwrap(), Done::Already);
    }
    for address in ["10.99.1.9", "fd42:99::9"].map(|address| address.parse().unwrap()) {
        let mac = "00:16:3e:00:00:09".parse().unwrap();
        assert_eq!(handle.ensure_neighbour("br0", address, mac).await.unwrap(), Done::Changed);
        assert_eq!(handle.ensure_neighbour("br0", address, mac).await.unwrap(), Done::Already);
        let link = handle.link("br0").await.unwrap().unwrap().index;
        assert!(handle.neighbours().await.unwrap().contains(&Neighbour { link, address, mac: Some(mac), permanent: true }));
        assert_eq!(handle.ensure_proxy("br0", address).await.unwrap(), Done::Changed);
        assert_eq!(handle.ensure_proxy("br0", address).await.unwrap(), Done::Already);
        assert_eq!(handle.forget_neighbour("br0", address).await.unwrap(), Done::Changed);
        assert_eq!(handle.forget_neighbour("br0", address).await.unwrap(), Done::Already);
    }
}

#[tokio::test]
async fn a_watch_hears_of_links_addresses_and_routes_that_come_and_go() {
    let Some(handle) = own_namespace() else { return };
    let mut watch = Watch::open().unwrap();
    let _ = handle.ensure_bridge(&bridge("br0")).await.unwrap();
    let _ = handle.set_up("br0").await.unwrap();
    let _ = handle.ensure_addresses("br0", &["10.99.1.1/24".parse().unwrap()]).await.unwrap();
    let _ = handle.delete_bridge("br0").await.unwrap();
    let (mut link, mut address, mut route, mut gone) = (false, false, false, false);
    while !(link && address && route && gone) {
        match watch.next().await.unwrap() {
            Change::Link(seen) => link |= seen.name == "br0" && seen.up,
            Change::Address(seen) => address |= seen.net == "10.99.1.1/24".parse().unwrap(),
            Change::Route(seen) => route |= seen.destination == "10.99.1.0/24".parse().unwrap(),
            Change::LinkGone(seen) => gone |= seen.name == "br0",
            Change::AddressGone(_) | Change::RouteGone(_) => {}
        }
    }
}

#[tokio::test]
async fn a_watch_of_the_filter_hears_who_flushes_a_table() {
    let Some(_) = own_namespace() else { return };
    let nft = |words: &str| {
        let mut child = Command::new("nft").arg(words).spawn().unwrap();
        (child.id(), child.wait().unwrap().success())
    };
    if !nft("add table inet ours").1 {
        println!("skipped: there is no nft here");
        return;
    }
    let mut watch = FilterWatch::open().unwrap();
    let (maker, _) = nft("add chain inet ours one; add rule inet ours one accept");
    let change = watch.next().await.unwrap();
    let part = |chain: Option<&str>, gone| FilterPart { table: "ours".into(), chain: chain.map(Into::into), gone };
    assert_eq!((change.by, change.program.as_str()), (maker, "nft"));
    assert_eq!(change.parts, [part(Some("one"), false)].into());
    let (flusher, _) = nft("flush ruleset");
    let change = watch.next().await.unwrap();
    assert_eq!(change.by, flusher);
    assert!(change.parts.contains(&part(None, true)) && change.parts.contains(&part(Some("one"), true)), "{change:?}");
}

#[tokio::test]
async fn tables_of_the_filter_are_listed_by_family_and_name() {
    let Some(_) = own_namespace() else { return };
    let nft = |words: &str| Command::new("nft").arg(words).status().unwrap().success();
    if !nft("add table inet ours; add table bridge ours; add table ip filter") {
        println!("skipped: there is no nft here");
        return;
    }
    let listed = || async {
        let tables = filter_tables().await.unwrap();
        tables.into_iter().map(|table| format!("{} {}", table.family, table.name)).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, ["bridge ours", "inet ours", "ip filter"]);
    assert!(nft("flush ruleset"));
    assert!(listed().await.is_empty());
}
