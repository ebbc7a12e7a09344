//! Managed bridges on a real host: kernel, nft, PID 1 and dnsmasq in its installed unit, guests
//! that are network namespaces with busybox' DHCP client. Changes the host, so it runs only with
//! LXHOST_HOST_TEST=1, as root, where the unit is installed; elsewhere it says `skipped` and why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

use async_trait::async_trait;
use lxhost_drivers::network::{Networks, Surroundings};
use lxhost_engine::ports::{NetworkDriver, NetworkKinds, NetworkRecords, NicKind, NicPlan, Resolver, Units, Zones};
use lxhost_model::{Error, Kind, Network, ObjectId, Result};
use lxhost_netlink::{Bridge, Handle};
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn may_change_the_host() -> bool {
    if std::env::var_os("LXHOST_HOST_TEST").is_none_or(|v| v != "1") {
        println!("skipped: changes the host; set LXHOST_HOST_TEST=1 on a throw-away host");
        return false;
    }
    if !output("systemctl", &["cat", "lxhost-dnsmasq@.service"]).0 {
        println!("skipped: lxhost-dnsmasq@.service is not installed here");
        return false;
    }
    true
}

fn output(program: &str, argv: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(argv).env("LC_ALL", "C").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// PID 1 by its own tool.
struct Systemctl;

impl Systemctl {
    fn run(verb: &str, unit: &str) -> Result<()> {
        match output("systemctl", &[verb, "--", unit]) {
            (true, _) => Ok(()),
            (false, said) => Err(Error::failed(format!("{verb} {unit}: {said}"))),
        }
    }
}

#[async_trait]
impl Units for Systemctl {
    async fn start_service(&self, unit: &str) -> Result<()> {
        Systemctl::run("start", unit)
    }
    async fn restart_service(&self, unit: &str) -> Result<()> {
        Systemctl::run("restart", unit)
    }
    async fn stop_service(&self, unit: &str) -> Result<()> {
        Systemctl::run("stop", unit)
    }
    async fn reload_service(&self, unit: &str) -> Result<()> {
        if self.is_active(unit).await? { Systemctl::run("reload", unit) } else { Ok(()) }
    }
    async fn is_active(&self, unit: &str) -> Result<bool> {
        Ok(output("systemctl", &["is-active", "--", unit]).0)
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

/// A network namespace with a process in it.
struct Guest(Child);

impl Guest {
    fn new() -> Self {
        let mut child =
            Command::new("unshare").args(["--net", "--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // The echo comes when `cat` runs, and then the namespace is there.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Guest(child)
    }

    fn run(&self, argv: &[&str]) -> (bool, String) {
        let pid = self.0.id().to_string();
        output("nsenter", &[&["-n", "-t", &pid, "--"], argv].concat())
    }

    fn dhcp(&self, script: &str) -> Ipv4Addr {
        let (got, said) = self.run(&["busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "8", "-T", "1", "-s", script]);
        assert!(got, "{said}");
        let (_, addresses) = self.run(&["ip", "-o", "-4", "address", "show", "dev", "eth0"]);
        let address = addresses.split_whitespace().skip_while(|w| *w != "inet").nth(1).unwrap_or_else(|| panic!("{addresses}"));
        address.split('/').next().unwrap().parse().unwrap()
    }

    /// Whether the bridge's DNS gives `answer` for `name`.
    fn resolves(&self, kind: &str, name: &str, server: &str, answer: &str) -> bool {
        let (_, said) = self.run(&["busybox", "nslookup", &format!("-type={kind}"), name, server]);
        said.lines().any(|line| line.starts_with("Address") && line.split_whitespace().next_back() == Some(answer))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until the answer is yes, or 20 seconds have gone; says how long it took.
async fn eventually(what: &str, mut ask: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !ask() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("{what}: after {:?}", begin.elapsed());
    begin.elapsed()
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

fn nic(hostname: &str, seed: u8) -> NicPlan {
    NicPlan {
        instance: ObjectId::from_random([seed; 16]),
        hostname: hostname.into(),
        name: "eth0".into(),
        mac: format!("00:16:3e:00:00:{seed:02x}"),
        ipv4: None,
        ipv6: None,
        mtu: None,
        nic: lxhost_model::device::Nic::default(),
    }
}

struct Host {
    links: Handle,
    driver: Arc<dyn NetworkDriver>,
}

fn host() -> Host {
    let links = Handle::open().unwrap();
    let (run_dir, state_dir) = ("/run/lxhost".into(), "/var/lib/lxhost".into());
    let kinds = Networks::new(Surroundings {
        links: links.clone(),
        units: Arc::new(Systemctl),
        resolver: Arc::new(Nobody),
        zones: Arc::new(Nobody),
        run_dir,
        state_dir,
    });
    Host { driver: kinds.driver("bridge").unwrap(), links }
}

impl Host {
    async fn attach(&self, network: &Network, plan: &NicPlan) -> Guest {
        let guest = Guest::new();
        let spec = self.driver.join(network, plan).await.unwrap();
        let NicKind::Bridged(port) = &spec.kind else { panic!("{spec:?}") };
        let mac = spec.mac.as_deref().unwrap();
        self.links.veth_into(guest.0.id(), &port.end.name, &port.bridge, &spec.name, mac, spec.mtu).await.unwrap();
        guest
    }
}

fn udhcpc_script(dir: &Path) -> String {
    let script = dir.join("udhcpc");
    let text = "#!/bin/sh\n[ \"$1\" != bound ] || { ip address replace \"$ip/$mask\" dev \"$interface\" && ip route replace default via \"$router\"; }\n";
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script.to_str().unwrap().to_owned()
}

/// Everything a network may leave behind.
fn traces(interface: &str) -> Vec<String> {
    let mut traces: Vec<String> = Vec::new();
    for path in [
        format!("/sys/class/net/{interface}"),
        format!("/run/lxhost/networks/{interface}"),
        format!("/var/lib/lxhost/dnsmasq/{interface}"),
    ] {
        traces.extend(Path::new(&path).exists().then_some(path));
    }
    let (_, rules) = output("nft", &["list", "ruleset"]);
    traces.extend(rules.lines().filter(|line| line.contains(interface)).map(str::to_owned));
    let (_, units) =
        output("systemctl", &["list-units", "--all", "--plain", "--no-legend", &format!("lxhost-dnsmasq@{interface}*")]);
    traces.extend(units.lines().map(str::to_owned));
    traces
}

/// The guest reaches a host that has no way back to it but through masquerade; that host does not
/// reach the DNS server of the guest's bridge.
async fn masqueraded_but_not_open(host: &Host, guest: &Guest, server: &str) {
    let bridge = Bridge::new("nltest-out".parse().unwrap(), "0a:00:00:00:00:0f".parse().unwrap());
    let _ = host.links.ensure_bridge(&bridge).await.unwrap();
    let nets = ["192.0.2.1/24".parse().unwrap(), "2001:db8::1/64".parse().unwrap()];
    let _ = host.links.ensure_addresses("nltest-out", &nets).await.unwrap();
    let _ = host.links.set_up("nltest-out").await.unwrap();
    let outside = Guest::new();
    host.links.veth_into(outside.0.id(), "nltest-vout", "nltest-out", "eth0", "00:16:3e:00:00:0f", None).await.unwrap();
    assert!(outside.run(&["ip", "address", "add", "192.0.2.2/24", "dev", "eth0"]).0);
    assert!(outside.run(&["ip", "address", "add", "2001:db8::2/64", "dev", "eth0", "nodad"]).0);
    for target in ["192.0.2.2", "2001:db8::2"] {
        let (reached, said) = guest.run(&["ping", "-c1", "-W5", target]);
        assert!(reached, "{said}");
    }
    assert!(outside.run(&["ip", "route", "add", "default", "via", "192.0.2.1"]).0);
    assert!(outside.run(&["ping", "-c1", "-W5", server]).0, "the way to the bridge is there");
    let (_, said) = outside.run(&["timeout", "2", "busybox", "nslookup", "c2", server]);
    assert!(!said.contains("Name:"), "{said}");
    let _ = host.links.delete_link("nltest-vout").await.unwrap();
    let _ = host.links.delete_bridge("nltest-out").await.unwrap();
}

#[tokio::test]
async fn guests_get_addresses_and_find_each_other_by_name_and_down_leaves_nothing() {
    if !may_change_the_host() {
        return;
    }
    let host = host();
    let dir = tempfile::tempdir().unwrap();
    let script = udhcpc_script(dir.path());
    let mut network = record("lxtest1", 0x11, &[]);
    network.config = host.driver.complete(&network, &NetworkRecords::default()).await.unwrap();
    println!("{:?}", network.config);
    let begin = Instant::now();
    host.driver.up(&network, &NetworkRecords::default().with(&network)).await.unwrap();
    println!("up: {:?}", begin.elapsed());
    let begin = Instant::now();
    host.driver.up(&network, &NetworkRecords::default().with(&network)).await.unwrap();
    println!("up again: {:?}", begin.elapsed());
    assert!(host.driver.is_up(&network).await.unwrap());

    let (c1, c2) = (host.attach(&network, &nic("c1", 1)).await, host.attach(&network, &nic("c2", 2)).await);
    let begin = Instant::now();
    let (first, second) = (c1.dhcp(&script), c2.dhcp(&script));
    println!("two addresses: {:?}", begin.elapsed());
    let server = network.config["ipv4.address"].split('/').next().unwrap().to_owned();
    for name in ["c2", "c2.lxhost"] {
        eventually(name, || c1.resolves("a", name, &server, &second.to_string())).await;
    }
    eventually("c1 from c2", || c2.resolves("a", "c1", &server, &first.to_string())).await;
    let prefix = network.config["ipv6.address"].strip_suffix(":1/64").unwrap().trim_end_matches(':').to_owned();
    let v6 = format!("{prefix}:216:3eff:fe00:2");
    eventually("AAAA of c2", || c1.resolves("aaaa", "c2", &server, &v6)).await;
    eventually("PTR of c2", || c1.run(&["busybox", "nslookup", &second.to_string(), &server]).1.contains("c2.lxhost")).await;
    assert!(c1.run(&["ping", "-c1", "-W5", &v6]).0 && c1.run(&["ping", "-c1", "-W5", &second.to_string()]).0);

    masqueraded_but_not_open(&host, &c1, &server).await;

    let leases = host.driver.leases(&network).await.unwrap();
    let c1_lease = leases.iter().find(|l| l.hostname == "c1").unwrap();
    assert_eq!((c1_lease.mac.as_str(), c1_lease.address), ("00:16:3e:00:00:01", first.into()));
    assert!(c1_lease.expires > 0);

    host.driver.leave(&network, nic("c1", 1).instance, None).await.unwrap();
    host.driver.leave(&network, nic("c1", 1).instance, None).await.unwrap();
    eventually("c1 is forgotten", || !c2.resolves("a", "c1", &server, &first.to_string())).await;
    assert!(host.driver.leases(&network).await.unwrap().iter().all(|l| l.hostname != "c1"), "its lease is given back");

    host.driver.down(&network, &NetworkRecords::default()).await.unwrap();
    assert_eq!(traces("lxtest1"), Vec::<String>::new());
    assert!(!host.driver.is_up(&network).await.unwrap());
    host.driver.down(&network, &NetworkRecords::default()).await.unwrap();
}

#[tokio::test]
async fn up_repairs_what_somebody_took_away() {
    if !may_change_the_host() {
        return;
    }
    let host = host();
    let dir = tempfile::tempdir().unwrap();
    let script = udhcpc_script(dir.path());
    let mut network = record("lxtest2", 0x22, &[("bridge.mtu", "1400")]);
    network.config = host.driver.complete(&network, &NetworkRecords::default()).await.unwrap();
    host.driver.up(&network, &NetworkRecords::default().with(&network)).await.unwrap();
    let _ = host.links.delete_link("lxtest2").await.unwrap();
    assert!(output("nft", &["delete", "table", "inet", "lxhost"]).0);
    assert!(!host.driver.is_up(&network).await.unwrap());
    host.driver.up(&network, &NetworkRecords::default().with(&network)).await.unwrap();
    assert!(output("nft", &["list", "table", "inet", "lxhost"]).1.contains("lxtest2"));

    // The same dnsmasq listens on the new bridge.
    let fixed: Ipv4Addr = {
        let net: ipnet::Ipv4Net = network.config["ipv4.address"].parse().unwrap();
        Ipv4Addr::from(u32::from(net.network()) + 77)
    };
    let plan = NicPlan { ipv4: Some(fixed), ..nic("kept", 7) };
    let guest = host.attach(&network, &plan).await;
    assert_eq!(guest.dhcp(&script), fixed);
    assert!(guest.run(&["ip", "-o", "link", "show", "eth0"]).1.contains("mtu 1400"));
    let leases = host.driver.leases(&network).await.unwrap();
    assert!(leases.iter().any(|l| l.address == fixed && l.expires == 0 && l.hostname == "kept"), "{leases:?}");
    let other = NicPlan { ipv4: Some(fixed), ..nic("other", 8) };
    assert_eq!(host.driver.join(&network, &other).await.unwrap_err().kind, Kind::Conflict);

    // A changed record is a changed network, for the guests that are there.
    network.config.insert("dns.domain".into(), "office.example".into());
    host.driver.up(&network, &NetworkRecords::default().with(&network)).await.unwrap();
    let server = network.config["ipv4.address"].split('/').next().unwrap().to_owned();
    eventually("the new domain", || guest.resolves("a", "kept.office.example", &server, &fixed.to_string())).await;
    host.driver.down(&network, &NetworkRecords::default()).await.unwrap();
    assert_eq!(traces("lxtest2"), Vec::<String>::new());
}

#[tokio::test]
async fn without_ipv4_guests_have_addresses_and_names_all_the_same() {
    if !may_change_the_host() {
        return;
    }
    let host = host();
    let mut network = record("lxtest3", 0x33, &[("ipv4.address", "none")]);
    network.config = host.driver.complete(&network, &NetworkRecords::default()).await.unwrap();
    assert_eq!(network.config["ipv4.address"], "none");
    host.driver.up(&network, &NetworkRecords::default().with(&network)).await.unwrap();
    let (c1, _c2) = (host.attach(&network, &nic("c1", 1)).await, host.attach(&network, &nic("c2", 2)).await);
    let server = network.config["ipv6.address"].split('/').next().unwrap().to_owned();
    let v6 = format!("{}:216:3eff:fe00:2", server.strip_suffix("::1").unwrap());
    eventually("an address by SLAAC", || c1.run(&["ping", "-c1", "-W1", &server]).0).await;
    eventually("AAAA of c2", || c1.resolves("aaaa", "c2.lxhost", &server, &v6)).await;
    host.driver.down(&network, &NetworkRecords::default()).await.unwrap();
    assert_eq!(traces("lxtest3"), Vec::<String>::new());
}

#[tokio::test]
async fn an_interface_of_somebody_else_is_never_touched() {
    if !may_change_the_host() {
        return;
    }
    let host = host();
    let foreign = Bridge::new("lxtest4".parse().unwrap(), "0a:00:00:00:00:04".parse().unwrap());
    let _ = host.links.ensure_bridge(&foreign).await.unwrap();
    let mut network = record("lxtest4", 0x44, &[]);
    assert_eq!(host.driver.complete(&network, &NetworkRecords::default()).await.unwrap_err().kind, Kind::Conflict);
    network.config = [("ipv4.address", "10.44.4.1/24"), ("ipv6.address", "none")].map(|(k, v)| (k.into(), v.into())).into();
    assert_eq!(host.driver.up(&network, &NetworkRecords::default().with(&network)).await.unwrap_err().kind, Kind::Conflict);
    assert_eq!(traces("lxtest4"), ["/sys/class/net/lxtest4"]);
    host.driver.down(&network, &NetworkRecords::default()).await.unwrap();
    assert!(host.links.link("lxtest4").await.unwrap().unwrap().has_mac(foreign.mac));
    let _ = host.links.delete_bridge("lxtest4").await.unwrap();
}

#[tokio::test]
async fn a_subnet_that_this_host_is_on_is_refused_by_name() {
    if !may_change_the_host() {
        return;
    }
    let host = host();
    let foreign = Bridge::new("nltest5".parse().unwrap(), "0a:00:00:00:00:05".parse().unwrap());
    let _ = host.links.ensure_bridge(&foreign).await.unwrap();
    let _ = host.links.ensure_addresses("nltest5", &["10.55.0.1/16".parse().unwrap()]).await.unwrap();
    let network = record("lxtest5", 0x55, &[("ipv4.address", "10.55.5.1/24")]);
    let error = host.driver.complete(&network, &NetworkRecords::default()).await.unwrap_err();
    assert!(error.kind == Kind::Conflict && error.message.contains("interface nltest5"), "{error}");
    let other = Arc::new(record("office", 0x56, &[("ipv4.address", "10.66.5.1/24")]));
    let network = record("lxtest5", 0x55, &[("ipv4.address", "10.66.5.129/25")]);
    let error = host.driver.complete(&network, &NetworkRecords::default().with(&other)).await.unwrap_err();
    assert!(error.kind == Kind::Conflict && error.message.contains("network office"), "{error}");
    let _ = host.links.delete_bridge("nltest5").await.unwrap();
}

#[tokio::test]
async fn dockers_chain_lets_a_bridge_through_while_it_is_up() {
    if !may_change_the_host() {
        return;
    }
    let host = host();
    // As Docker leaves it: forwarding is dropped unless its own chain says otherwise.
    let docker = "table ip filter { chain DOCKER-USER { counter return; }\n chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; }; }";
    std::fs::write("/run/docker.nft", docker).unwrap();
    assert!(output("nft", &["-f", "/run/docker.nft"]).0);
    let mut network = record("lxtest6", 0x66, &[("ipv6.address", "none")]);
    network.config = host.driver.complete(&network, &NetworkRecords::default()).await.unwrap();
    host.driver.up(&network, &NetworkRecords::default().with(&network)).await.unwrap();
    host.driver.up(&network, &NetworkRecords::default().with(&network)).await.unwrap();
    let chain = output("nft", &["list", "chain", "ip", "filter", "DOCKER-USER"]).1;
    let rules: Vec<&str> = chain.lines().filter(|line| line.contains("counter")).collect();
    assert_eq!(rules.len(), 3, "{chain}");
    assert!(rules[0].contains("lxtest6") && rules[1].contains("lxtest6") && rules[2].contains("return"), "{chain}");
    host.driver.down(&network, &NetworkRecords::default()).await.unwrap();
    assert_eq!(traces("lxtest6"), Vec::<String>::new());
    assert!(output("nft", &["list", "chain", "ip", "filter", "DOCKER-USER"]).1.contains("return"), "Docker's own rules stay");
    assert!(output("nft", &["delete", "table", "ip", "filter"]).0);
}
