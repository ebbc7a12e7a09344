//! What lines of the documents of `seeds` want, done by a client of the bus: `busctl`, as any other would.

use anyhow::{Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

use crate::seeds::{asked_by_the_outside, lease, name_server};

pub(crate) const SUITE: Suite = suite!(
    "busctl",
    Base::Packaged,
    [
        any_client_of_the_bus_can_do_the_same,
        a_client_of_the_bus_keeps_addresses_names_and_ports_for_an_instance,
        a_client_of_the_bus_has_a_name_server_inside_answer_for_the_host,
        a_client_of_the_bus_parts_a_network_from_the_outside_and_puts_instances_on_a_bridge,
        a_client_of_the_bus_makes_bridges_over_interfaces_vlans_and_tunnels needs [Vlan],
    ]
);

/// What a script needs to call methods and to wait for jobs.
const CALLS: &str = r#"
    manager() { busctl call org.lxhost1 /org/lxhost1 org.lxhost1.Manager "$@"; }
    wait_for() { busctl call org.lxhost1 "$1" org.lxhost1.Job Wait t 30000000 | grep -q '"done"'; }
    network() { busctl call org.lxhost1 "$network" "org.lxhost1.Network" "$@"; }
    create() {
        made=$(manager CreateNetwork 'sssa{ss}a{sv}' '' "$@" 0)
        network=$(echo "$made" | cut -d'"' -f2); wait_for "$(echo "$made" | cut -d'"' -f4)"
    }
    delete() { wait_for "$(network Delete 'a{sv}' 0 | cut -d'"' -f2)"; }
    generation() { busctl get-property org.lxhost1 "$1" "$2" Generation | cut -d' ' -f2; }
    # Keys of the network, as KEY=VALUE, beside those that it has.
    set_keys() {
        local word key; local -A keys=(); local -a flat=()
        eval "local -a had=($(network GetConfig 'a{sv}' 0 | cut -d' ' -f2-))"
        for ((key = 1; key <= 2 * had[0]; key += 2)); do keys[${had[key]}]=${had[key + 1]}; done
        for word in "$@"; do keys[${word%%=*}]=${word#*=}; done
        for key in "${!keys[@]}"; do flat+=("$key" "${keys[$key]}"); done
        wait_for "$(network ReplaceConfig 'a{ss}ta{sv}' ${#keys[@]} "${flat[@]}" "${had[-1]}" 0 | cut -d'"' -f2)"
    }
    # The devices of an instance's own, and its profile.
    devices() {
        instance=$(manager GetInstance ss '' "$1" | cut -d'"' -f2)
        local job; job=$(busctl call org.lxhost1 "$instance" org.lxhost1.Instance ReplaceConfig 'a{ss}a{sa{ss}}asta{sv}' \
            0 "${@:2}" 1 "${profiles:-default}" "$(generation "$instance" org.lxhost1.Instance)" 0 | cut -d'"' -f2)
        test "$job" = / || wait_for "$job"
    }
"#;

fn bus(stage: &Stage, script: &str) -> Result<String> {
    stage.host.succeed(["bash", "-euxc", &format!("{CALLS}{script}")])
}

fn any_client_of_the_bus_can_do_the_same(stage: &Stage) -> Result<()> {
    stage.running("mon-conteneur")?;
    let script = r#"
        acl=$(manager CreateACL 'ssa{ss}aa{ss}aa{ss}a{sv}' '' bus-acl 0 \
            1 4 action allow protocol tcp source 0.0.0.0/0 destination_port 80,443 0 0 | cut -d'"' -f2)
        create bus-network bridge 2 ipv4.address 192.168.99.1/24 ipv6.address none
        wait_for "$(network ReplaceConfig 'a{ss}ta{sv}' \
            4 ipv4.address 192.168.101.1/24 ipv4.dhcp.ranges 192.168.101.50-192.168.101.200 \
              ipv6.address none security.acls bus-acl "$(generation "$network" org.lxhost1.Network)" 0 | cut -d'"' -f2)"
        network GetState 'a{sv}' 0 | grep -q 192.168.101.1
        ip -4 -o address show bus-network | grep -q 192.168.101.1/24
        nft list table inet lxhost | grep -q 'tcp dport { 80, 443 }'
        instance=$(manager GetInstance ss '' mon-conteneur | cut -d'"' -f2)
        busctl call org.lxhost1 "$instance" org.lxhost1.Instance ReplaceConfig 'a{ss}a{sa{ss}}asta{sv}' \
            0 1 eth1 3 type nic network bus-network name eth1 1 default "$(generation "$instance" org.lxhost1.Instance)" 0
    "#;
    bus(stage, script)?;
    stage.eventually("an interface for the guest", || {
        let link = stage.exec("mon-conteneur", ["ip", "link", "show", "dev", "eth1"]).output()?;
        Ok((link.code == Some(0)).then_some(()))
    })?;
    let address = lease(stage, "mon-conteneur", "eth1")?;
    ensure!(address.starts_with("192.168.101."), "{address}");
    let script = r#"
        instance=$(manager GetInstance ss '' mon-conteneur | cut -d'"' -f2)
        busctl call org.lxhost1 "$instance" org.lxhost1.Instance ReplaceConfig 'a{ss}a{sa{ss}}asta{sv}' \
            0 0 1 default "$(generation "$instance" org.lxhost1.Instance)" 0
        network=$(manager GetNetwork ss '' bus-network | cut -d'"' -f2); delete
        acl=$(manager GetACL ss '' bus-acl | cut -d'"' -f2)
        wait_for "$(busctl call org.lxhost1 "$acl" org.lxhost1.ACL Delete 'a{sv}' 0 | cut -d'"' -f2)"
        test ! -e /sys/class/net/bus-network
    "#;
    bus(stage, script).map(drop)
}

fn a_client_of_the_bus_keeps_addresses_names_and_ports_for_an_instance(stage: &Stage) -> Result<()> {
    stage.running("web-server")?;
    stage.outside()?;
    // The packages of this host come by its port 80.
    stage.host.succeed(["systemctl", "stop", "lab-mirror.socket"])?;
    stage.host.succeed(["ip", "address", "add", "192.168.1.100/32", "dev", "lo"])?;
    let made = r#"
        network=$(manager GetNetwork ss '' lxbr0 | cut -d'"' -f2)
        set_keys ipv4.address=10.166.11.1/24 dns.domain=lxd.local dns.mode=managed
        devices web-server 3 eth0 3 type nic network lxbr0 ipv4.address 10.166.11.50 \
            port80 3 type proxy listen tcp:0.0.0.0:80 connect tcp:127.0.0.1:80 \
            https-proxy 3 type proxy listen tcp:192.168.1.100:443 connect tcp:10.166.11.50:443
        wait_for "$(busctl call org.lxhost1 "$instance" org.lxhost1.Instance Restart 'a{sv}' 1 mode s force | cut -d'"' -f2)"
        wait_for "$(network CreateForward 'sa{ss}aa{ss}a{sv}' 198.51.100.1 0 \
            1 4 protocol tcp listen_port 8080 target_address 10.166.11.50 target_port 80 0 | cut -d'"' -f2)"
        network ListForwards 'a{sv}' 0 | grep -q '"198.51.100.1" .*"listen_port" "8080"'
    "#;
    bus(stage, made)?;
    stage.eventually("the address that is kept", || Ok((stage.address("web-server")? == "10.166.11.50").then_some(())))?;
    let mac = stage.exec("web-server", ["cat", "/sys/class/net/eth0/address"]).succeed()?;
    let row = format!("\"{}\" \"10.166.11.50\" \"web-server\"", mac.trim());
    let rows = bus(stage, r#"network=$(manager GetNetwork ss '' lxbr0 | cut -d'"' -f2); network ListLeases"#)?;
    ensure!(rows.starts_with("a(ssst) ") && rows.contains(&row), "{row}: {rows}");
    stage.eventually("its name", || {
        let found = stage.exec("web-server", ["nslookup", "web-server.lxd.local"]).output()?;
        Ok(found.stdout_text().contains("10.166.11.50").then_some(()))
    })?;
    for port in [80, 443] {
        stage.serve("web-server", port, "echo hello")?;
    }
    let ways = [("host", "127.0.0.1", 80), ("host", "192.168.1.100", 443), ("outside", "198.51.100.1", 80)];
    for (from, at, port) in ways.into_iter().chain([("outside", "198.51.100.1", 8080)]) {
        let heard = stage.heard(from, at, port)?;
        ensure!(heard == "hello", "{from} at {at} port {port}: {heard:?}");
    }
    let gone = r#"
        network=$(manager GetNetwork ss '' lxbr0 | cut -d'"' -f2)
        wait_for "$(network DeleteForward 'sa{sv}' 198.51.100.1 0 | cut -d'"' -f2)"
        devices web-server 0
    "#;
    bus(stage, gone)?;
    for (from, at, port) in [("host", "127.0.0.1", 80), ("outside", "198.51.100.1", 8080)] {
        ensure!(stage.heard(from, at, port)?.is_empty(), "port {port} is still open");
    }
    stage.delete("web-server")?;
    stage.host.succeed(["systemctl", "start", "lab-mirror.socket"])?;
    stage.host.succeed(["ip", "address", "del", "192.168.1.100/32", "dev", "lo"]).map(drop)
}

fn a_client_of_the_bus_has_a_name_server_inside_answer_for_the_host(stage: &Stage) -> Result<()> {
    stage.running("dns-server")?;
    stage.outside()?;
    name_server(stage, "dns-server")?;
    bus(stage, "devices dns-server 1 dns-proxy 3 type proxy listen udp:0.0.0.0:53 connect udp:127.0.0.1:53")?;
    let said = asked_by_the_outside(stage)?;
    ensure!(said.contains("192.0.2.80"), "{said}");
    stage.host.succeed(["systemctl", "stop", "inside.service"])?;
    stage.delete("dns-server")
}

/// A network without NAT, one with an ACL of both sides, and a profile with a bridge that is not ours.
fn a_client_of_the_bus_parts_a_network_from_the_outside_and_puts_instances_on_a_bridge(stage: &Stage) -> Result<()> {
    stage.running("mon-conteneur")?;
    let made = r#"
        create internal-network bridge 3 ipv4.address 172.16.1.1/24 ipv4.nat false ipv6.nat false
        manager CreateACL 'ssa{ss}aa{ss}aa{ss}a{sv}' '' restricted-access 0 \
            1 5 action allow protocol tcp source 0.0.0.0/0 destination 10.0.0.0/8 destination_port 80,443 0 0
        create restricted-network bridge 2 ipv4.address 10.166.12.1/24 security.acls restricted-access
        devices mon-conteneur 2 eth2 2 type nic network internal-network eth3 2 type nic network restricted-network
        ip link add br0 type bridge; ip address add 198.51.102.1/24 dev br0; ip link set br0 up
        manager CreateProfile 'ssa{ss}a{sa{ss}}a{sv}' '' bridgedprofile 0 2 eth0 3 type nic nictype bridged parent br0 \
            root 3 type disk path / pool default 0
    "#;
    bus(stage, made)?;
    let address = lease(stage, "mon-conteneur", "eth2")?;
    ensure!(address.starts_with("172.16.1."), "{address}");
    let rules = stage.host.succeed(["nft", "list", "table", "inet", "lxhost"])?;
    ensure!(!rules.lines().any(|line| line.contains("172.16.1.0/24") && line.contains("masquerade")), "{rules}");
    let address = lease(stage, "mon-conteneur", "eth3")?;
    for (port, word) in [(80, "hello"), (443, "hello"), (81, "")] {
        stage.serve("mon-conteneur", port, "echo hello")?;
        let heard = stage.heard("host", &address, port)?;
        ensure!(heard == word, "port {port}: {heard:?}");
    }
    bus(stage, "profiles=bridgedprofile; devices mon-conteneur 0")?;
    stage.eventually("the bridge of its profile", || {
        let ports = stage.host.succeed(["ip", "-o", "link", "show", "master", "br0"])?;
        Ok((ports.lines().count() == 1).then_some(()))
    })?;
    stage.exec("mon-conteneur", ["ip", "link", "set", "eth0", "up"]).succeed()?;
    stage.exec("mon-conteneur", ["ip", "address", "add", "198.51.102.7/24", "dev", "eth0"]).succeed()?;
    stage.exec("mon-conteneur", ["ping", "-c", "1", "-W", "5", "198.51.102.1"]).succeed()?;
    stage.delete("mon-conteneur")?;
    let gone = r#"
        for name in internal-network restricted-network; do
            network=$(manager GetNetwork ss '' $name | cut -d'"' -f2); delete
        done
        acl=$(manager GetACL ss '' restricted-access | cut -d'"' -f2)
        wait_for "$(busctl call org.lxhost1 "$acl" org.lxhost1.ACL Delete 'a{sv}' 0 | cut -d'"' -f2)"
        profile=$(manager GetProfile ss '' bridgedprofile | cut -d'"' -f2)
        busctl call org.lxhost1 "$profile" org.lxhost1.Profile Delete 'a{sv}' 0
        ip link delete br0
    "#;
    bus(stage, gone).map(drop)
}

fn a_client_of_the_bus_makes_bridges_over_interfaces_vlans_and_tunnels(stage: &Stage) -> Result<()> {
    stage.running("mon-conteneur")?;
    let script = r#"
        ip link add bus0 type veth peer name bus1; ip link set bus1 up
        create br-physical bridge 1 parent bus0
        ip -o link show bus0 | grep -q 'master br-physical'; delete
        ip -o link show bus0 | grep -vq master
        create vlan100 bridge 1 parent bus0.100
        ip -d -o link show bus0.100 | grep -q 'master vlan100.*vlan protocol 802.1Q id 100'; delete
        test ! -e /sys/class/net/bus0.100
        create overlay-network overlay 3 tunnel.protocol vxlan tunnel.id 1000 tunnel.interface bus0
        ip -d -o link show type vxlan | grep -q 'vxlan id 1000 .*dev bus0'; delete
        ip link delete bus0
    "#;
    bus(stage, script).map(drop)
}
