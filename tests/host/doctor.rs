//! `lxctl doctor network`: what is in the way of guests is named, with what helps.

use anyhow::{Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "doctor",
    Base::Packaged,
    [
        a_healthy_network_says_so_and_nothing_is_left_of_the_question,
        a_chain_that_eats_dhcp_is_named_and_what_is_said_helps,
        a_chain_that_eats_what_is_forwarded_is_named,
        an_acl_that_refuses_is_told_of_and_names_are_asked_for,
        a_server_that_was_stopped_is_named_and_who_has_its_port,
        forwarding_that_is_off_is_named,
    ]
);

/// Everything that is said, with exit status `code`.
fn said(stage: &Stage, code: i32) -> Result<String> {
    let output = stage.lxctl("doctor network lxbr0").output()?;
    ensure!(output.code == Some(code), "{}", output.describe());
    Ok(output.stdout_text())
}

/// Finds all of `parts` in what is said of a network that is ill.
fn complains(stage: &Stage, parts: &[&str]) -> Result<()> {
    let text = said(stage, 1)?;
    for part in parts {
        ensure!(text.contains(part), "{part}: {text}");
    }
    Ok(())
}

fn a_healthy_network_says_so_and_nothing_is_left_of_the_question(stage: &Stage) -> Result<()> {
    stage.running("d1")?;
    let text = said(stage, 0)?;
    for part in ["lxbr0 is up", "lxhost-dnsmasq@lxbr0.service runs", "a guest was offered 10.", "rules of this network are there"]
    {
        ensure!(text.contains(part), "{part}: {text}");
    }
    ensure!(!text.contains("fail"), "{text}");
    let rows: serde_json::Value = serde_json::from_str(&stage.lxctl("doctor network --format json").succeed()?)?;
    let dhcp = rows.as_array().into_iter().flatten().find(|row| row["network"] == "lxbr0" && row["name"] == "dhcp");
    ensure!(dhcp.is_some_and(|row| row["state"] == "ok"), "{rows}");
    let call = "path=$(busctl --json=short call org.lxhost1 /org/lxhost1 org.lxhost1.Manager GetNetwork ss default lxbr0 | cut -d'\"' -f8)
        busctl call org.lxhost1 \"$path\" org.lxhost1.Network Diagnose 'a{sv}' 0";
    let called = stage.host.succeed(["sh", "-ec", call])?;
    ensure!(called.contains("a guest was offered"), "{called}");
    stage.eventually("no link of a probe", || {
        let links = stage.host.succeed(["ip", "-o", "link"])?;
        Ok((!links.contains("lxprobe")).then_some(()))
    })?;
    let denied = stage.host.command(["lxctl", "--no-ask-password", "doctor", "network", "lxbr0"]).user("alice").fail()?;
    ensure!(denied.code == Some(6), "{}", denied.describe());
    let unknown = stage.lxctl("doctor network nobody").fail()?;
    ensure!(unknown.code == Some(3), "{}", unknown.describe());
    Ok(())
}

fn a_chain_that_eats_dhcp_is_named_and_what_is_said_helps(stage: &Stage) -> Result<()> {
    stage.running("d1")?;
    let strict = "table inet strict { chain guard { type filter hook input priority 10; udp dport { 67, 69 } drop; }; }";
    stage.host.succeed(["nft", strict])?;
    let remedy = "nft insert rule inet strict guard iifname lxbr0 udp dport 67 accept";
    complains(stage, &["of chain inet strict guard drops it", remedy])?;
    stage.host.succeed(["sh", "-ec", remedy])?;
    said(stage, 0)?;
    stage.host.succeed(["nft", "delete table inet strict"])?;
    let bridge =
        "table bridge strict { chain guard { type filter hook prerouting priority 10; ether type ip udp dport 67 drop; }; }";
    stage.host.succeed(["nft", bridge])?;
    complains(stage, &["of chain bridge strict guard drops it"])?;
    stage.host.succeed(["nft", "delete table bridge strict"])?;
    said(stage, 0).map(drop)
}

fn an_acl_that_refuses_is_told_of_and_names_are_asked_for(stage: &Stage) -> Result<()> {
    stage.running("d1")?;
    stage.host.succeed(["sh", "-ec", "ip link add out2 type veth peer name out3; ip link set out3 up; ip link set out2 up"])?;
    stage.host.succeed(["ip", "route", "add", "default", "dev", "out2", "metric", "5"])?;
    stage.lxctl("network acl create shut").succeed()?;
    stage.lxctl("network set lxbr0 security.acls=shut").succeed()?;
    let text = said(stage, 0)?;
    ensure!(text.contains("IPv4 from guests: the network's ACLs refuse it") && !text.contains("nft insert"), "{text}");
    let own = stage.lxctl("network get lxbr0 ipv4.address").succeed()?;
    let own = own.split('/').next().unwrap_or_default().to_owned();
    ensure!(text.contains(&format!("{own} answers")), "names: {text}");
    stage.lxctl("network unset lxbr0 security.acls").succeed()?;
    stage.lxctl("network acl delete shut").succeed()?;
    ensure!(!said(stage, 0)?.contains("ACLs"), "they are gone");
    stage.host.succeed(["ip", "link", "delete", "out2"]).map(drop)
}

fn a_chain_that_eats_what_is_forwarded_is_named(stage: &Stage) -> Result<()> {
    stage.running("d1")?;
    stage.host.succeed([
        "sh",
        "-ec",
        "ip link add out0 type veth peer name out1; ip link set out1 up; ip link set out0 up; ip route add default dev out0 metric 5",
    ])?;
    said(stage, 0)?;
    stage.host.succeed(["nft", "table ip mine { chain FORWARD { type filter hook forward priority 0; policy drop; }; }"])?;
    complains(stage, &["the policy of chain ip mine FORWARD drops it", "nft insert rule ip mine FORWARD iifname lxbr0 accept"])?;
    stage.host.succeed(["nft", "insert rule ip mine FORWARD iifname lxbr0 accept"])?;
    complains(stage, &["IPv4 to guests: the policy of chain ip mine FORWARD drops it"])?;
    stage.host.succeed(["nft", "insert rule ip mine FORWARD oifname lxbr0 accept"])?;
    said(stage, 0)?;
    stage.host.succeed(["sh", "-ec", "nft delete table ip mine; ip link delete out0"]).map(drop)
}

fn a_server_that_was_stopped_is_named_and_who_has_its_port(stage: &Stage) -> Result<()> {
    stage.running("d1")?;
    let unit = "lxhost-dnsmasq@lxbr0.service";
    stage.host.succeed(["systemctl", "stop", unit])?;
    complains(stage, &["lxhost-dnsmasq@lxbr0.service does not run", "systemctl reload lxhostd"])?;
    let holder = "address=$(lxctl network get lxbr0 ipv4.address)
        systemd-run --quiet --unit holder --service-type=exec dnsmasq --keep-in-foreground --conf-file=/dev/null --no-daemon \
        --port=53 --bind-interfaces --listen-address=${address%/*} --no-resolv --pid-file=";
    stage.host.succeed(["sh", "-ec", holder])?;
    stage.eventually("the holder of the port", || {
        let text = said(stage, 1)?;
        Ok((text.contains("port 53") && text.contains("dnsmasq (process ")).then_some(()))
    })?;
    stage.host.succeed(["systemctl", "stop", "holder.service"])?;
    stage.host.succeed(["systemctl", "reload", "lxhostd"])?;
    stage.eventually("a healthy network", || Ok((stage.lxctl("doctor network lxbr0").output()?.code == Some(0)).then_some(())))
}

fn forwarding_that_is_off_is_named(stage: &Stage) -> Result<()> {
    stage.running("d1")?;
    stage.host.succeed(["sysctl", "-q", "-w", "net.ipv4.ip_forward=0"])?;
    complains(stage, &["net.ipv4.ip_forward is 0", "sysctl -w net.ipv4.ip_forward=1"])?;
    stage.host.succeed(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])?;
    said(stage, 0)?;
    stage.delete("d1")
}
