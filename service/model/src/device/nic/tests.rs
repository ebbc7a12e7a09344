//! What keys of interfaces mean, and which are refused.

use super::*;

fn read(keys: &[(&str, &str)]) -> Result<Nic, Error> {
    Nic::read(&keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn an_interface_is_in_a_network_or_says_its_kind_and_parent() {
    assert_eq!(read(&[("network", "lxbr0")]).unwrap().network.unwrap().as_str(), "lxbr0");
    let macvlan = read(&[("nictype", "macvlan"), ("parent", "eth0")]).unwrap();
    assert_eq!((macvlan.kind, macvlan.parent.as_deref()), (Some(NicType::Macvlan), Some("eth0")));
    assert_eq!(read(&[("nictype", "p2p")]).unwrap().kind, Some(NicType::P2p));
    for (keys, said) in [
        (&[][..], "network"),
        (&[("nictype", "bridged")], "needs a parent"),
        (&[("nictype", "bridge")], "expected one of bridged"),
        (&[("nictype", "bridged"), ("network", "lxbr0")], "leave nictype out"),
        (&[("parent", "br0"), ("network", "lxbr0")], "leave parent out"),
        (&[("nictype", "routed"), ("parent", "eth0")], "needs an address"),
    ] {
        let error = read(keys).unwrap_err();
        assert_eq!(error.kind, Kind::InvalidConfig, "{keys:?}");
        assert!(error.message.contains(said), "{keys:?}: {error}");
    }
}

#[test]
fn a_key_of_another_kind_is_refused_and_one_without_effect_says_so() {
    let error = read(&[("network", "lxbr0"), ("ipv4.adress", "10.0.0.1")]).unwrap_err();
    assert!(error.message.contains("did you mean ipv4.address?"), "{error}");
    let error = read(&[("nictype", "macvlan"), ("parent", "eth0"), ("host_name", "x")]).unwrap_err();
    assert!(error.kind == Kind::InvalidConfig && error.message.contains("a macvlan nic has no key"), "{error}");
    let error = read(&[("network", "lxbr0"), ("limits.priority", "1")]).unwrap_err();
    assert!(error.kind == Kind::Unsupported && error.message.contains("limits.priority"), "{error}");
    assert_eq!(read(&[("nictype", "sriov"), ("parent", "eth0")]).unwrap_err().kind, Kind::Unsupported);
}

#[test]
fn values_are_checked() {
    for (key, good, bad) in [
        ("name", "eth1", "a/b"),
        ("name", "eth0.5", "way-too-long-for-an-interface"),
        ("name", "wan", "lo"),
        ("name", "wan", "a\nb"),
        ("host_name", "veth-web", "veth web"),
        ("hwaddr", "00:16:3E:01:02:03", "01:16:3e:01:02:03"),
        ("hwaddr", "02:00:00:00:00:01", "00:00:00:00:00:00"),
        ("hwaddr", "02:00:00:00:00:01", "02:00:00:00:00:+1"),
        ("mtu", "1400", "67"),
        ("mtu", "9000", "65536"),
        ("vlan", "1", "0"),
        ("vlan", "4094", "4095"),
        ("vlan", "none", "any"),
        ("vlan.tagged", "5, 10-12", "10-5"),
        ("vlan.tagged", "5", "0-4"),
        ("ipv4.address", "10.0.0.9", "fd42::1"),
        ("ipv4.address", "none", "0.0.0.0"),
        ("ipv4.address", "10.0.0.9", "10.0.0.9,10.0.0.10"),
        ("ipv6.address", "fd42::9", "ff02::1"),
        ("ipv4.routes", "10.9.0.0/24,10.8.0.1", "10.9.0.1/24"),
        ("ipv4.routes", "10.9.0.0/24", "0.0.0.0/0"),
        ("limits.max", "10Mbit", "10MB"),
        ("limits.ingress", "1Gibit", "1"),
        ("attached", "false", "perhaps"),
        ("security.port_isolation", "true", "2"),
    ] {
        assert!(read(&[("network", "lxbr0"), (key, good)]).is_ok(), "{key}={good}");
        let error = read(&[("network", "lxbr0"), (key, bad)]).unwrap_err();
        assert!(error.kind == Kind::InvalidConfig && !error.message.contains('\n'), "{key}={bad}: {error}");
    }
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    for keys in [
        [("limits.max", "10Mbit"), ("limits.egress", "1Mbit")],
        [("security.mac_filtering", "false"), ("security.ipv4_filtering", "true")],
        [("vlan", "5"), ("vlan.tagged", "4-6")],
    ] {
        assert!(read(&[("network", "lxbr0"), keys[0], keys[1]]).is_err(), "{keys:?}");
    }
}

#[test]
fn a_routed_interface_has_addresses_of_both_families() {
    let nic = read(&[
        ("nictype", "routed"),
        ("parent", "eth0"),
        ("ipv4.address", "192.0.2.5, 192.0.2.6"),
        ("ipv6.address", "2001:db8::5"),
        ("ipv4.gateway", "none"),
        ("ipv4.host_tables", "254,100"),
    ])
    .unwrap();
    assert_eq!(nic.ipv4.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.5/32", "192.0.2.6/32"]);
    assert_eq!((nic.ipv4.gateway, nic.ipv6.gateway), (Gateway::None, Gateway::Auto));
    assert_eq!(nic.ipv4.host_tables, [254, 100]);
}

/// Every key that LXD or Incus has for each kind (LXD 5.0, Incus 6.0 and later); those with `!` are refused by name.
const THEIRS: &[(&str, &str)] = &[
    (
        "nictype=bridged parent=br0",
        "attached=true !boot.priority=1 !connected=true host_name=veth1 hwaddr=00:16:3e:00:00:01 !io.bus=virtio \
         ipv4.address=10.0.0.9 ipv4.routes=10.9.0.0/16 !ipv4.routes.external=10.9.0.0/16 ipv6.address=fd42::9 \
         ipv6.routes=fd43::/48 !ipv6.routes.external=fd43::/48 limits.egress=1Mbit limits.ingress=1Mbit limits.max=1Mbit \
         !limits.priority=1 !maas.subnet.ipv4=lab !maas.subnet.ipv6=lab mtu=1400 name=eth1 !queue.tx.length=1000 \
         !security.acls=front !security.acls.default.egress.action=drop !security.acls.default.egress.logged=true \
         !security.acls.default.ingress.action=drop !security.acls.default.ingress.logged=true \
         security.ipv4_filtering=true security.ipv6_filtering=true security.mac_filtering=true \
         security.port_isolation=true vlan=5 vlan.tagged=6-7",
    ),
    (
        "nictype=macvlan parent=eth0",
        "attached=true !boot.priority=1 !connected=true gvrp=false !gvrp=true hwaddr=00:16:3e:00:00:01 !io.bus=virtio \
         !maas.subnet.ipv4=lab !maas.subnet.ipv6=lab mode=vepa mtu=1400 name=eth1 vlan=5",
    ),
    (
        "nictype=ipvlan parent=eth0 ipv4.address=10.0.0.9 ipv6.address=fd42::9",
        "attached=true gvrp=false !gvrp=true !hwaddr=00:16:3e:00:00:01 ipv4.gateway=none ipv4.host_table=100 ipv6.gateway=none ipv6.host_table=100 \
         mode=l3s mtu=1400 name=eth1 vlan=5",
    ),
    (
        "nictype=p2p",
        "attached=true !boot.priority=1 !connected=true host_name=veth1 hwaddr=00:16:3e:00:00:01 !io.bus=virtio \
         ipv4.routes=10.9.0.0/16 ipv6.routes=fd43::/48 limits.egress=1Mbit limits.ingress=1Mbit limits.max=1Mbit \
         !limits.priority=1 mtu=1400 name=eth1 !queue.tx.length=1000",
    ),
    (
        "nictype=routed parent=eth0 ipv4.address=10.0.0.9 ipv6.address=fd42::9",
        "attached=true !connected=true gvrp=false !gvrp=true host_name=veth1 hwaddr=00:16:3e:00:00:01 !io.bus=virtio \
         ipv4.gateway=none ipv4.host_address=169.254.0.2 ipv4.host_table=100 ipv4.host_tables=100,254 \
         ipv4.neighbor_probe=false !ipv4.neighbor_probe=true ipv4.routes=10.9.0.0/16 ipv6.gateway=none \
         ipv6.host_address=fe80::2 ipv6.host_table=100 ipv6.host_tables=100,254 ipv6.neighbor_probe=false \
         !ipv6.neighbor_probe=true ipv6.routes=fd43::/48 limits.egress=1Mbit limits.ingress=1Mbit limits.max=1Mbit \
         !limits.priority=1 mtu=1400 name=eth1 !queue.tx.length=1000 vlan=5 !vrf=blue",
    ),
    (
        "nictype=physical parent=eth0",
        "attached=true !boot.priority=1 gvrp=false !gvrp=true hwaddr=00:16:3e:00:00:01 !maas.subnet.ipv4=lab \
         !maas.subnet.ipv6=lab mtu=1400 name=eth1 vlan=5 !vlan.tagged=6",
    ),
];

#[test]
fn every_key_of_theirs_is_read_or_refused_by_its_name() {
    for (base, words) in THEIRS {
        let pairs = |words: &'static str| words.split_whitespace().map(|word| word.split_once('=').unwrap());
        for (key, value) in pairs(words) {
            let (refused, key) = key.strip_prefix('!').map_or((false, key), |key| (true, key));
            let keys: Vec<(&str, &str)> = pairs(base).chain([(key, value)]).collect();
            match read(&keys) {
                Ok(_) => assert!(!refused, "{base} {key}={value}"),
                Err(error) => {
                    assert!(refused && error.kind == Kind::Unsupported, "{base} {key}={value}: {error}");
                    assert!(error.message.contains(key), "{base} {key}={value}: {error}");
                }
            }
        }
    }
}
