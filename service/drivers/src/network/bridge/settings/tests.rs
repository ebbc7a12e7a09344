//! Keys of a bridge: what is refused, and what the typed settings say.

use super::*;
use lxhost_model::ObjectId;

/// A network `lxbr0` with those keys, and addresses where they give none.
pub(crate) fn network(keys: &[(&str, &str)]) -> Network {
    let mut config: Config =
        [("ipv4.address", "10.1.2.1/24"), ("ipv6.address", "fd42:1:2:3::1/64")].map(|(k, v)| (k.into(), v.into())).into();
    config.extend(keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    Network {
        id: ObjectId::from_random([7; 16]),
        project: Default::default(),
        name: "lxbr0".parse().unwrap(),
        kind: "bridge".into(),
        description: String::new(),
        config,
        forwards: Default::default(),
        load_balancers: Default::default(),
        checkpoint: None,
        created: 0,
        generation: 1,
    }
}

#[test]
fn defaults_are_dhcp_and_names_without_nat() {
    let settings = Settings::read(&network(&[])).unwrap();
    let ipv4 = settings.ipv4.unwrap();
    assert_eq!(ipv4.ranges, [("10.1.2.2".parse().unwrap(), "10.1.2.254".parse().unwrap())]);
    assert!(ipv4.dhcp && !ipv4.nat && ipv4.firewall);
    let ipv6 = settings.ipv6.unwrap();
    assert!(ipv6.dhcp && !ipv6.stateful && !ipv6.nat);
    assert_eq!((settings.domain.as_str(), settings.names), ("lxhost", Names::Managed));
    assert_eq!(settings.mac.bytes()[0] & 3, 2, "locally administered, of one station");
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    let error = Settings::read(&network(&[("ipv4.adress", "none")])).unwrap_err();
    assert_eq!(error.kind, Kind::InvalidConfig);
    assert!(error.message.contains("did you mean ipv4.address?"), "{error}");
    assert!(Settings::read(&network(&[("user.note", "any\ntext")])).is_ok());
}

#[test]
fn malformed_and_hostile_values_are_refused_by_key() {
    for (key, value) in [
        ("ipv4.address", "10.1.2.0/24"),
        ("ipv4.address", "10.1.2.255/24"),
        ("ipv4.address", "127.0.0.1/8"),
        ("ipv4.address", "224.0.0.1/24"),
        ("ipv4.address", "10.1.2.1/31"),
        ("ipv4.address", "10.1.2.1/0"),
        ("ipv4.address", "10.1.2.1"),
        ("ipv4.address", "10.1.2.1/24\ndhcp-script=/tmp/x"),
        ("ipv4.address", ""),
        ("ipv6.address", "fe80::1/64"),
        ("ipv6.address", "::1/64"),
        ("ipv6.address", "fd42::/64"),
        ("ipv6.address", "fd42::1/48"),
        ("ipv6.address", "fd42::1/80"),
        ("ipv6.address", "::ffff:10.0.0.1/100"),
        ("ipv4.nat", "maybe"),
        ("ipv4.dhcp.ranges", "10.1.2.9-10.1.2.3"),
        ("ipv4.dhcp.ranges", "10.1.3.1-10.1.3.9"),
        ("ipv4.dhcp.ranges", "10.1.2.2-10.1.2.9,10.1.2.9-10.1.2.20"),
        ("ipv4.dhcp.ranges", "10.1.2.2"),
        ("ipv4.dhcp.ranges", "10.1.2.2-10.1.2.9\nlog-facility=/etc/passwd"),
        ("ipv4.dhcp.ranges", ""),
        ("dns.domain", "lx host"),
        ("dns.domain", "lxhost\nserver=6.6.6.6"),
        ("dns.domain", "-x"),
        ("dns.domain", ""),
        ("dns.domain", "a..b"),
        ("dns.domain", "a/b"),
        ("dns.mode", "all"),
        ("ipv4.dhcp.expiry", "1m"),
        ("ipv4.dhcp.expiry", "1h\nx"),
        ("ipv4.dhcp.expiry", "forever"),
        ("ipv4.dhcp.expiry", "99999999999999999999w"),
        ("ipv4.dhcp.gateway", "10.1.3.1"),
        ("ipv4.dhcp.gateway", "10.1.2.255"),
        ("ipv4.dhcp.routes", "10.8.0.0/16"),
        ("ipv4.dhcp.routes", "10.8.0.0/16,10.9.9.9"),
        ("ipv4.dhcp.routes", ""),
        ("ipv4.nat.address", "127.0.0.1"),
        ("ipv4.nat.address", "fd42::1"),
        ("ipv4.nat.order", "first"),
        ("ipv4.routes", "10.8.0.0/33"),
        ("ipv4.routes", "10.8.0.0/16 via 10.1.2.2"),
        ("ipv6.dhcp.ranges", "fd42:1:2:3::2-fd42:1:2:3::9"),
        ("dns.search", "lx host"),
        ("dns.search", "a,\nserver=6.6.6.6"),
        ("dns.nameservers", "10.1.2.3,"),
        ("dns.nameservers", "127.0.0.53"),
        ("bridge.hwaddr", "01:00:5e:00:00:01"),
        ("bridge.hwaddr", "x"),
        ("parent", "eth0.0"),
        ("parent", "eth0.4095"),
        ("parent", "eth0.99999999999"),
        ("parent", "eth0,eth1"),
        ("parent", "../eth0"),
        ("parent", "an-interface-with-a-long-name.100"),
        ("vlan", "100"),
        ("bridge.external_interfaces", "v5/eth0/0"),
        ("bridge.external_interfaces", "v5/eth0/4095"),
        ("bridge.external_interfaces", "v5/eth0"),
        ("bridge.external_interfaces", "eth1,eth1/eth0/5"),
        ("tunnel.a.id", "16777216"),
        ("tunnel.a.id", "-1"),
        ("tunnel.a.port", "65536"),
        ("tunnel.a.ttl", "0"),
        ("tunnel.a.remote", "239.0.0.1"),
        ("tunnel.a.group", "10.0.0.1"),
        ("tunnel.a.local", "fd42::1"),
        ("tunnel.a.protocol", "ipip"),
        ("tunnel.a.interface", "a b"),
        ("tunnel.a.speed", "1"),
        ("tunnel.a b.id", "1"),
        ("tunnel..id", "1"),
        ("bridge.mtu", "67"),
        ("bridge.mtu", "70000"),
        ("bridge.mtu", "-1"),
        ("bridge.mtu", "1000"),
        ("user.", "x"),
        ("user.a b", "x"),
        ("user.x", "\u{1b}[0m"),
    ] {
        let error = Settings::read(&network(&[(key, value)])).unwrap_err();
        assert_eq!(error.kind, Kind::InvalidConfig, "{key}={value}");
        assert!(!error.message.contains(['\n', '\u{1b}']), "{key}: {error}");
    }
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    for keys in [
        &[("mtu", "1400"), ("bridge.mtu", "1500")][..],
        &[("tunnel.id", "1"), ("tunnel.overlay.id", "2")],
        &[("parent", "eth0"), ("vlan", "0")],
        &[("parent", "eth0"), ("vlan", "4095")],
        &[("parent", "eth0.5"), ("vlan", "7")],
        &[("tunnel.a.remote", "10.0.0.1"), ("tunnel.a.group", "239.0.0.1")],
        &[("ipv4.address", "none"), ("ipv4.dhcp.ranges", "10.1.2.2-10.1.2.9")],
        &[("ipv6.address", "fd42::1/80"), ("ipv6.dhcp.stateful", "false")],
        &[("ipv6.address", "fd42::1/80"), ("ipv6.dhcp.stateful", "true"), ("ipv6.dhcp", "false")],
    ] {
        assert_eq!(Settings::read(&network(keys)).unwrap_err().kind, Kind::InvalidConfig, "{keys:?}");
    }
    assert!(Settings::read(&network(&[("ipv6.address", "fd42::1/80"), ("ipv6.dhcp.stateful", "true")])).is_ok());
}

#[test]
fn too_many_ranges_are_refused() {
    let text = (2..100).map(|i| format!("10.1.2.{i}-10.1.2.{i}")).collect::<Vec<_>>().join(",");
    assert!(Settings::read(&network(&[("ipv4.dhcp.ranges", &text)])).is_err());
}

#[test]
fn an_address_still_to_be_chosen_is_no_setting() {
    for key in ["ipv4.address", "ipv6.address"] {
        assert!(Settings::read(&network(&[(key, "auto")])).is_err());
    }
}

#[test]
fn names_that_mean_every_interface_are_refused() {
    for name in ["all", "default"] {
        let mut record = network(&[]);
        record.name = name.parse().unwrap();
        assert_eq!(Settings::read(&record).unwrap_err().kind, Kind::InvalidName);
    }
}

#[test]
fn keys_of_other_systems_are_unsupported_by_name() {
    for (key, value) in [
        ("raw.dnsmasq", "dhcp-script=/x"),
        ("bgp.peers.a.address", "10.0.0.1"),
        ("dns.zone.forward", "lab"),
        ("bridge.driver", "openvswitch"),
        ("tunnel.a.protocol", "gre"),
    ] {
        let error = Settings::read(&network(&[(key, value)])).unwrap_err();
        assert!(error.kind == Kind::Unsupported && error.message.contains(key), "{key}: {error}");
    }
    assert!(Settings::read(&network(&[("bridge.driver", "native")])).is_ok());
}

/// As [`network`], without addresses of its own.
fn bare(keys: &[(&str, &str)]) -> Network {
    let mut network = network(keys);
    network.config.retain(|key, _| !key.ends_with(".address"));
    network
}

#[test]
fn a_bridge_with_an_outside_has_no_addresses_unless_told() {
    for keys in [[("parent", "eth0")], [("bridge.external_interfaces", "eth0,eth1")]] {
        let settings = Settings::read(&bare(&keys)).unwrap();
        assert!(settings.ipv4.is_none() && settings.ipv6.is_none() && !settings.serves());
        assert_eq!(settings.externals[0].name.as_str(), "eth0");
    }
    let config = network(&[("parent", "eth0")]).config;
    assert_eq!(wanted_ipv4(&config).unwrap(), Wanted::Given("10.1.2.1/24".parse().unwrap()));
    assert_eq!(wanted_ipv4(&Config::new()).unwrap(), Wanted::Auto);
}

#[test]
fn a_dotted_parent_is_a_vlan_that_may_be_there_already() {
    let read = |key: &str, value: &str| Settings::read(&bare(&[(key, value)])).unwrap().externals.remove(0);
    let dotted = read("parent", "eth0.100");
    assert_eq!(dotted.vlan, Some(("eth0".parse().unwrap(), "100".parse().unwrap())));
    assert!(!dotted.exactly && dotted.name.as_str() == "eth0.100");
    let named = read("bridge.external_interfaces", "uplink/eth0/100");
    assert!(named.exactly && named.name.as_str() == "uplink" && named.vlan == dotted.vlan);
    assert_eq!(read("parent", "eth0.lan").vlan, None);
}

#[test]
fn an_overlay_has_one_tunnel_to_a_group_and_room_for_its_headers() {
    let mut record = network(&[("tunnel.protocol", "vxlan"), ("tunnel.id", "1000")]);
    record.kind = "vxlan".into();
    let settings = Settings::read(&record).unwrap();
    let tunnel = &settings.tunnels[0];
    assert_eq!((tunnel.name.as_str(), tunnel.segment, tunnel.port), ("lxbr0-overlay", 1000, 4789));
    assert_eq!((tunnel.remote, settings.mtu), (Some("239.0.0.1".parse().unwrap()), Some(1400)));
    record.config.retain(|key, _| !key.starts_with("tunnel."));
    assert!(Settings::read(&record).unwrap_err().message.contains("tunnel.id"));
}

#[test]
fn tunnels_between_two_hosts_have_short_names_of_their_own() {
    let keys = [
        ("tunnel.north.local", "10.0.0.1"),
        ("tunnel.north.remote", "10.0.0.2"),
        ("tunnel.a-long-way-south.remote", "fd42::2"),
        ("tunnel.a-long-way-south.port", "8472"),
    ];
    let tunnels = Settings::read(&network(&keys)).unwrap().tunnels;
    assert_eq!(tunnels.len(), 2);
    assert!(tunnels[0].name.as_str().starts_with("vx") && tunnels[0].name.as_str().len() == 14 && tunnels[0].port == 8472);
    assert_eq!((tunnels[1].name.as_str(), tunnels[1].local), ("lxbr0-north", Some("10.0.0.1".parse().unwrap())));
}

#[test]
fn a_chosen_hardware_address_is_the_bridges() {
    let settings = Settings::read(&network(&[("bridge.hwaddr", "00:16:3E:00:00:01")])).unwrap();
    assert_eq!(settings.mac.to_string(), "00:16:3e:00:00:01");
}

#[test]
fn a_network_of_type_vlan_has_one() {
    let read = |keys: &[(&str, &str)]| Settings::read(&Network { kind: "vlan".into(), ..bare(keys) });
    let external = read(&[("parent", "eth0"), ("vlan", "100")]).unwrap().externals.remove(0);
    assert_eq!((external.name.as_str(), external.exactly), ("eth0.100", true));
    let long = read(&[("parent", "enp129s0f0np0"), ("vlan", "4094")]).unwrap().externals.remove(0);
    assert!(long.name.as_str().starts_with("vl") && long.vlan.unwrap().0.as_str() == "enp129s0f0np0");
    assert!(read(&[("parent", "eth0.100")]).is_ok());
    assert!(read(&[("parent", "eth0")]).unwrap_err().message.contains("vlan"));
    assert!(read(&[]).unwrap_err().message.contains("parent"));
}
