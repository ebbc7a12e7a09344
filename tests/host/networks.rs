//! Networks that are changed while guests are on them.

use anyhow::{Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "networks",
    Base::Packaged,
    [
        what_is_set_is_on_the_host_at_once,
        guests_move_with_the_address_of_their_network,
        routes_by_a_bridge_stay_when_its_address_changes,
        a_change_that_is_wrong_changes_nothing,
        a_description_stays_and_an_edit_reads_what_show_prints,
        a_bridge_over_an_interface_reaches_what_is_behind_it,
        an_interface_at_which_the_host_is_reached_is_not_taken,
        a_vlan_is_made_for_its_bridge_and_carries_tagged_frames needs [Vlan],
        a_vlan_that_was_there_stays_and_one_that_was_made_goes needs [Vlan],
        the_packages_removal_takes_every_link_of_ours_and_no_other needs [Vlan],
        an_overlay_is_a_bridge_with_a_tunnel needs [Vlan],
        a_network_is_attached_renamed_and_told_of,
        what_guests_are_told_follows_the_keys,
        this_host_resolves_names_of_instances,
        an_interface_is_shared_or_given_away,
        a_bridge_that_somebody_deletes_flushes_or_renames_comes_back_with_its_guests,
        leases_are_signalled_when_they_are_given_renewed_and_dropped,
        rules_that_somebody_flushes_come_back_once_and_at_once,
        a_route_that_overlaps_later_is_told_of,
        a_subnet_avoids_name_servers_of_any_link_and_routes_of_any_table,
        a_name_server_that_is_killed_again_and_again_comes_back,
        who_holds_the_port_of_a_name_server_is_named,
    ]
);

fn what_is_set_is_on_the_host_at_once(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    let rules = || stage.host.succeed(["nft", "list", "table", "inet", "lxhost"]);
    ensure!(rules()?.matches("masquerade").count() == 2, "{}", rules()?);
    stage.lxctl("network set lxbr0 ipv4.nat=false").succeed()?;
    ensure!(rules()?.matches("masquerade").count() == 1, "{}", rules()?);
    stage.lxctl("network set lxbr0 ipv4.nat true").succeed()?;
    ensure!(rules()?.matches("masquerade").count() == 2, "{}", rules()?);
    stage.lxctl("network set lxbr0 dns.domain=lab.test").succeed()?;
    stage.lxctl("restart --force n1").succeed()?;
    stage.address("n1")?;
    stage.eventually("the name in the new domain", || {
        let found = stage.exec("n1", ["nslookup", "n1.lab.test"]).output()?;
        Ok((found.code == Some(0)).then_some(()))
    })?;
    stage.lxctl("network unset lxbr0 dns.domain").succeed()?;
    ensure!(stage.lxctl("network get lxbr0 dns.domain").succeed()? == "\n");
    Ok(())
}

fn guests_move_with_the_address_of_their_network(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    let before = stage.address("n1")?;
    stage.lxctl("network set lxbr0 ipv4.address=10.123.45.1/24").succeed()?;
    let bridge = stage.host.succeed(["ip", "-4", "-oneline", "address", "show", "lxbr0"])?;
    ensure!(bridge.lines().count() == 1 && bridge.contains("10.123.45.1/24"), "{bridge}");
    stage.lxctl("restart --force n1").succeed()?;
    let after = stage.address("n1")?;
    ensure!(before != after && after.starts_with("10.123.45."), "{before}, then {after}");
    stage.host.succeed(["ping", "-c", "1", "-W", "5", &after])?;
    Ok(())
}

/// The host's own routes by the bridge, which nobody told us of.
fn routes_by_a_bridge_stay_when_its_address_changes(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.lxctl("network set lxbr0 ipv4.address=10.123.48.1/24").succeed()?;
    let routes = "ip route add 198.51.100.0/24 dev lxbr0; ip route add 203.0.113.0/24 via 10.123.48.9 dev lxbr0";
    stage.host.succeed(["sh", "-ec", routes])?;
    // Another address in the same subnet, a larger subnet, another one.
    for address in ["10.123.48.2/24", "10.123.48.2/23", "10.123.52.1/24"] {
        stage.lxctl(&format!("network set lxbr0 ipv4.address={address}")).succeed()?;
        let bridge = stage.host.succeed(["ip", "-4", "-oneline", "address", "show", "lxbr0"])?;
        ensure!(bridge.lines().count() == 1 && bridge.contains(address), "{bridge}");
        let there = stage.host.succeed(["ip", "-4", "route", "show", "dev", "lxbr0"])?;
        let kept = ["198.51.100.0/24 scope link", "203.0.113.0/24 via 10.123.48.9"];
        ensure!(kept.iter().all(|route| there.contains(route)), "with {address}: {there}");
    }
    stage.host.succeed(["sh", "-ec", "ip route del 198.51.100.0/24; ip route del 203.0.113.0/24"]).map(drop)
}

fn a_change_that_is_wrong_changes_nothing(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.lxctl("network create other ipv4.address=10.123.46.1/24 ipv6.address=none --description Other").succeed()?;
    nothing_changes(&stage.host, || {
        for (words, code, said) in [
            ("network set lxbr0 ipv4.adress=none", 2, "ipv4.address"),
            ("network set lxbr0 ipv4.address=nonsense", 2, "ipv4.address"),
            ("network set lxbr0 ipv4.address=10.123.46.9/24", 5, "other"),
            ("network set lxbr0 ipv4.nat=perhaps", 2, "ipv4.nat"),
            ("network set nobody ipv4.nat=true", 3, "nobody"),
            ("storage set default source=/srv/elsewhere", 2, "source"),
            ("storage set default sourc=/srv/elsewhere", 2, "sourc"),
        ] {
            let output = stage.lxctl(words).fail()?;
            ensure!(output.code == Some(code) && output.stderr_text().contains(said), "{words}: {}", output.describe());
        }
        let denied = stage.host.command(["lxctl", "network", "set", "lxbr0", "ipv4.nat=false"]).user("alice").fail()?;
        ensure!(denied.code == Some(6), "{}", denied.describe());
        Ok(())
    })
}

fn a_description_stays_and_an_edit_reads_what_show_prints(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    let same = "lxctl network show lxbr0 | lxctl network edit lxbr0; lxctl storage show default | lxctl storage edit default";
    let shown =
        || Ok::<_, anyhow::Error>((stage.lxctl("network show lxbr0").succeed()?, stage.lxctl("storage show default").succeed()?));
    let before = shown()?;
    stage.host.succeed(["sh", "-ec", same])?;
    ensure!(shown()? == before, "{before:?}, then {:?}", shown()?);
    stage.host.succeed([
        "sh",
        "-ec",
        "lxctl network show lxbr0 | sed 's/^description:.*/description: Lab/' | lxctl network edit lxbr0",
    ])?;
    ensure!(stage.lxctl("network show lxbr0").succeed()?.contains("description: Lab"));
    stage.lxctl("storage set default user.owner=web").succeed()?;
    ensure!(stage.lxctl("storage get default user.owner").succeed()? == "web\n");
    Ok(())
}

/// An interface `lan0` of the host; at its other end is somebody with the address 198.51.100.1. The default network
/// is there before, or the first launch would take another for it.
fn lan(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    let script = "ip link show lan0 >/dev/null 2>&1 || ip link add lan0 type veth peer name far0
        ip address replace 198.51.100.1/24 dev far0; ip link set far0 up; ip address flush dev lan0";
    stage.host.succeed(["sh", "-ec", script]).map(drop)
}

/// An instance whose only interface is in that network, with an address of that outside.
fn outsider(stage: &Stage, network: &str, address: &str) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox out1").succeed()?;
    stage.lxctl(&format!("network attach {network} out1 eth0 eth0")).succeed()?;
    stage.lxctl("start out1").succeed()?;
    stage.exec("out1", ["ip", "address", "add", address, "dev", "eth0"]).succeed()?;
    Ok(())
}

fn a_bridge_over_an_interface_reaches_what_is_behind_it(stage: &Stage) -> Result<()> {
    lan(stage)?;
    stage.lxctl("network create br-physical --type=bridge parent=lan0").succeed()?;
    outsider(stage, "br-physical", "198.51.100.7/24")?;
    stage.exec("out1", ["ping", "-c", "1", "-W", "5", "198.51.100.1"]).succeed()?;
    let info = stage.lxctl("network info br-physical").succeed()?;
    ensure!(info.contains("lan0") && info.contains("instance out1"), "{info}");
    let used = stage.lxctl("network delete br-physical").fail()?;
    ensure!(used.code == Some(5) && used.stderr_text().contains("instance out1"), "{}", used.describe());
    stage.delete("out1")?;
    stage.lxctl("network delete br-physical").succeed()?;
    let port = stage.host.succeed(["ip", "-o", "link", "show", "lan0"])?;
    ensure!(!port.contains("master"), "the interface is the host's again: {port}");
    Ok(())
}

fn an_interface_at_which_the_host_is_reached_is_not_taken(stage: &Stage) -> Result<()> {
    lan(stage)?;
    stage.host.succeed(["ip", "address", "add", "198.51.100.2/24", "dev", "lan0"])?;
    nothing_changes(&stage.host, || {
        for (words, code, said) in [
            ("network create taken parent=lan0", 5, "198.51.100.2/24"),
            ("network create gone parent=lan7", 2, "lan7"),
            ("network create none parent=lan0.0", 2, "not a VLAN"),
            ("network create none parent=lan0.4095", 2, "not a VLAN"),
            ("network create far0 ipv4.address=none ipv6.address=none", 5, "far0"),
            ("network create small ipv4.address=10.77.0.1/24 bridge.mtu=60", 2, "bridge.mtu"),
            ("network create raw raw.dnsmasq=port=0", 8, "raw.dnsmasq"),
        ] {
            let output = stage.lxctl(words).fail()?;
            ensure!(output.code == Some(code) && output.stderr_text().contains(said), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    stage.host.succeed(["ip", "address", "flush", "dev", "lan0"])?;
    Ok(())
}

fn a_vlan_is_made_for_its_bridge_and_carries_tagged_frames(stage: &Stage) -> Result<()> {
    lan(stage)?;
    let far = "ip link add link far0 name far0.100 type vlan id 100
        ip address add 198.51.101.1/24 dev far0.100; ip link set far0.100 up";
    stage.host.succeed(["sh", "-ec", far])?;
    stage.lxctl("network create vlan100 --type=bridge parent=lan0.100").succeed()?;
    let link = stage.host.succeed(["ip", "-d", "link", "show", "lan0.100"])?;
    ensure!(link.contains("vlan protocol 802.1Q id 100") && link.contains("master vlan100"), "{link}");
    outsider(stage, "vlan100", "198.51.101.7/24")?;
    stage.exec("out1", ["ping", "-c", "1", "-W", "10", "198.51.101.1"]).succeed()?;
    stage.delete("out1")?;
    stage.lxctl("network delete vlan100").succeed()?;
    ensure!(stage.host.command(["ip", "link", "show", "lan0.100"]).output()?.code != Some(0), "the VLAN went with its network");
    stage.lxctl("network create office --type=vlan parent=lan0 vlan=200").succeed()?;
    stage.host.succeed(["ip", "link", "show", "lan0.200"])?;
    stage.lxctl("network delete office").succeed()?;
    stage.host.succeed(["ip", "link", "delete", "far0.100"])?;
    Ok(())
}

fn is_there(stage: &Stage, link: &str) -> Result<bool> {
    Ok(stage.host.command(["ip", "link", "show", "dev", link]).output()?.code == Some(0))
}

/// `lan0.40` is somebody else's, the others are made.
fn a_vlan_that_was_there_stays_and_one_that_was_made_goes(stage: &Stage) -> Result<()> {
    lan(stage)?;
    stage.host.succeed(["ip", "link", "add", "link", "lan0", "name", "lan0.40", "type", "vlan", "id", "40"])?;
    let networks = ["--type=macvlan parent=lan0 vlan=", "--type=physical parent=lan0 vlan=", "--type=bridge parent=lan0."];
    for words in networks {
        for number in [40, 41] {
            let link = format!("lan0.{number}");
            stage.lxctl(&format!("network create by {words}{number}")).succeed()?;
            ensure!(is_there(stage, &link)?, "{link} of a network with {words}");
            stage.lxctl("network delete by").succeed()?;
            ensure!(is_there(stage, &link)? == (number == 40), "{link} after a network with {words}");
        }
    }
    for kind in ["macvlan", "ipvlan ipv4.address=198.51.100.40", "physical"] {
        for number in [40, 41] {
            let link = format!("lan0.{number}");
            // An interface that an instance has to itself goes with it, and is back under its name.
            stage.lxctl(&format!("config device add n1 by nic parent=lan0 vlan={number} nictype={kind}")).succeed()?;
            stage.lxctl("config device remove n1 by").succeed()?;
            ensure!(is_there(stage, &link)? == (number == 40), "{link} after an interface of type {kind}");
        }
    }
    // Somebody makes one of the name of ours, which is gone: it is not ours.
    for words in networks {
        stage.lxctl(&format!("network create by {words}41")).succeed()?;
        // A daemon that runs would be faster, and make its own again.
        let other = "systemctl stop lxhostd; ip link delete lan0.41; ip link add link lan0 name lan0.41 type vlan id 41
            systemctl start lxhostd";
        stage.host.succeed(["sh", "-ec", other])?;
        stage.lxctl("network delete by").succeed()?;
        let left = stage.host.succeed(["ip", "-o", "link", "show", "lan0.41"])?;
        ensure!(!left.contains("master"), "with {words}: {left}");
        stage.host.succeed(["ip", "link", "delete", "lan0.41"])?;
    }
    stage.host.succeed(["ip", "link", "delete", "lan0.40"]).map(drop)
}

/// What the package does when it is removed, without the package being removed.
fn the_packages_removal_takes_every_link_of_ours_and_no_other(stage: &Stage) -> Result<()> {
    lan(stage)?;
    let there = "ip link set lan0 up; ip link add link lan0 name lan0.50 type vlan id 50";
    stage.host.succeed(["sh", "-ec", there])?;
    stage.host.succeed(["ip", "link", "add", "theirs", "type", "bridge"])?;
    for words in [
        "over50 parent=lan0.50",
        "over51 parent=lan0.51",
        "beside --type=macvlan parent=lan0 vlan=52",
        "tunnel --type=vxlan tunnel.id=7 tunnel.interface=lan0",
    ] {
        stage.lxctl(&format!("network create {words}")).succeed()?;
    }
    let before = stage.host.succeed(["ip", "-o", "link"])?;
    ensure!(["lan0.51@", "lan0.52@", "over50:", "over51:", "tunnel:"].iter().all(|link| before.contains(link)), "{before}");
    stage.delete("n1")?;
    let script = stage.host.succeed(["cat", "/var/lib/dpkg/info/lxhost.postrm"])?;
    stage.host.put("/root/postrm", 0o755, script)?;
    stage.host.succeed(["systemctl", "stop", "lxhostd"])?;
    stage.host.succeed(["/root/postrm", "remove"])?;
    let after = stage.host.succeed(["ip", "-o", "link"])?;
    for gone in ["lan0.51", "lan0.52", "over50", "over51", "tunnel", "lxbr0"] {
        ensure!(!after.contains(gone), "{gone} is left: {after}");
    }
    ensure!(after.contains("lan0.50") && after.contains("theirs") && after.contains("lan0@"), "{after}");
    stage.host.succeed(["systemctl", "start", "lxhostd"])?;
    stage.lxctl("network delete over50 over51 beside tunnel").succeed()?;
    ensure!(is_there(stage, "lan0.50")? && is_there(stage, "theirs")?);
    stage.host.succeed(["sh", "-ec", "ip link delete lan0.50; ip link delete theirs"]).map(drop)
}

fn an_overlay_is_a_bridge_with_a_tunnel(stage: &Stage) -> Result<()> {
    lan(stage)?;
    let create = "network create overlay-network --type=overlay --config tunnel.protocol=vxlan --config tunnel.id=1000";
    stage.lxctl(&format!("{create} --config tunnel.interface=lan0")).succeed()?;
    let tunnels = stage.host.succeed(["ip", "-d", "link", "show", "type", "vxlan"])?;
    ensure!(tunnels.contains("vxlan id 1000 group 239.0.0.1 dev lan0"), "{tunnels}");
    stage.with_busybox()?;
    stage.lxctl("launch busybox over1 --network overlay-network").succeed()?;
    stage.address("over1")?;
    stage.delete("over1")?;
    stage.lxctl("network delete overlay-network").succeed()?;
    ensure!(stage.host.succeed(["ip", "-d", "link", "show", "type", "vxlan"])?.is_empty(), "the tunnel went with its network");
    Ok(())
}

fn a_network_is_attached_renamed_and_told_of(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.lxctl("network create internal-network ipv4.address=172.16.1.1/24 ipv4.nat=false ipv6.address=none").succeed()?;
    stage.lxctl("network rename internal-network inside").succeed()?;
    let bridge = stage.host.succeed(["ip", "-4", "-oneline", "address", "show", "inside"])?;
    ensure!(bridge.contains("172.16.1.1/24"), "{bridge}");
    stage.lxctl("network attach inside n1").succeed()?;
    stage.exec("n1", ["udhcpc", "-i", "eth1", "-n", "-q", "-f", "-t", "10", "-T", "1"]).succeed()?;
    stage.eventually("the lease", || {
        let leases = stage.lxctl("network list-leases inside --format csv").succeed()?;
        Ok(leases.contains("n1,").then_some(()))
    })?;
    let rows = stage.lxctl("network list-allocations --format csv,noheader").succeed()?;
    ensure!(rows.contains("inside,172.16.1.1/24,network,NO,") && rows.contains("n1,172.16.1."), "{rows}");
    stage.lxctl("network detach inside n1").succeed()?;
    stage.lxctl("network delete inside").succeed()?;
    Ok(())
}

fn what_guests_are_told_follows_the_keys(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.lxctl("network create told ipv4.address=10.123.50.1/24 ipv6.address=none").succeed()?;
    for keys in [
        "ipv4.dhcp true",
        "ipv4.dhcp.ranges 10.123.50.50-10.123.50.60",
        "ipv4.dhcp.gateway=10.123.50.9 ipv4.dhcp.expiry=12h dns.search=lab.test,test dns.nameservers=10.123.50.53",
        "ipv4.dhcp.routes=10.200.0.0/16,10.123.50.7 ipv4.routes=10.201.0.0/16 ipv4.routing=false",
    ] {
        stage.lxctl(&format!("network set told {keys}")).succeed()?;
    }
    stage.host.succeed(["ip", "route", "get", "10.201.0.1"]).and_then(|route| {
        ensure!(route.contains("dev told"), "{route}");
        Ok(())
    })?;
    let rules = stage.host.succeed(["nft", "list", "chain", "inet", "lxhost", "isolated"])?;
    ensure!(rules.contains("iifname \"told\" oifname != \"told\""), "{rules}");
    stage.lxctl("network attach told n1").succeed()?;
    let script = "printf '#!/bin/sh\\nenv\\n' >/tmp/told; chmod +x /tmp/told; udhcpc -i eth1 -n -q -f -t 10 -T 1 -s /tmp/told -O search -O staticroutes";
    let said = stage.exec("n1", ["sh", "-c", script]).succeed()?;
    for part in [
        "ip=10.123.50.",
        "router=10.123.50.9",
        "dns=10.123.50.53",
        "lease=43200",
        "search=lab.test test",
        "10.200.0.0/16 10.123.50.7",
    ] {
        ensure!(said.contains(part), "{part}: {said}");
    }
    stage.lxctl("network unset told ipv4.routes").succeed()?;
    ensure!(!stage.host.succeed(["ip", "route"])?.contains("10.201.0.0/16"));
    stage.lxctl("network detach told n1").succeed()?;
    stage.lxctl("network delete told").succeed()?;
    Ok(())
}

fn this_host_resolves_names_of_instances(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.host.succeed(["systemctl", "start", "systemd-resolved"])?;
    stage.lxctl("network set lxbr0 dns.domain=resolved.test").succeed()?;
    stage.lxctl("restart --force n1").succeed()?;
    let address = stage.address("n1")?;
    let asked = || {
        stage.eventually("the name on the host", || {
            let found = stage.host.command(["resolvectl", "query", "-4", "n1.resolved.test"]).output()?;
            Ok(found.stdout_text().contains(&address).then_some(()))
        })
    };
    asked()?;
    // By its name alone, also with the address that holds on the bridge only.
    let bridge = stage.host.succeed(["cat", "/sys/class/net/lxbr0/ifindex"])?;
    stage.eventually("all its addresses by nss-mymachines", || {
        let found = stage.host.command(["getent", "ahosts", "n1"]).output()?.stdout_text();
        let local = found.split_whitespace().find(|word| word.starts_with("fe80:")).map(str::to_owned);
        let Some(local) = local.filter(|_| found.contains(&address)) else { return Ok(None) };
        ensure!(local.ends_with(&format!("%{}", bridge.trim())), "{found}");
        let reached = stage.host.command(["ping", "-c", "1", "-W", "5", &local]).output()?;
        Ok((reached.code == Some(0)).then_some(()))
    })?;
    let domains = stage.host.succeed(["resolvectl", "domain", "lxbr0"])?;
    ensure!(domains.contains("~resolved.test"), "{domains}");
    // Even when it has forgotten everything.
    stage.host.succeed(["systemctl", "stop", "systemd-resolved"])?;
    stage.host.succeed(["sh", "-c", "rm -rf /run/systemd/resolve/netif/*"])?;
    stage.host.succeed(["systemctl", "start", "systemd-resolved"])?;
    asked()?;
    stage.lxctl("network unset lxbr0 dns.domain").succeed()?;
    Ok(())
}

fn an_interface_is_shared_or_given_away(stage: &Stage) -> Result<()> {
    lan(stage)?;
    for words in ["network create shared --type=macvlan parent=lan0", "network create given --type=physical parent=lan0"] {
        stage.lxctl(words).succeed()?;
    }
    let info = stage.lxctl("network info shared").succeed()?;
    ensure!(info.contains("Interface: lan0") && info.contains("State: up"), "{info}");
    let second = stage.lxctl("network create again --type=physical parent=lan0").fail()?;
    ensure!(second.code == Some(5) && second.stderr_text().contains("network given"), "{}", second.describe());
    outsider(stage, "given", "198.51.100.7/24")?;
    stage.exec("out1", ["ping", "-c", "1", "-W", "5", "198.51.100.1"]).succeed()?;
    ensure!(stage.host.command(["ip", "link", "show", "lan0"]).output()?.code != Some(0), "the instance has it");
    ensure!(stage.lxctl("network info given").succeed()?.contains("not on this host now"));
    stage.delete("out1")?;
    stage.host.succeed(["ip", "link", "show", "lan0"])?;
    stage.lxctl("network delete shared given").succeed()?;
    Ok(())
}

fn a_bridge_that_somebody_deletes_flushes_or_renames_comes_back_with_its_guests(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    // A test before this one may have given the bridge a subnet that is not the guest's yet.
    stage.lxctl("restart --force n1").succeed()?;
    let address = stage.address("n1")?;
    let deeds = [
        "ip link delete lxbr0",
        "ip address flush dev lxbr0",
        "ip link set lxbr0 name lost",
        "ip -6 address flush dev lxbr0 scope link",
    ];
    for deed in deeds {
        stage.host.succeed(["sh", "-ec", deed])?;
        stage.eventually(&format!("n1 after {deed}"), || {
            let reached = stage.host.command(["ping", "-c", "1", "-W", "1", &address]).output()?;
            Ok((reached.code == Some(0)).then_some(()))
        })?;
        stage.eventually("its own name", || {
            let bridges = stage.host.succeed(["ip", "-o", "link", "show", "type", "bridge"])?;
            Ok((bridges.contains("lxbr0:") && !bridges.contains("lost:")).then_some(()))
        })?;
        stage.eventually(&format!("the address that guests have for their router after {deed}"), || {
            let local = stage.host.succeed(["ip", "-6", "-oneline", "address", "show", "dev", "lxbr0", "scope", "link"])?;
            Ok(local.contains("inet6 fe80:").then_some(()))
        })?;
    }
    Ok(())
}

fn leases_are_signalled_when_they_are_given_renewed_and_dropped(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    let watch = stage.host.command(["busctl", "monitor", "--json=short", "org.lxhost1"]).spawn()?;
    stage.eventually("a monitor that hears", || {
        stage.lxctl("network list-leases lxbr0").succeed()?;
        Ok(watch.said().contains("ListLeases").then_some(()))
    })?;
    let events = stage.host.command(["lxctl", "monitor", "--format", "json"]).spawn()?;
    stage.eventually("an lxctl monitor that hears", || {
        stage.lxctl("network set lxbr0 user.heard=yes").succeed()?;
        Ok(events.said().contains("job-new").then_some(()))
    })?;
    stage.lxctl("launch busybox leased").succeed()?;
    let address = stage.address("leased")?;
    let told = |what: &str| {
        let said = watch.said();
        said.lines().any(|line| line.contains("LeaseChanged") && line.contains(&address) && line.contains(what))
    };
    stage.eventually("that it was given", || Ok(told("added").then_some(())))?;
    let property = watch.said().lines().any(|line| line.contains("PropertiesChanged") && line.contains(&address));
    ensure!(property, "the instance's addresses: {}", watch.said());
    // A lease ends at a full second, so the next one has to have begun.
    stage.eventually("that it was renewed", || {
        stage.exec("leased", ["udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "10", "-T", "1"]).succeed()?;
        Ok(told("renewed").then_some(()))
    })?;
    stage.delete("leased")?;
    stage.eventually("that it was dropped", || Ok(told("removed").then_some(())))?;
    let printed = |what: &str| {
        let words = ["\"event\":\"lease\"", "\"network\":\"lxbr0\"", &format!("\"address\":\"{address}\""), what];
        events.said().lines().any(|line| words.iter().all(|word| line.contains(word)))
    };
    for what in ["added", "renewed", "removed"] {
        stage.eventually(&format!("that lxctl monitor says {what}"), || Ok(printed(what).then_some(())))?;
    }
    Ok(())
}

fn rules_that_somebody_flushes_come_back_once_and_at_once(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.lxctl("network acl create drift").succeed()?;
    stage.lxctl("network acl rule add drift egress action=reject destination=192.0.2.77").succeed()?;
    stage.lxctl("network set lxbr0 security.acls=drift").succeed()?;
    let rules = || Ok::<_, anyhow::Error>(stage.host.command(["nft", "list", "ruleset"]).output()?.stdout_text());
    let said = || {
        let journal = stage.host.succeed(["journalctl", "-u", "lxhostd", "-b", "--no-pager"])?;
        Ok::<_, anyhow::Error>(journal.matches("its rules for networks are written again").count())
    };
    let (before, times) = (rules()?, said()?);
    ensure!(before.contains("masquerade") && before.contains("192.0.2.77") && before.contains("table bridge lxhost"), "{before}");
    for (round, deed) in ["flush ruleset", "delete table inet lxhost", "flush table bridge lxhost"].iter().enumerate() {
        stage.host.succeed(["nft", deed])?;
        let back = || Ok((rules()?.lines().count() == before.lines().count()).then_some(()));
        stage.eventually(&format!("NAT, ACL and guards after {deed}"), back)?;
        stage.eventually("what the journal says", || Ok((said()? == times + round + 1).then_some(())))?;
    }
    stage.lxctl("network unset lxbr0 security.acls").succeed()?;
    stage.lxctl("network acl delete drift").succeed()?;
    ensure!(said()? == times + 3, "the daemon was woken by changes of its own");
    Ok(())
}

fn a_route_that_overlaps_later_is_told_of(stage: &Stage) -> Result<()> {
    lan(stage)?;
    stage.lxctl("network create vpnlike ipv4.address=10.123.60.1/24 ipv6.address=none").succeed()?;
    stage.host.succeed(["sh", "-ec", "ip link set lan0 up; ip route add 10.123.60.128/25 dev lan0"])?;
    let info = stage.lxctl("network info vpnlike").succeed()?;
    ensure!(info.contains("10.123.60.0/24 overlaps 10.123.60.128/25") && info.contains("lan0"), "{info}");
    stage.eventually("a warning in the journal", || {
        let said = stage.host.succeed(["journalctl", "-u", "lxhostd", "-b", "--no-pager"])?;
        Ok(said.contains("overlaps 10.123.60.128/25").then_some(()))
    })?;
    stage.host.succeed(["ip", "route", "delete", "10.123.60.128/25", "dev", "lan0"])?;
    stage.lxctl("network delete vpnlike").succeed()?;
    Ok(())
}

fn a_subnet_avoids_name_servers_of_any_link_and_routes_of_any_table(stage: &Stage) -> Result<()> {
    lan(stage)?;
    stage.host.succeed(["ip", "link", "set", "lan0", "up"])?;
    // A VPN with a table of its own has all of 10 and 172.16.
    let vpn = |verb: &str, net: &str| stage.host.succeed(["ip", "route", verb, net, "dev", "lan0", "table", "51820"]).map(drop);
    for net in ["10.0.0.0/8", "172.16.0.0/12"] {
        vpn("add", net)?;
    }
    stage.lxctl("network create beside ipv6.address=none").succeed()?;
    let chosen = stage.lxctl("network get beside ipv4.address").succeed()?;
    ensure!(chosen.starts_with("192.168."), "{chosen}");
    stage.lxctl("network delete beside").succeed()?;
    for net in ["10.0.0.0/8", "172.16.0.0/12"] {
        vpn("delete", net)?;
    }
    // A part of a subnet that goes elsewhere, before and after.
    vpn("add", "10.123.81.128/25")?;
    let create = "network create late ipv4.address=10.123.81.1/24 ipv6.address=none";
    let refused = stage.lxctl(create).fail()?;
    ensure!(refused.code == Some(5) && refused.stderr_text().contains("10.123.81.128/25"), "{}", refused.describe());
    vpn("delete", "10.123.81.128/25")?;
    stage.lxctl(create).succeed()?;
    vpn("add", "10.123.81.128/25")?;
    stage.eventually("a warning in the journal", || {
        let said = stage.host.succeed(["journalctl", "-u", "lxhostd", "-b", "--no-pager"])?;
        Ok(said.contains("10.123.81.0/24 overlaps 10.123.81.128/25").then_some(()))
    })?;
    vpn("delete", "10.123.81.128/25")?;
    stage.lxctl("network delete late").succeed()?;
    // A name server that only systemd-resolved knows.
    stage.host.succeed(["systemctl", "start", "systemd-resolved"])?;
    stage.host.succeed(["resolvectl", "dns", "lan0", "10.123.80.53"])?;
    let refused = stage.lxctl("network create asked ipv4.address=10.123.80.1/24 ipv6.address=none").fail()?;
    ensure!(refused.code == Some(5) && refused.stderr_text().contains("name server of interface lan0"), "{}", refused.describe());
    stage.host.succeed(["resolvectl", "revert", "lan0"])?;
    // Its own name server, which resolved is told of, is in nobody's way.
    stage.lxctl("network create asked ipv4.address=10.123.80.1/24 ipv6.address=none").succeed()?;
    ensure!(!stage.lxctl("network info asked").succeed()?.contains("overlaps"));
    stage.lxctl("network delete asked").succeed().map(drop)
}

fn a_name_server_that_is_killed_again_and_again_comes_back(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    let unit = "lxhost-dnsmasq@lxbr0.service";
    let pid = || stage.host.succeed(["systemctl", "show", "-P", "MainPID", unit]).map(|pid| pid.trim().to_owned());
    for round in 0..20 {
        let before = pid()?;
        ensure!(before != "0", "round {round}: it does not run");
        stage.host.succeed(["kill", "-KILL", &before])?;
        stage.eventually("another process", || Ok(Some(pid()?).filter(|now| *now != "0" && *now != before)))?;
    }
    stage.lxctl("restart --force n1").succeed()?;
    stage.address("n1")?;
    Ok(())
}

fn who_holds_the_port_of_a_name_server_is_named(stage: &Stage) -> Result<()> {
    stage.lxctl("network create crowded ipv4.address=10.123.51.1/24 ipv6.address=none").succeed()?;
    stage.host.succeed(["systemctl", "stop", "lxhost-dnsmasq@crowded.service"])?;
    let holder = "systemd-run --quiet --unit holder --service-type=exec dnsmasq --keep-in-foreground --conf-file=/dev/null --no-daemon \
        --port=53 --bind-interfaces --listen-address=10.123.51.1 --no-resolv --pid-file=";
    stage.host.succeed(["sh", "-ec", holder])?;
    stage.eventually("the holder of the port", || {
        let open = stage.host.succeed(["cat", "/proc/net/udp"])?;
        Ok(open.contains(":0035").then_some(()))
    })?;
    let refused = stage.lxctl("network set crowded dns.domain=other").fail()?;
    let said = refused.stderr_text();
    ensure!(said.contains("port 53") && said.contains("dnsmasq (process "), "{}", refused.describe());
    stage.host.succeed(["systemctl", "stop", "holder.service"])?;
    stage.lxctl("network set crowded dns.domain=other").succeed()?;
    stage.lxctl("network delete crowded").succeed()?;
    Ok(())
}
