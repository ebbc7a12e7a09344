//! Lines of the documents that this project was started from, as their authors typed them: each does what its author
//! wanted. The command is `lxctl`, networks and instances have the names of the documents.

use anyhow::{Context, Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use std::time::Duration;

pub(crate) const SUITE: Suite = suite!(
    "seeds",
    Base::Packaged,
    [
        a_network_is_made_and_set_step_by_step,
        a_name_that_is_nearly_right_is_corrected,
        an_instance_keeps_the_address_it_is_given,
        an_internal_network_reaches_nothing_outside,
        a_restricted_network_lets_two_ports_in,
        a_bridge_and_a_vlan_are_made_over_the_hosts_interface needs [Vlan],
        a_profile_puts_instances_on_a_bridge_of_the_host,
        ports_of_the_host_lead_to_a_web_server,
        a_rule_of_iptables_leads_a_port_to_an_instance,
        questions_to_the_host_are_answered_by_a_name_server_inside,
    ]
);

fn all(stage: &Stage, lines: &[&str]) -> Result<()> {
    lines.iter().try_for_each(|line| stage.lxctl(line).succeed().map(drop))
}

/// What DHCP gives an instance's interface.
pub(crate) fn lease(stage: &Stage, name: &str, interface: &str) -> Result<String> {
    let argv = ["udhcpc", "-i", interface, "-n", "-q", "-f", "-t", "10", "-T", "1", "-s", "/etc/udhcpc"];
    stage.exec(name, argv).succeed()?;
    let said = stage.exec(name, ["ip", "-4", "-oneline", "address", "show", "dev", interface]).succeed()?;
    let address = said.split_whitespace().nth(3).with_context(|| format!("no address in {said:?}"))?;
    Ok(address.split('/').next().unwrap_or_default().to_owned())
}

fn a_network_is_made_and_set_step_by_step(stage: &Stage) -> Result<()> {
    stage.running("mon-conteneur")?;
    all(
        stage,
        &[
            "network show lxbr0",
            "network create production-network",
            "network set production-network ipv4.address 192.168.100.1/24",
            "network set production-network ipv4.dhcp true",
            "network set production-network ipv4.dhcp.ranges 192.168.100.50-192.168.100.200",
            "network set production-network dns.domain production.local",
            "config device add mon-conteneur eth1 nic network=production-network name=eth1",
        ],
    )?;
    let address = lease(stage, "mon-conteneur", "eth1")?;
    let last: u8 = address.strip_prefix("192.168.100.").with_context(|| address.clone())?.parse()?;
    ensure!((50..=200).contains(&last), "{address}");
    stage.eventually("its name in the domain", || {
        let asked = ["nslookup", "mon-conteneur.production.local", "192.168.100.1"];
        let found = stage.exec("mon-conteneur", asked).output()?;
        Ok(found.stdout_text().contains(&address).then_some(()))
    })?;
    let shown = stage.exec("mon-conteneur", ["ip", "addr", "show"]).succeed()?;
    ensure!(shown.contains("eth0") && shown.contains("eth1"), "{shown}");
    stage.exec("mon-conteneur", ["cat", "/proc/net/dev"]).succeed()?;
    all(stage, &["config device remove mon-conteneur eth1", "network delete production-network"])
}

/// LXD's first network has the name `lxdbr0`.
fn a_name_that_is_nearly_right_is_corrected(stage: &Stage) -> Result<()> {
    stage.running("mon-conteneur")?;
    for line in
        ["network show lxdbr0", "config device add mon-conteneur eth0 nic network=lxdbr0", "network set lxdbr0 dns.mode managed"]
    {
        let output = stage.lxctl(line).fail()?;
        let said = output.stderr_text();
        ensure!(output.code == Some(3) && said.contains("did you mean lxbr0?"), "{line}: {}", output.describe());
    }
    let unlike = stage.lxctl("network show production-network").fail()?;
    ensure!(!unlike.stderr_text().contains("did you mean"), "{}", unlike.describe());
    Ok(())
}

fn an_instance_keeps_the_address_it_is_given(stage: &Stage) -> Result<()> {
    stage.running("mon-conteneur")?;
    all(stage, &["network set lxbr0 dns.domain lxd.local", "network set lxbr0 dns.mode managed"])?;
    all(stage, &["network set lxbr0 ipv4.address 10.166.11.1/24"])?;
    stage.lxctl("config device add mon-conteneur eth0 nic network=lxbr0 ipv4.address=10.166.11.100").succeed()?;
    stage.lxctl("restart --force mon-conteneur").succeed()?;
    ensure!(stage.address("mon-conteneur")? == "10.166.11.100");
    stage.eventually("its name", || {
        let found = stage.exec("mon-conteneur", ["nslookup", "mon-conteneur.lxd.local"]).output()?;
        Ok(found.stdout_text().contains("10.166.11.100").then_some(()))
    })?;
    // The tests after it add an eth0 of their own.
    stage.delete("mon-conteneur")
}

fn an_internal_network_reaches_nothing_outside(stage: &Stage) -> Result<()> {
    stage.running("mon-conteneur")?;
    all(
        stage,
        &[
            "network create internal-network",
            "network set internal-network ipv4.address 172.16.1.1/24",
            "network set internal-network ipv4.nat false",
            "network set internal-network ipv6.nat false",
            "config device add mon-conteneur eth2 nic network=internal-network",
        ],
    )?;
    let address = lease(stage, "mon-conteneur", "eth2")?;
    ensure!(address.starts_with("172.16.1."), "{address}");
    let rules = stage.host.succeed(["nft", "list", "table", "inet", "lxhost"])?;
    let masked = |line: &&str| line.contains("172.16.1.0/24") && line.contains("masquerade");
    ensure!(!rules.lines().any(|line| masked(&line)), "{rules}");
    all(stage, &["config device remove mon-conteneur eth2", "network delete internal-network"])
}

/// One of its lines names an ACL before it is made: it says so, and is typed again.
fn a_restricted_network_lets_two_ports_in(stage: &Stage) -> Result<()> {
    stage.running("mon-conteneur")?;
    stage.lxctl("network create restricted-network").succeed()?;
    let set = ["lxctl", "network", "set", "restricted-network", "security.acls", "restricted-access"];
    let early = stage.host.command(set).fail()?;
    ensure!(early.code == Some(3) && early.stderr_text().contains("restricted-access"), "{}", early.describe());
    all(
        stage,
        &[
            "network acl create restricted-access",
            "network acl rule add restricted-access ingress,allow,tcp 0.0.0.0/0 10.0.0.0/8 80,443",
            "network set restricted-network ipv4.address 10.166.12.1/24",
        ],
    )?;
    stage.host.succeed(set)?;
    stage.lxctl("config device add mon-conteneur eth3 nic network=restricted-network").succeed()?;
    let address = lease(stage, "mon-conteneur", "eth3")?;
    for port in [80, 443, 81] {
        stage.serve("mon-conteneur", port, "echo hello")?;
    }
    for (port, word) in [(80, "hello"), (443, "hello"), (81, "")] {
        let heard = stage.heard("host", &address, port)?;
        ensure!(heard == word, "port {port}: {heard:?}");
    }
    all(
        stage,
        &["config device remove mon-conteneur eth3", "network delete restricted-network", "network acl delete restricted-access"],
    )
}

/// `eth0` is an interface of the host, with somebody at 198.51.100.1 behind it and at 198.51.101.1 in VLAN 100.
fn a_bridge_and_a_vlan_are_made_over_the_hosts_interface(stage: &Stage) -> Result<()> {
    stage.running("mon-conteneur")?;
    stage.running("web-server")?;
    let lan = "ip link show eth0 >/dev/null 2>&1 && ip link set eth0 down name was0
        ip link add eth0 type veth peer name far0; ip link set far0 up; ip address add 198.51.100.1/24 dev far0
        ip link add link far0 name far0.100 type vlan id 100; ip link set far0.100 up
        ip address add 198.51.101.1/24 dev far0.100";
    stage.host.succeed(["sh", "-c", lan])?;
    all(
        stage,
        &["network create vlan100 --type=bridge parent=eth0.100", "config device add web-server eth0 nic network=vlan100"],
    )?;
    let answers = |name: &str, own: &str, other: &str| {
        stage.exec(name, ["ip", "address", "add", own, "dev", "eth0"]).succeed()?;
        stage.exec(name, ["ping", "-c", "1", "-W", "10", other]).succeed().map(drop)
    };
    answers("web-server", "198.51.101.7/24", "198.51.101.1")?;
    stage.delete("web-server")?;
    stage.lxctl("network delete vlan100").succeed()?;
    let uplink = "ip link set eth0 up; ip address add 198.51.100.2/24 dev eth0; ip route add default via 198.51.100.1";
    stage.host.succeed(["sh", "-ec", uplink])?;
    all(
        stage,
        &[
            "network create overlay-network --type=overlay --config tunnel.protocol=vxlan --config tunnel.id=1000",
            "network delete overlay-network",
        ],
    )?;
    stage.host.succeed(["ip", "address", "flush", "dev", "eth0"])?;
    all(
        stage,
        &["network create br-physical --type=bridge parent=eth0", "config device add mon-conteneur eth0 nic network=br-physical"],
    )?;
    answers("mon-conteneur", "198.51.100.7/24", "198.51.100.1")?;
    stage.delete("mon-conteneur")?;
    stage.lxctl("network delete br-physical").succeed()?;
    stage.host.succeed(["ip", "link", "delete", "far0"]).map(drop)
}

fn a_profile_puts_instances_on_a_bridge_of_the_host(stage: &Stage) -> Result<()> {
    stage.running("CGN-Server")?;
    stage.running("BDD")?;
    let bridge = "ip link add br0 type bridge; ip address add 198.51.102.1/24 dev br0; ip link set br0 up";
    stage.host.succeed(["sh", "-ec", bridge])?;
    all(
        stage,
        &[
            "profile create bridgedprofile",
            "profile device add bridgedprofile eth0 nic nictype=bridged parent=br0",
            "profile device add bridgedprofile root disk path=/ pool=default",
            "profile assign CGN-Server bridgedprofile",
            "profile assign BDD bridgedprofile",
            "restart --force CGN-Server BDD",
        ],
    )?;
    for (name, own) in [("CGN-Server", "198.51.102.7/24"), ("BDD", "198.51.102.8/24")] {
        stage.exec(name, ["ip", "address", "add", own, "dev", "eth0"]).succeed()?;
    }
    stage.exec("BDD", ["ping", "-c", "1", "-W", "5", "198.51.102.7"]).succeed()?;
    stage.delete("CGN-Server BDD")?;
    stage.lxctl("profile delete bridgedprofile").succeed()?;
    stage.host.succeed(["ip", "link", "delete", "br0"]).map(drop)
}

fn ports_of_the_host_lead_to_a_web_server(stage: &Stage) -> Result<()> {
    stage.running("web-server")?;
    all(
        stage,
        &[
            "network set lxbr0 ipv4.address 10.166.11.1/24",
            "config device add web-server eth0 nic network=lxbr0 ipv4.address=10.166.11.50",
            "restart --force web-server",
        ],
    )?;
    ensure!(stage.address("web-server")? == "10.166.11.50");
    // The packages of this host come by its port 80.
    stage.host.succeed(["systemctl", "stop", "lab-mirror.socket"])?;
    stage.host.succeed(["ip", "address", "add", "192.168.1.100/32", "dev", "lo"])?;
    all(
        stage,
        &[
            "config device add web-server port80 proxy listen=tcp:0.0.0.0:80 connect=tcp:127.0.0.1:80",
            "config device add web-server https-proxy proxy listen=tcp:192.168.1.100:443 connect=tcp:10.166.11.50:443",
        ],
    )?;
    for port in [80, 443] {
        stage.serve("web-server", port, "echo hello")?;
    }
    for (at, port) in [("127.0.0.1", 80), ("192.168.1.100", 80), ("192.168.1.100", 443)] {
        let heard = stage.heard("host", at, port)?;
        ensure!(heard == "hello", "{at} port {port}: {heard:?}");
    }
    stage.delete("web-server")?;
    ensure!(stage.heard("host", "127.0.0.1", 80)?.is_empty());
    stage.host.succeed(["systemctl", "start", "lab-mirror.socket"])?;
    stage.host.succeed(["ip", "address", "del", "192.168.1.100/32", "dev", "lo"]).map(drop)
}

/// With Debian's iptables, whose tables stand beside ours.
fn a_rule_of_iptables_leads_a_port_to_an_instance(stage: &Stage) -> Result<()> {
    stage.running("web-server")?;
    stage.outside()?;
    all(
        stage,
        &[
            "network set lxbr0 ipv4.address 10.166.11.1/24",
            "config device add web-server eth0 nic network=lxbr0 ipv4.address=10.166.11.100",
            "restart --force web-server",
        ],
    )?;
    stage.serve("web-server", 80, "echo hello")?;
    let long = Duration::from_secs(300);
    stage.host.command(["apt-get", "update", "-q"]).timeout(long).succeed()?;
    let argv = ["apt-get", "install", "-q", "-y", "--no-install-recommends", "iptables"];
    stage.host.command(argv).timeout(long).succeed()?;
    let rule = "iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.166.11.100:80";
    let lines = format!("{rule}; mkdir -p /etc/iptables; iptables-save > /etc/iptables/rules.v4");
    stage.host.succeed(["sh", "-ec", &lines])?;
    ensure!(stage.heard("outside", "198.51.100.1", 8080)? == "hello");
    // Ours is written anew beside it, and what was saved comes back beside ours.
    stage.lxctl("network set lxbr0 user.note=x").succeed()?;
    stage.host.succeed(["systemctl", "restart", "lxhostd"])?;
    ensure!(stage.heard("outside", "198.51.100.1", 8080)? == "hello");
    stage.host.succeed(["sh", "-ec", "iptables -t nat -F; iptables-restore < /etc/iptables/rules.v4"])?;
    ensure!(stage.heard("outside", "198.51.100.1", 8080)? == "hello");
    stage.host.succeed(["iptables", "-t", "nat", "-F"])?;
    stage.delete("web-server")
}

/// The unit `inside`: a name server in an instance, at 127.0.0.1, which knows `web.example`. Busybox has none: the host's, in
/// the network of the instance.
pub(crate) fn name_server(stage: &Stage, name: &str) -> Result<()> {
    let init = stage.init_of(name)?;
    let server = format!(
        "systemd-run --quiet --unit=inside nsenter --net=/proc/{init}/ns/net dnsmasq --keep-in-foreground --conf-file=/dev/null \
         --no-resolv --no-hosts --bind-interfaces --listen-address=127.0.0.1 --address=/web.example/192.0.2.80"
    );
    stage.host.succeed(["sh", "-ec", &server])?;
    stage.eventually("a name server in the instance", || {
        Ok(stage.exec(name, ["netstat", "-lun"]).succeed()?.contains("127.0.0.1:53 ").then_some(()))
    })
}

/// What somebody outside hears who asks the host for `web.example`.
pub(crate) fn asked_by_the_outside(stage: &Stage) -> Result<String> {
    let ask = "ip netns exec outside busybox nslookup web.example 198.51.100.1";
    Ok(stage.host.command(["sh", "-c", ask]).output()?.stdout_text())
}

/// The network's own name server has the port at the bridge's addresses, and keeps it there.
fn questions_to_the_host_are_answered_by_a_name_server_inside(stage: &Stage) -> Result<()> {
    stage.running("dns-server")?;
    stage.outside()?;
    name_server(stage, "dns-server")?;
    let line = "config device add dns-server dns-proxy proxy listen=udp:0.0.0.0:53 connect=udp:127.0.0.1:53";
    stage.lxctl(line).succeed()?;
    let said = asked_by_the_outside(stage)?;
    ensure!(said.contains("192.0.2.80"), "{said}");
    stage.exec("dns-server", ["nslookup", "dns-server"]).succeed()?;
    stage.running("web-server")?;
    let second = stage.lxctl(&line.replace("add dns-server", "add web-server")).fail()?;
    ensure!(second.code == Some(5) && second.stderr_text().contains("instance dns-server"), "{}", second.describe());
    stage.host.succeed(["systemctl", "stop", "inside.service"])?;
    stage.delete("dns-server web-server")
}
