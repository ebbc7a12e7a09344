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
