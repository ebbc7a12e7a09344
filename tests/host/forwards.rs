//! Forwards and load balancers of networks, with connections that come through and connections that do not.

use anyhow::{Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "forwards",
    Base::Packaged,
    [
        ports_lead_from_everywhere_to_the_instance_and_back_to_the_host,
        a_default_target_gets_what_no_port_is_about,
        an_acl_judges_what_is_forwarded,
        what_makes_no_sense_changes_nothing,
        a_forward_is_shown_edited_and_seen_on_the_bus,
        a_forward_and_a_proxy_refuse_each_others_ports,
        a_load_balancer_gives_its_backends_turns,
        a_load_balancer_without_sense_changes_nothing,
        forwards_come_back_with_the_network_and_go_with_it,
    ]
);

/// The address of the host that the outside knows.
const HOST: &str = "198.51.100.1";
/// The instance's.
const WEB: &str = "10.65.1.5";

/// The network `lab` with the instance `web`, which says `eighty` at port 80 and `more` at port 81, the network
/// `next` beside it, the network `lxbr0` with the instance `other`, and a namespace that plays the outside.
fn rig(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    if stage.row("web")?.is_some() {
        return Ok(());
    }
    // First, so that there is no other network that it could join.
    stage.lxctl("launch busybox other").succeed()?;
    stage.lxctl("network create lab ipv4.address=10.65.1.1/24 ipv6.address=none").succeed()?;
    stage.lxctl("create busybox web --network lab").succeed()?;
    stage.lxctl(&format!("config device set web eth0 ipv4.address={WEB}")).succeed()?;
    stage.lxctl("start web").succeed()?;
    stage.lxctl("launch busybox next --network lab").succeed()?;
    ensure!(stage.address("web")? == WEB);
    stage.address("next")?;
    stage.address("other")?;
    stage.outside()?;
    for (instance, port, word) in [("web", 80, "eighty"), ("web", 81, "more"), ("next", 80, "next")] {
        stage.serve(instance, port, &format!("echo {word}"))?;
    }
    Ok(())
}

/// A forward of `HOST` without anything in it.
fn fresh(stage: &Stage) -> Result<()> {
    rig(stage)?;
    if stage.lxctl("network forward list lab --format csv").succeed()?.contains(HOST) {
        stage.lxctl(&format!("network forward delete lab {HOST}")).succeed()?;
    }
    stage.lxctl(&format!("network forward create lab {HOST} --description Web")).succeed().map(drop)
}

fn a_forward_and_a_proxy_refuse_each_others_ports(stage: &Stage) -> Result<()> {
    fresh(stage)?;
    let proxy = |device: &str, port: u16| {
        format!("config device add web {device} proxy listen=tcp:{HOST}:{port} connect=tcp:127.0.0.1:81")
    };
    let entry = |ports: &str| format!("network forward port add lab {HOST} tcp {ports} {WEB} 80");
    stage.lxctl(&proxy("door", 8085)).succeed()?;
    stage.lxctl(&entry("8070")).succeed()?;
    nothing_changes(&stage.host, || {
        let rest = format!("network forward set lab {HOST} target_address={WEB}");
        for (words, said) in [
            (entry("8080-8090"), "device door of instance web"),
            (rest, "device door of instance web"),
            (proxy("other", 8070), "forward 198.51.100.1 of network lab"),
        ] {
            let output = stage.lxctl(&words).fail()?;
            ensure!(output.code == Some(5) && output.stderr_text().contains(said), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    hear(stage, "both", &[("outside", 8085, "more"), ("outside", 8070, "eighty")])?;
    stage.lxctl("config device remove web door").succeed()?;
    stage.lxctl(&entry("8080-8090")).succeed()?;
    hear(stage, "the forward alone", &[("outside", 8085, "eighty")])
}

/// What a port of the host's address says to whoever asks.
fn heard(stage: &Stage, from: &str, port: u16) -> Result<String> {
    stage.heard(from, HOST, port)
}

fn hear(stage: &Stage, when: &str, expected: &[(&str, u16, &str)]) -> Result<()> {
    for (from, port, word) in expected {
        let said = heard(stage, from, *port)?;
        ensure!(said == *word, "{when}: from {from} at port {port}: {said:?}");
    }
    Ok(())
}

fn ports_lead_from_everywhere_to_the_instance_and_back_to_the_host(stage: &Stage) -> Result<()> {
    fresh(stage)?;
    hear(stage, "without ports", &[("outside", 8080, ""), ("host", 8080, "")])?;
    let port = |words: &str| stage.lxctl(&format!("network forward port {words}")).succeed();
    port(&format!("add lab {HOST} tcp 8080 {WEB} 80"))?;
    port(&format!("add lab {HOST} tcp 81 {WEB}"))?;
    port(&format!("add lab {HOST} tcp 9000-9001 {WEB} 80-81"))?;
    hear(
        stage,
        "with ports",
        &[
            ("outside", 8080, "eighty"),
            ("outside", 81, "more"),
            ("outside", 9000, "eighty"),
            ("outside", 9001, "more"),
            ("outside", 80, ""),
            ("host", 8080, "eighty"),
            ("host", 9001, "more"),
            // By the host's address to a neighbour, and from another network.
            ("next", 8080, "eighty"),
            ("other", 8080, "eighty"),
        ],
    )?;
    port(&format!("remove lab {HOST} tcp 8080"))?;
    hear(stage, "one removed", &[("outside", 8080, ""), ("host", 8080, ""), ("outside", 81, "more")])?;
    stage.lxctl(&format!("network forward delete lab {HOST}")).succeed()?;
    hear(stage, "all removed", &[("outside", 81, ""), ("host", 9000, "")])?;
    let rules = stage.host.succeed(["nft", "list", "table", "inet", "lxhost"])?;
    ensure!(!rules.contains("dnat"), "{rules}");
    Ok(())
}

fn a_default_target_gets_what_no_port_is_about(stage: &Stage) -> Result<()> {
    fresh(stage)?;
    let forward = |words: &str| stage.lxctl(&format!("network forward {words}")).succeed();
    forward(&format!("port add lab {HOST} tcp 80 {WEB} 81"))?;
    forward(&format!("set lab {HOST} target_address={WEB}"))?;
    ensure!(forward(&format!("get lab {HOST} target_address"))?.trim() == WEB);
    hear(stage, "with a default", &[("outside", 80, "more"), ("outside", 81, "more"), ("host", 81, "more")])?;
    stage.host.succeed(["ip", "netns", "exec", "outside", "ping", "-c", "1", "-W", "5", HOST])?;
    forward(&format!("unset lab {HOST} target_address"))?;
    hear(stage, "without it", &[("outside", 80, "more"), ("outside", 81, "")])
}

fn an_acl_judges_what_is_forwarded(stage: &Stage) -> Result<()> {
    fresh(stage)?;
    stage.lxctl(&format!("network forward port add lab {HOST} tcp 80,81 {WEB}")).succeed()?;
    stage.lxctl("network acl create eighty").succeed()?;
    stage.lxctl("network acl rule add eighty ingress action=allow protocol=tcp destination_port=80").succeed()?;
    stage.lxctl("network set lab security.acls=eighty").succeed()?;
    hear(
        stage,
        "under an ACL",
        &[("outside", 80, "eighty"), ("outside", 81, ""), ("host", 80, "eighty"), ("host", 81, ""), ("other", 81, "")],
    )?;
    stage.lxctl("network unset lab security.acls").succeed()?;
    stage.lxctl("network acl delete eighty").succeed()?;
    hear(stage, "without", &[("outside", 81, "more"), ("host", 81, "more")])
}

fn what_makes_no_sense_changes_nothing(stage: &Stage) -> Result<()> {
    fresh(stage)?;
    stage.lxctl(&format!("network forward port add lab {HOST} tcp 80-90 {WEB}")).succeed()?;
    nothing_changes(&stage.host, || {
        for (words, code, said) in [
            ("network forward create lab 198.51.100.1", 4, "already"),
            ("network forward create lxbr0 198.51.100.1", 5, "network lab"),
            ("network forward create lxbr0 10.65.1.200", 5, "network lab"),
            ("network forward create lab 10.65.1.200", 5, "own subnet"),
            ("network forward create lab 0.0.0.0", 2, "0.0.0.0"),
            ("network forward create lab 127.0.0.1", 2, "loopback"),
            ("network forward create lab 198.51.100.0/24", 2, "198.51.100.0/24"),
            ("network forward create lab 2001:db8::1", 2, "ipv6.address"),
            ("network forward create lab 192.0.2.9 target_address=10.99.1.5", 2, "10.99.1.5"),
            ("network forward create lab 192.0.2.9 target=10.65.1.5", 2, "target"),
            ("network forward create nowhere 192.0.2.9", 3, "nowhere"),
            ("network forward port add lab 198.51.100.1 tcp 0 10.65.1.5", 2, "65535"),
            ("network forward port add lab 198.51.100.1 tcp 65536 10.65.1.5", 2, "65535"),
            ("network forward port add lab 198.51.100.1 icmp 80 10.65.1.5", 2, "icmp"),
            ("network forward port add lab 198.51.100.1 tcp 85 10.65.1.6", 2, "tcp port 85"),
            ("network forward port add lab 198.51.100.1 tcp 100 10.65.2.5", 2, "10.65.2.5"),
            ("network forward port add lab 198.51.100.1 tcp 100-102 10.65.1.5 100-101", 2, "target_port"),
            ("network forward port add lab 192.0.2.9 tcp 80 10.65.1.5", 3, "192.0.2.9"),
            ("network forward port remove lab 198.51.100.1 udp", 2, "no such ports"),
            ("network forward show lab 192.0.2.9", 3, "192.0.2.9"),
            ("network forward delete lab 192.0.2.9", 3, "192.0.2.9"),
            ("network set lab ipv4.address=10.66.1.1/24", 2, "10.65.1.5"),
            ("network create late ipv4.address=198.51.100.9/24", 5, "198.51.100"),
        ] {
            let output = stage.lxctl(words).fail()?;
            ensure!(output.code == Some(code) && output.stderr_text().contains(said), "{words}: {}", output.describe());
        }
        let quoted = ["lxctl", "network", "forward", "port", "add", "lab", HOST, "tcp", "99 } accept\n", WEB];
        ensure!(stage.host.command(quoted).fail()?.code == Some(2));
        let denied = stage.host.command(["lxctl", "network", "forward", "delete", "lab", HOST]).user("alice").fail()?;
        ensure!(denied.code == Some(6), "{}", denied.describe());
        Ok(())
    })
}

fn a_forward_is_shown_edited_and_seen_on_the_bus(stage: &Stage) -> Result<()> {
    fresh(stage)?;
    stage.lxctl(&format!("network forward port add lab {HOST} tcp 80,443 {WEB} 8080 --description HTTP")).succeed()?;
    let shown = stage.lxctl(&format!("network forward show lab {HOST}")).succeed()?;
    for line in ["listen_address: \"198.51.100.1\"", "description: Web", "listen_port: 80,443", "target_port: \"8080\""] {
        ensure!(shown.contains(line), "{shown}");
    }
    let same = format!("lxctl network forward show lab {HOST} | sed s/443/444/ | lxctl network forward edit lab {HOST}");
    stage.host.succeed(["sh", "-ec", &same])?;
    ensure!(stage.lxctl(&format!("network forward show lab {HOST}")).succeed()? == shown.replace("443", "444"));
    let listed = stage.lxctl("network forward list lab --format csv").succeed()?;
    ensure!(listed.contains("198.51.100.1,Web,,1"), "{listed}");

    let call = |words: &str| {
        let network = "$(busctl call org.lxhost1 /org/lxhost1 org.lxhost1.Manager GetNetwork ss default lab | cut -d '\"' -f 2)";
        stage.host.succeed(["sh", "-ec", &format!("busctl call org.lxhost1 {network} org.lxhost1.Network {words}")])
    };
    ensure!(call("ListForwards 'a{sv}' 0")?.contains("\"80,444\""));
    call("DeleteForward 'sa{sv}' 198.51.100.1 0")?;
    stage.eventually("the end of the forward", || Ok((!call("ListForwards 'a{sv}' 0")?.contains(HOST)).then_some(())))?;
    call("CreateForward 'sa{ss}aa{ss}a{sv}' 198.51.100.1 0 1 3 protocol tcp listen_port 80 target_address 10.65.1.5 0")?;
    // It is in force a moment before it is acknowledged.
    stage.eventually("the forward made over the bus", || Ok(call("ListForwards 'a{sv}' 0")?.contains(HOST).then_some(())))?;
    ensure!(heard(stage, "outside", 80)? == "eighty");
    Ok(())
}

/// What is heard from there in six connections, each once.
fn turns(stage: &Stage, from: &str, port: u16) -> Result<Vec<String>> {
    let mut heard: Vec<String> = (0..6).map(|_| heard(stage, from, port)).collect::<Result<_>>()?;
    heard.sort();
    heard.dedup();
    Ok(heard)
}

fn a_load_balancer_gives_its_backends_turns(stage: &Stage) -> Result<()> {
    fresh(stage)?;
    stage.lxctl(&format!("network forward delete lab {HOST}")).succeed()?;
    let next = stage.address("next")?;
    let balancer = |words: &str| stage.lxctl(&format!("network load-balancer {words}")).succeed();
    balancer(&format!("create lab {HOST} --description Web"))?;
    balancer(&format!("backend add lab {HOST} w1 {WEB}"))?;
    balancer(&format!("backend add lab {HOST} w2 {next}"))?;
    balancer(&format!("backend add lab {HOST} w3 {WEB} 81 --description More"))?;
    balancer(&format!("port add lab {HOST} tcp 80 w1,w2"))?;
    balancer(&format!("port add lab {HOST} tcp 8081-8082 w3"))?;
    for from in ["outside", "host", "other"] {
        ensure!(turns(stage, from, 80)? == ["eighty", "next"], "from {from}: {:?}", turns(stage, from, 80)?);
    }
    hear(stage, "one backend", &[("outside", 8082, "more"), ("outside", 81, "")])?;

    // With a port of its own in it, and the same from a file.
    balancer(&format!("port remove lab {HOST} tcp 80"))?;
    balancer(&format!("port add lab {HOST} tcp 80 w2,w3"))?;
    ensure!(turns(stage, "outside", 80)? == ["more", "next"], "{:?}", turns(stage, "outside", 80)?);
    let shown = balancer(&format!("show lab {HOST}"))?;
    ensure!(shown.contains("target_backend:") && shown.contains("description: More"), "{shown}");
    let file = format!(
        "lxctl network load-balancer show lab {HOST} >/root/lb.yaml; lxctl network load-balancer delete lab {HOST}; \
         lxctl network load-balancer create lab {HOST} </root/lb.yaml"
    );
    stage.host.succeed(["sh", "-ec", &file])?;
    ensure!(balancer(&format!("show lab {HOST}"))? == shown);
    ensure!(turns(stage, "outside", 80)? == ["more", "next"]);
    ensure!(balancer("list lab --format csv")?.contains("198.51.100.1,Web,3,2"));
    balancer(&format!("delete lab {HOST}"))?;
    hear(stage, "without it", &[("outside", 80, ""), ("host", 80, "")])
}

fn a_load_balancer_without_sense_changes_nothing(stage: &Stage) -> Result<()> {
    fresh(stage)?;
    let balancer = |words: &str| stage.lxctl(&format!("network load-balancer {words}")).succeed();
    balancer("create lab 192.0.2.9")?;
    balancer(&format!("backend add lab 192.0.2.9 w1 {WEB}"))?;
    balancer("port add lab 192.0.2.9 tcp 80 w1")?;
    nothing_changes(&stage.host, || {
        for (words, code, said) in [
            ("create lab 198.51.100.1", 5, "forward"),
            ("create lxbr0 192.0.2.9", 5, "network lab"),
            ("create lab 192.0.2.9", 4, "already"),
            ("create lab 192.0.2.10 healthcheck=true", 8, "healthcheck"),
            ("set lab 192.0.2.9 healthcheck.interval=5", 8, "healthcheck.interval"),
            ("set lab 192.0.2.9 target_address=10.65.1.5", 2, "target_address"),
            ("backend add lab 192.0.2.9 w2 10.66.1.5", 2, "10.66.1.5"),
            ("backend add lab 192.0.2.9 w1 10.65.1.6", 2, "two backends w1"),
            ("backend add lab 192.0.2.9 a,b 10.65.1.6", 2, "a,b"),
            ("backend add lab 192.0.2.9 w2 10.65.1.6 0", 2, "65535"),
            ("backend remove lab 192.0.2.9 w1", 2, "no backend"),
            ("backend remove lab 192.0.2.9 w2", 2, "no such backend"),
            ("port add lab 192.0.2.9 tcp 81 w2", 2, "no backend"),
            ("port add lab 192.0.2.9 tcp 70-90 w1", 2, "tcp port 80"),
            ("port remove lab 192.0.2.9 udp", 2, "no such ports"),
            ("show lab 192.0.2.10", 3, "192.0.2.10"),
            ("info lab 192.0.2.9", 8, "this version"),
        ] {
            let output = stage.lxctl(&format!("network load-balancer {words}")).fail()?;
            ensure!(output.code == Some(code) && output.stderr_text().contains(said), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    balancer("delete lab 192.0.2.9").map(drop)
}

fn forwards_come_back_with_the_network_and_go_with_it(stage: &Stage) -> Result<()> {
    fresh(stage)?;
    stage.lxctl(&format!("network forward port add lab {HOST} tcp 80 {WEB}")).succeed()?;
    stage.host.succeed(["nft", "delete", "table", "inet", "lxhost"])?;
    stage.host.succeed(["ip", "link", "delete", "lab"])?;
    stage.eventually("the network to be whole again", || Ok((heard(stage, "outside", 80)? == "eighty").then_some(())))?;

    stage.delete("web next")?;
    stage.lxctl("network delete lab").succeed()?;
    let rules = stage.host.succeed(["nft", "list", "table", "inet", "lxhost"])?;
    ensure!(!rules.contains("dnat") && !rules.contains("forwards"), "{rules}");
    stage.lxctl(&format!("network forward create lxbr0 {HOST}")).succeed()?;
    stage.lxctl(&format!("network forward delete lxbr0 {HOST}")).succeed()?;
    Ok(())
}
