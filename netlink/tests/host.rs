//! The crate against a real kernel. Needs root and a network namespace that nobody else uses, which
//! a test host has; elsewhere each test says `skipped` and why. Run with LXHOST_HOST_TEST=1.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

use lxhost_netlink::{Bridge, Done, Error, Handle};
use std::process::{Child, Command, Stdio};

/// Whether this is a host on which links may be made and removed.
fn may_change_links() -> bool {
    let allowed = std::env::var_os("LXHOST_HOST_TEST").is_some_and(|v| v == "1");
    if !allowed {
        println!("skipped: changes network interfaces; set LXHOST_HOST_TEST=1 on a throw-away host");
    }
    allowed
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
    Bridge { name: name.parse().unwrap(), mac: "0a:00:00:00:00:01".parse().unwrap(), mtu: None }
}

#[tokio::test]
async fn a_bridge_is_made_once_adapted_and_removed_once() {
    if !may_change_links() {
        return;
    }
    let handle = Handle::open().unwrap();
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
async fn a_link_of_another_kind_is_never_taken_for_a_bridge() {
    if !may_change_links() {
        return;
    }
    let handle = Handle::open().unwrap();
    assert!(matches!(handle.ensure_bridge(&bridge("lo")).await, Err(Error::WrongKind { .. })));
    assert!(matches!(handle.delete_bridge("lo").await, Err(Error::WrongKind { .. })));
}

#[tokio::test]
async fn the_far_end_of_a_pair_is_born_up_in_the_namespace_of_a_process() {
    if !may_change_links() {
        return;
    }
    let handle = Handle::open().unwrap();
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
async fn a_pair_is_refused_without_its_bridge_or_its_process() {
    if !may_change_links() {
        return;
    }
    let handle = Handle::open().unwrap();
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
