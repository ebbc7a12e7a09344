//! Interfaces of instances: of every kind, plugged in and out while the instance runs, and what a guest may not
//! pretend to be.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "nics",
    Base::Packaged,
    [
        an_interface_comes_and_goes_while_the_instance_runs,
        a_change_that_fails_leaves_the_interfaces_as_they_were,
        without_dhcp_a_fixed_address_is_given_inside,
        an_address_that_one_instance_asks_for_is_refused_to_the_next,
        a_guest_makes_itself_an_address_of_ipv6_and_a_way_out,
        a_macvlan_is_plugged_in_and_out,
        a_routed_guest_is_reached_from_the_hosts_side,
        a_physical_link_comes_back_however_the_guest_ends,
        vlans_part_the_guests_of_a_managed_bridge needs [Vlan],
        tagged_frames_of_guests_leave_by_the_interfaces_of_their_bridge needs [Vlan],
        a_profiles_interface_comes_and_goes_in_instances_that_run,
        a_guest_cannot_pretend_to_be_another,
        a_guest_is_no_router_no_server_and_no_neighbour_however_it_says_so,
        a_limit_holds_what_goes_to_the_guest,
        a_limit_drops_what_comes_from_the_guest_too_fast needs [Kernel],
        an_older_daemons_death_leaves_no_half_interface,
    ]
);

fn link(stage: &Stage, instance: &str, name: &str) -> Result<String> {
    stage.exec(instance, ["ip", "addr", "show", "dev", name]).succeed()
}

fn has(stage: &Stage, instance: &str, name: &str) -> Result<bool> {
    Ok(stage.exec(instance, ["ip", "link", "show", "dev", name]).output()?.code == Some(0))
}

fn an_interface_comes_and_goes_while_the_instance_runs(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    let links = || stage.host.succeed(["ip", "-brief", "link", "show", "type", "veth"]);
    let before = links()?;
    let begin = Instant::now();
    stage.lxctl("config device add n1 eth1 nic network=lxbr0 name=eth1 hwaddr=02:00:00:00:11:01").succeed()?;
    eprintln!("      plugged in within {} ms", begin.elapsed().as_millis());
    let inside = link(stage, "n1", "eth1")?;
    ensure!(inside.contains("02:00:00:00:11:01") && inside.contains("UP"), "{inside}");
    stage.exec("n1", ["udhcpc", "-i", "eth1", "-n", "-q", "-s", "/bin/true"]).succeed()?;
    ensure!(links()?.lines().count() == before.lines().count() + 1, "{}", links()?);
    // In place: what is not the link itself does not take it away.
    stage.exec("n1", ["ip", "addr", "add", "192.0.2.77/24", "dev", "eth1"]).succeed()?;
    stage.lxctl("config device set n1 eth1 security.port_isolation=true").succeed()?;
    ensure!(link(stage, "n1", "eth1")?.contains("192.0.2.77"));
    stage.lxctl("config device set n1 eth1 name=lan").succeed()?;
    ensure!(has(stage, "n1", "lan")? && !has(stage, "n1", "eth1")?);
    stage.lxctl("config device set n1 eth1 attached=false").succeed()?;
    ensure!(!has(stage, "n1", "lan")?);
    stage.lxctl("config device set n1 eth1 attached=true").succeed()?;
    stage.lxctl("config device remove n1 eth1").succeed()?;
    ensure!(!has(stage, "n1", "lan")? && links()? == before, "{}", links()?);
    Ok(())
}

fn a_change_that_fails_leaves_the_interfaces_as_they_were(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.lxctl("create busybox n2").succeed()?;
    stage.lxctl("config device add n2 eth5 nic network=lxbr0 ipv4.address=none hwaddr=02:00:00:00:11:99").succeed()?;
    let identity = || stage.exec("n1", ["sh", "-c", "cat /sys/class/net/eth0/address /sys/class/net/eth0/ifindex"]).succeed();
    let before = identity()?;
    nothing_changes(&stage.host, || {
        for (words, code, said) in [
            ("config device add n1 eth1 nic nictype=macvlan parent=eth9", 5, "eth9"),
            ("config device add n1 eth1 nic nictype=bridged parent=host0 vlan=0", 2, "vlan"),
            ("config device add n1 eth1 nic nictype=bridged parent=lxbr0 vlan=4095", 2, "vlan"),
            ("config device add n1 eth1 nic network=lxbr0 mtu=50", 2, "mtu"),
            ("config device add n1 eth1 nic network=lxbr0 name=eth0", 2, "eth0"),
            ("config device add n1 eth1 nic network=lxbr0 host_name=lxbr0", 5, "lxbr0"),
            ("config device add n1 eth1 nic network=lxbr0 name=a/b", 2, "name"),
            ("config device add n1 eth1 nic network=lxbr0 hwaddr=02:00:00:00:11:99", 5, "n2"),
            ("config device add n1 eth1 nic network=lxbr0 ipv4.address=203.0.113.9", 2, "203.0.113.9"),
            ("config device add n1 eth1 nic network=lxbr0 io.bus=usb", 8, "io.bus"),
            ("config device add n1 eth1 nic network=nobody", 3, "nobody"),
            ("config device add n1 eth1 nic nictype=sriov parent=lxbr0", 8, "sriov"),
        ] {
            let output = stage.lxctl(words).fail()?;
            ensure!(output.code == Some(code) && output.stderr_text().contains(said), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    ensure!(identity()? == before && !has(stage, "n1", "eth1")?);
    stage.delete("n2")
}

fn without_dhcp_a_fixed_address_is_given_inside(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.lxctl("network create quiet ipv4.address=10.123.47.1/24 ipv4.dhcp=false ipv6.address=none").succeed()?;
    stage.lxctl("config device add n1 quiet nic network=quiet ipv4.address=10.123.47.9").succeed()?;
    ensure!(link(stage, "n1", "quiet")?.contains("10.123.47.9/24"));
    stage.host.succeed(["ping", "-c", "1", "-W", "5", "10.123.47.9"])?;
    let routes = stage.exec("n1", ["ip", "route"]).succeed()?;
    ensure!(routes.matches("default").count() == 1 && !routes.contains("10.123.47.1 "), "{routes}");
    stage.lxctl("config device remove n1 quiet").succeed()?;
    stage.lxctl("network delete quiet").succeed().map(drop)
}

fn an_address_that_one_instance_asks_for_is_refused_to_the_next(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.running("n2")?;
    stage
        .lxctl("network create fixed ipv4.address=10.123.49.1/24 ipv6.address=fd49:1:2:3::1/64 ipv6.dhcp.stateful=true")
        .succeed()?;
    stage.lxctl("config device add n1 first nic network=fixed ipv4.address=10.123.49.9 ipv6.address=fd49:1:2:3::9").succeed()?;
    nothing_changes(&stage.host, || {
        for address in ["ipv4.address=10.123.49.9", "ipv6.address=fd49:1:2:3::9", "ipv4.address=10.123.49.1"] {
            let words = format!("config device add n2 second nic network=fixed {address}");
            let refused = stage.lxctl(&words).fail()?;
            ensure!([Some(2), Some(5)].contains(&refused.code), "{words}: {}", refused.describe());
        }
        Ok(())
    })?;
    // It is free when the first has gone.
    stage.lxctl("config device remove n1 first").succeed()?;
    stage.lxctl("config device add n2 second nic network=fixed ipv4.address=10.123.49.9 ipv6.address=fd49:1:2:3::9").succeed()?;
    stage.delete("n2")?;
    stage.lxctl("network delete fixed").succeed().map(drop)
}

/// By router advertisements of the network's own server, which busybox hears without any program.
fn a_guest_makes_itself_an_address_of_ipv6_and_a_way_out(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.lxctl("network create six ipv4.address=none ipv6.address=fd48:1:2:3::1/64").succeed()?;
    stage.lxctl("config device add n1 six nic network=six name=six").succeed()?;
    stage.exec("n1", ["ip", "link", "set", "six", "up"]).succeed()?;
    let address = stage.eventually("an address of the prefix", || {
        let said = stage.exec("n1", ["ip", "-6", "addr", "show", "dev", "six"]).succeed()?;
        let found = said.split_whitespace().find(|word| word.starts_with("fd48:1:2:3:"));
        Ok(found.and_then(|net| net.split('/').next()).map(str::to_owned))
    })?;
    stage.eventually("an answer from it", || {
        let reached = stage.host.command(["ping", "-c", "1", "-W", "1", &address]).output()?;
        Ok((reached.code == Some(0)).then_some(()))
    })?;
    let routes = stage.exec("n1", ["ip", "-6", "route", "show", "dev", "six"]).succeed()?;
    ensure!(routes.contains("default via fe80:"), "{routes}");
    stage.lxctl("config device remove n1 six").succeed()?;
    stage.lxctl("network delete six").succeed().map(drop)
}

fn a_macvlan_is_plugged_in_and_out(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.host.succeed([
        "sh",
        "-ec",
        "ip link add mvp type veth peer name mvo; ip link set mvp up; ip addr add 192.0.2.1/24 dev mvo; ip link set mvo up",
    ])?;
    stage.lxctl("config device add n1 wan nic nictype=macvlan parent=mvp").succeed()?;
    stage.exec("n1", ["ip", "addr", "add", "192.0.2.9/24", "dev", "wan"]).succeed()?;
    stage.eventually("an answer by the macvlan", || {
        let answer = stage.exec("n1", ["ping", "-c", "1", "-W", "1", "192.0.2.1"]).output()?;
        Ok((answer.code == Some(0)).then_some(()))
    })?;
    stage.lxctl("restart --force n1").succeed()?;
    ensure!(has(stage, "n1", "wan")?);
    stage.lxctl("config device remove n1 wan").succeed()?;
    ensure!(!has(stage, "n1", "wan")?);
    stage.host.succeed(["ip", "link", "del", "mvp"]).map(drop)
}

fn a_routed_guest_is_reached_from_the_hosts_side(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    let outside = "ip netns add out; ip link add rtp type veth peer name rto netns out; ip addr add 198.51.100.1/24 dev rtp; \
                   ip link set rtp up; ip -n out addr add 198.51.100.2/24 dev rto; ip -n out link set rto up";
    stage.host.succeed(["sh", "-ec", outside])?;
    stage
        .lxctl("config device add n1 pub nic nictype=routed parent=rtp ipv4.address=198.51.100.9 ipv4.gateway=none")
        .succeed()?;
    ensure!(link(stage, "n1", "pub")?.contains("198.51.100.9/32"));
    let back = "ip route add 169.254.0.1 dev pub; ip route add 198.51.100.0/24 via 169.254.0.1";
    stage.exec("n1", ["sh", "-ec", back]).succeed()?;
    stage.host.succeed(["ping", "-c", "1", "-W", "5", "-I", "198.51.100.1", "198.51.100.9"])?;
    // Nobody outside knows a route: the host answers for the guest.
    stage.eventually("an answer through the host", || {
        let answer = stage.host.command(["ip", "netns", "exec", "out", "ping", "-c", "1", "-W", "1", "198.51.100.9"]).output()?;
        Ok((answer.code == Some(0)).then_some(()))
    })?;
    stage.lxctl("config device remove n1 pub").succeed()?;
    let left = stage.host.succeed(["sh", "-c", "ip route; ip neigh show proxy"])?;
    ensure!(!left.contains("198.51.100.9"), "{left}");
    stage.host.succeed(["ip", "netns", "del", "out"]).map(drop)
}

fn a_physical_link_comes_back_however_the_guest_ends(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.host.succeed([
        "sh",
        "-ec",
        "ip link add phy0 address 02:00:00:00:22:01 type veth peer name phy1; ip link set phy0 up mtu 1400",
    ])?;
    let home = || -> Result<bool> {
        let said = stage.host.command(["ip", "link", "show", "dev", "phy0"]).output()?;
        Ok(said.code == Some(0) && said.stdout_text().contains("02:00:00:00:22:01") && said.stdout_text().contains("mtu 1400"))
    };
    let comes_home = || stage.eventually("the link at home", || Ok(home()?.then_some(())));
    stage.lxctl("config device add n1 wan nic nictype=physical parent=phy0 hwaddr=02:00:00:00:22:02 mtu=1300").succeed()?;
    ensure!(!home()? && link(stage, "n1", "wan")?.contains("02:00:00:00:22:02"));
    stage.lxctl("config device set n1 wan attached=false").succeed()?;
    ensure!(home()?);
    stage.lxctl("config device set n1 wan attached=true").succeed()?;
    stage.lxctl("stop --force n1").succeed()?;
    comes_home()?;
    stage.lxctl("start n1").succeed()?;
    ensure!(!home()?);
    stage.host.succeed(["kill", "-9", &stage.init_of("n1")?.to_string()])?;
    comes_home()?;
    stage.eventually("the end of n1", || Ok((stage.status("n1")? == "stopped").then_some(())))?;
    stage.lxctl("start n1").succeed()?;
    stage.host.succeed(["systemctl", "kill", "--signal=KILL", "lxhost-n1.scope"])?;
    comes_home()?;
    stage.eventually("the end of n1", || Ok((stage.status("n1")? == "stopped").then_some(())))?;
    stage.lxctl("config device remove n1 wan").succeed()?;
    stage.lxctl("start n1").succeed()?;
    stage.host.succeed(["ip", "link", "del", "phy0"]).map(drop)
}

/// Whether one guest reaches an address.
fn reaches(stage: &Stage, from: &str, address: &str) -> Result<bool> {
    Ok(stage.exec(from, ["ping", "-c", "1", "-W", "2", address]).output()?.code == Some(0))
}

fn comes_through(stage: &Stage, from: &str, address: &str) -> Result<()> {
    stage.eventually(&format!("{address} from {from}"), || Ok(reaches(stage, from, address)?.then_some(())))
}

fn vlans_part_the_guests_of_a_managed_bridge(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.lxctl("launch busybox n4").succeed()?;
    stage.host.succeed(["modprobe", "8021q"])?;
    let (own, other) = (stage.address("n1")?, stage.address("n4")?);
    for (name, address) in [("n1", "10.99.0.1/24"), ("n4", "10.99.0.2/24")] {
        stage.lxctl(&format!("config device add {name} lan nic network=lxbr0 vlan=100 ipv4.address={address}")).succeed()?;
    }
    comes_through(stage, "n1", "10.99.0.2")?;
    let info = stage.host.succeed(["ip", "-d", "link", "show", "dev", "lxbr0"])?;
    ensure!(info.contains("vlan_filtering 1"), "{info}");
    // The network's own VLAN is that of everybody else, and stays when the network is made anew.
    comes_through(stage, "n1", &other)?;
    stage.lxctl("network set lxbr0 user.note=x").succeed()?;
    stage.host.succeed(["systemctl", "restart", "lxhostd"])?;
    comes_through(stage, "n1", "10.99.0.2")?;
    stage.host.succeed(["ping", "-c", "1", "-W", "5", &own])?;
    // From one VLAN to another nothing goes, and a change needs no new link.
    let index = || stage.exec("n4", ["cat", "/sys/class/net/lan/ifindex"]).succeed();
    let before = index()?;
    stage.lxctl("config device set n4 lan vlan=200").succeed()?;
    ensure!(!reaches(stage, "n1", "10.99.0.2")? && index()? == before);
    // With tags, those of the key alone.
    stage.lxctl("config device set n4 lan vlan=none vlan.tagged=100,300-302").succeed()?;
    ensure!(!reaches(stage, "n1", "10.99.0.2")?);
    let tagged = "ip addr flush dev lan; for id in 100 200; do ip link add link lan name lan.$id type vlan id $id; \
                  ip link set lan.$id up; done; ip addr add 10.99.0.2/24 dev lan.100";
    stage.exec("n4", ["sh", "-ec", tagged]).succeed()?;
    comes_through(stage, "n4", "10.99.0.1")?;
    // A guest with tags hides nothing behind that of the network's own VLAN, where its addresses are looked at.
    stage.lxctl("config device override n4 eth0 vlan.tagged=300").succeed()?;
    let pretended = format!("{}.251", own.rsplit_once('.').context("an address")?.0);
    let hidden = format!(
        "ip link add link eth0 name hid type vlan id 1; ip link set hid up; ip addr add {pretended}/32 dev hid
        ip route add {own}/32 dev hid; ping -c 2 -W 1 -I hid {own} || true"
    );
    stage.exec("n4", ["sh", "-ec", &hidden]).succeed()?;
    let known = stage.exec("n1", ["ip", "neigh"]).succeed()?;
    ensure!(!known.contains(&pretended), "{known}");
    // Back in the network's own VLAN, where DHCP is.
    stage.lxctl("config device unset n4 lan vlan.tagged").succeed()?;
    stage.lxctl("config device unset n4 lan ipv4.address").succeed()?;
    stage.lxctl("config device unset n4 lan vlan").succeed()?;
    stage.exec("n4", ["udhcpc", "-i", "lan", "-n", "-q", "-f", "-t", "10", "-T", "1", "-s", "/bin/true"]).succeed()?;
    nothing_changes(&stage.host, || {
        for (words, code, said) in [
            ("config device set n4 lan vlan=0", 2, "vlan"),
            ("config device set n4 lan vlan.tagged=4095", 2, "vlan.tagged"),
            ("config device add n4 lan2 nic network=lxbr0 vlan=100 ipv4.address=10.99.0.7", 2, "10.99.0.7/24"),
        ] {
            let output = stage.lxctl(words).fail()?;
            ensure!(output.code == Some(code) && output.stderr_text().contains(said), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    stage.lxctl("config device remove n1 lan").succeed()?;
    stage.delete("n4")
}

/// `up0` is an interface of the host; behind it is somebody in VLAN 100 at 203.0.113.1, and in VLAN 7 of the provider's
/// VLAN 300 at 203.0.114.1.
fn tagged_frames_of_guests_leave_by_the_interfaces_of_their_bridge(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    let outside = "ip link add up0 type veth peer name fa0; ip link set fa0 up; ip link set up0 up
        ip link add link fa0 name fa0.100 type vlan id 100; ip addr add 203.0.113.1/24 dev fa0.100; ip link set fa0.100 up
        ip link add link fa0 name fa0.p type vlan proto 802.1ad id 300; ip link set fa0.p up
        ip link add link fa0.p name fa0.p.7 type vlan id 7; ip addr add 203.0.114.1/24 dev fa0.p.7; ip link set fa0.p.7 up
        ip link add link up0 name up0.p type vlan proto 802.1ad id 300; ip link set up0.p up";
    stage.host.succeed(["sh", "-ec", outside])?;
    stage.lxctl("network create trunk parent=up0").succeed()?;
    stage.lxctl("config device add n1 out nic network=trunk vlan=100 ipv4.address=203.0.113.9/24").succeed()?;
    comes_through(stage, "n1", "203.0.113.1")?;
    stage.lxctl("config device set n1 out vlan=101").succeed()?;
    ensure!(!reaches(stage, "n1", "203.0.113.1")?);
    stage.lxctl("config device remove n1 out").succeed()?;
    stage.lxctl("network delete trunk").succeed()?;
    // A VLAN of 802.1Q within one of 802.1ad.
    stage.lxctl("network create inner --type=vlan parent=up0.p vlan=7").succeed()?;
    let link = stage.host.succeed(["ip", "-d", "link", "show", "up0.p.7"])?;
    ensure!(link.contains("vlan protocol 802.1Q id 7") && link.contains("master inner"), "{link}");
    stage.lxctl("config device add n1 out nic network=inner").succeed()?;
    stage.exec("n1", ["ip", "addr", "add", "203.0.114.9/24", "dev", "out"]).succeed()?;
    comes_through(stage, "n1", "203.0.114.1")?;
    stage.lxctl("config device remove n1 out").succeed()?;
    stage.lxctl("network delete inner").succeed()?;
    ensure!(stage.host.command(["ip", "link", "show", "up0.p.7"]).output()?.code != Some(0), "it went with its network");
    stage.host.succeed(["ip", "link", "delete", "up0"]).map(drop)
}

fn a_profiles_interface_comes_and_goes_in_instances_that_run(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    let pid = || stage.exec("n1", ["cat", "/proc/1/stat"]).succeed();
    let before = pid()?;
    stage.lxctl("profile create extra").succeed()?;
    stage.lxctl("profile add n1 extra").succeed()?;
    stage.lxctl("profile device add extra lan nic network=lxbr0 name=lan7").succeed()?;
    ensure!(has(stage, "n1", "lan7")?);
    stage.lxctl("profile device set extra lan name=lan8").succeed()?;
    ensure!(has(stage, "n1", "lan8")? && !has(stage, "n1", "lan7")?);
    // What one of them cannot have is taken by none.
    let refused = stage.lxctl("profile device add extra wan nic nictype=macvlan parent=nowhere0").fail()?;
    ensure!(refused.stderr_text().contains("nowhere0"), "{}", refused.describe());
    ensure!(!stage.lxctl("profile show extra").succeed()?.contains("nowhere0"));
    stage.lxctl("profile device remove extra lan").succeed()?;
    ensure!(!has(stage, "n1", "lan8")?);
    ensure!(before.split(' ').nth(21) == pid()?.split(' ').nth(21), "it runs all the while");
    stage.lxctl("profile remove n1 extra").succeed()?;
    stage.lxctl("profile delete extra").succeed().map(drop)
}

fn a_guest_cannot_pretend_to_be_another(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    if stage.row("n3")?.is_none() {
        stage.lxctl("launch busybox n3").succeed()?;
    }
    let (own, other) = (stage.address("n1")?, stage.address("n3")?);
    let reaches = |from: &str| -> Result<bool> {
        let answer = stage.exec("n1", ["ping", "-c", "1", "-W", "2", from]).output()?;
        Ok(answer.code == Some(0))
    };
    ensure!(reaches(&other)?, "n1 does not reach n3 as itself");
    let seen = "ip neigh flush dev eth0; ping -c 1 -W 1 192.0.2.250 >/dev/null 2>&1; ip neigh";
    let neighbours = || stage.exec("n3", ["sh", "-c", seen]).output().map(|output| output.stdout_text());
    // Another IPv4 address, by ARP and by packets.
    stage.exec("n1", ["ip", "addr", "add", "10.255.255.9/8", "dev", "eth0"]).succeed()?;
    stage.exec("n1", ["arping", "-c", "2", "-w", "2", "-U", "-s", "10.255.255.9", "-I", "eth0", "10.255.255.9"]).output()?;
    let spoofed = stage.exec("n1", ["ping", "-c", "2", "-W", "1", "-I", "10.255.255.9", &other]).output()?;
    ensure!(spoofed.code != Some(0), "{}", spoofed.describe());
    ensure!(!neighbours()?.contains("10.255.255.9"));
    stage.exec("n1", ["ip", "addr", "del", "10.255.255.9/8", "dev", "eth0"]).succeed()?;
    // Another hardware address.
    let before = stage.exec("n1", ["cat", "/sys/class/net/eth0/address"]).succeed()?;
    stage.exec("n1", ["ip", "link", "set", "eth0", "address", "02:00:00:00:66:66"]).succeed()?;
    ensure!(!reaches(&other)?, "n1 reaches n3 as somebody else");
    let known = stage.host.succeed(["bridge", "fdb", "show", "br", "lxbr0"])?;
    ensure!(!known.contains("02:00:00:00:66:66"), "{known}");
    stage.exec("n1", ["ip", "link", "set", "eth0", "address", before.trim()]).succeed()?;
    stage.eventually("n3 again", || Ok(reaches(&other)?.then_some(())))?;
    // Somebody flushes everything.
    stage.host.succeed(["nft", "flush", "ruleset"])?;
    let table = || stage.host.command(["nft", "list", "table", "bridge", "lxhost"]).output();
    stage.eventually("the guards", || Ok(table()?.stdout_text().contains(&own).then_some(())))?;
    // Whoever asks for it may.
    stage.lxctl("config device override n1 eth0 security.mac_filtering=false").succeed()?;
    stage.exec("n1", ["ip", "link", "set", "eth0", "address", "02:00:00:00:66:66"]).succeed()?;
    stage.eventually("n3 as somebody else", || Ok(reaches(&other)?.then_some(())))?;
    stage.delete("n1 n3")
}

/// What a guest sends in one go, by the names of `frames.pl`: forged, and what is everybody's right.
const FORGED: [&str; 13] = [
    "router",
    "router-hidden",
    "neighbour",
    "neighbour-hidden",
    "gateway",
    "gateway-hidden",
    "neighbour-asks",
    "neighbour-begins",
    "dhcp6",
    "dhcp6-hidden",
    "dhcp6-other-port",
    "dhcp4",
    "dhcp4-other-port",
];
const HONEST: [&str; 5] = ["own-begins", "own", "own-asks", "plain", "last"];

fn a_guest_is_no_router_no_server_and_no_neighbour_however_it_says_so(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("launch busybox liar").succeed()?;
    stage.lxctl("launch busybox victim").succeed()?;
    let (own, _) = (stage.address("liar")?, stage.address("victim")?);
    let mac = |instance: &str| stage.exec(instance, ["cat", "/sys/class/net/eth0/address"]).succeed();
    let other = mac("victim")?.trim().to_owned();
    let bridge = stage.host.succeed(["cat", "/sys/class/net/lxbr0/address"])?.trim().to_owned();
    let inside = |instance: &str, words: &[&str]| -> Result<Vec<String>> {
        let pid = stage.init_of(instance)?;
        let net = format!("--net=/proc/{pid}/ns/net");
        let argv = ["nsenter", &net, "perl", "-e", include_str!("frames.pl"), "--"];
        Ok(argv.iter().chain(words).map(|word| (*word).to_owned()).collect())
    };
    let watch = stage.host.command(inside("victim", &["listen", "eth0"])?).spawn()?;
    stage.eventually("somebody who listens", || Ok(watch.said().contains("listening").then_some(())))?;
    let has = |name: &str, from: usize| watch.said()[from..].lines().any(|line| line == name);
    let say = || stage.host.succeed(inside("liar", &["send", "eth0", &own, &other, &bridge])?).map(drop);
    say()?;
    for name in HONEST {
        stage.eventually(&format!("the frame {name}"), || Ok(has(name, 0).then_some(())))?;
    }
    let come: Vec<&str> = FORGED.into_iter().filter(|name| has(name, 0)).collect();
    ensure!(come.is_empty(), "a neighbour got {come:?}");
    // The same frames come from who may say so: the rig can fail.
    let open = "security.mac_filtering=false security.ipv4_filtering=false security.ipv6_filtering=false";
    stage.lxctl(&format!("config device override liar eth0 {open}")).succeed()?;
    let before = watch.said().len();
    say()?;
    for name in FORGED.into_iter().chain(HONEST) {
        stage.eventually(&format!("the frame {name} without a guard"), || Ok(has(name, before).then_some(())))?;
    }
    // The strict filter knows addresses one by one.
    stage
        .lxctl(
            "config device set liar eth0 security.mac_filtering=true security.ipv4_filtering=true security.ipv6_filtering=true",
        )
        .succeed()?;
    let before = watch.said().len();
    say()?;
    for name in HONEST {
        stage.eventually(&format!("the frame {name} by the strict guard"), || Ok(has(name, before).then_some(())))?;
    }
    let come: Vec<&str> = FORGED.into_iter().filter(|name| *name != "neighbour-begins" && has(name, before)).collect();
    ensure!(come.is_empty(), "a neighbour got {come:?} from a guest with the strict filter");
    drop(watch);
    stage.delete("liar victim")
}

fn a_limit_holds_what_goes_to_the_guest(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage
        .lxctl("config device add n1 lim nic nictype=p2p host_name=lim0 limits.ingress=1Mbit ipv4.routes=203.0.113.0/24")
        .succeed()?;
    let held = stage.host.succeed(["tc", "qdisc", "show", "dev", "lim0"])?;
    ensure!(held.contains("tbf") && held.contains("1Mbit"), "{held}");
    ensure!(stage.host.succeed(["ip", "route", "show", "203.0.113.0/24"])?.contains("lim0"));
    stage.lxctl("config device unset n1 lim limits.ingress").succeed()?;
    ensure!(!stage.host.succeed(["tc", "qdisc", "show", "dev", "lim0"])?.contains("tbf"));
    stage.lxctl("config device remove n1 lim").succeed().map(drop)
}

/// Modules for it are on a Debian host, and not in every kernel that tests run on.
fn a_limit_drops_what_comes_from_the_guest_too_fast(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.lxctl("config device add n1 fast nic nictype=p2p host_name=fast0 limits.egress=1Mbit").succeed()?;
    stage.host.succeed(["ip", "address", "add", "192.0.2.1/30", "dev", "fast0"])?;
    stage.exec("n1", ["ip", "address", "add", "192.0.2.2/30", "dev", "fast"]).succeed()?;
    let held = || stage.host.succeed(["tc", "-s", "filter", "show", "dev", "fast0", "parent", "ffff:"]);
    // What the guest hands over in one piece is not too large for it.
    ensure!(held()?.contains("rate 1Mbit burst 128Kb mtu 128Kb action drop"), "{}", held()?);
    stage.exec("n1", ["ping", "-c", "1", "-W", "10", "192.0.2.1"]).succeed()?;
    // A megabyte at once is more than the bucket takes.
    let flood = "for i in $(seq 20); do ping -c 1 -W 1 -s 60000 192.0.2.1 >/dev/null & done; wait";
    stage.eventually("packets that were dropped", || {
        stage.exec("n1", ["sh", "-c", flood]).output()?;
        let said = held()?;
        ensure!(said.contains("dropped "), "{said}");
        Ok((!said.contains("dropped 0,")).then_some(()))
    })?;
    stage.lxctl("config device unset n1 fast limits.egress").succeed()?;
    ensure!(!stage.host.succeed(["tc", "qdisc", "show", "dev", "fast0"])?.contains("ingress"));
    stage.lxctl("config device remove n1 fast").succeed().map(drop)
}

fn an_older_daemons_death_leaves_no_half_interface(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.lxctl("config device add n1 eth7 nic network=lxbr0").succeed()?;
    stage.kill_daemon()?;
    stage.lxctl("config device remove n1 eth7").succeed()?;
    ensure!(!has(stage, "n1", "eth7")?);
    let row = stage.row("n1")?.context("n1")?;
    ensure!(row["status"] == "running");
    stage.delete("n1")
}
