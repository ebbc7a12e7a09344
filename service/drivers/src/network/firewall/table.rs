//! The table as text. Pure: everything in it comes from typed settings and records.

use super::acl::{self, Direction};
use super::forward;
use crate::network::bridge::Settings;
use lxhost_model::Acl;
use std::fmt::Write;
use std::sync::Arc;

/// Rules for one bridge.
type Rules = fn(&Settings) -> Vec<String>;

/// A chain: its name, where it hooks in, and its rules; the first kind for every bridge, then the next.
type Chain = (&'static str, &'static str, &'static [Rules]);

const CHAINS: [Chain; 8] = [
    ("prerouting", "type nat hook prerouting priority dstnat; policy accept;", &[forward::call]),
    ("outgoing", "type nat hook output priority -100; policy accept;", &[forward::call]),
    ("input", "type filter hook input priority filter; policy accept;", &[input]),
    ("isolated", "type filter hook forward priority filter - 1; policy accept;", &[isolated]),
    ("forward", "type filter hook forward priority filter; policy accept;", &[judge, pass]),
    ("output", "type filter hook output priority filter; policy accept;", &[output]),
    (
        "postrouting",
        "type nat hook postrouting priority srcnat; policy accept;",
        &[forward::hairpin, |bridge| postrouting(bridge, false)],
    ),
    ("last", "type nat hook postrouting priority srcnat + 5; policy accept;", &[|bridge| postrouting(bridge, true)]),
];

/// Chains that are there without rules too.
const ALWAYS: [&str; 3] = ["input", "forward", "postrouting"];

/// The transaction that makes the table be as `bridges` need it, with those of `acls` that they carry; removes it when
/// there are none.
pub(crate) fn render(bridges: &[Settings], acls: &[Arc<Acl>]) -> String {
    // Naming the table first makes the deletion valid when there is none.
    let mut text = String::from("table inet lxhost\ndelete table inet lxhost\n");
    if bridges.is_empty() {
        return text;
    }
    text.push_str("table inet lxhost {\n");
    let groups = acl::groups(bridges);
    for bridge in bridges.iter().filter(|bridge| filters(bridge)) {
        for direction in [Direction::Ingress, Direction::Egress] {
            chain(&mut text, &acl::chain(bridge, direction), None, &acl::rules(bridge, direction, acls, &groups));
        }
    }
    for bridge in bridges {
        if let Some(name) = forward::chain(bridge) {
            chain(&mut text, &name, None, &forward::rules(bridge));
        }
    }
    for (name, hook, rules) in CHAINS {
        let rules: Vec<String> = rules.iter().flat_map(|rules| bridges.iter().flat_map(rules)).collect();
        if !rules.is_empty() || ALWAYS.contains(&name) {
            chain(&mut text, name, Some(hook), &rules);
        }
    }
    text.push_str("}\n");
    text
}

fn chain(text: &mut String, name: &str, hook: Option<&str>, rules: &[String]) {
    let _ = writeln!(text, "\tchain {name} {{");
    for line in hook.into_iter().chain(rules.iter().map(String::as_str)) {
        let _ = writeln!(text, "\t\t{line}");
    }
    text.push_str("\t}\n");
}

/// Whether a bridge has chains of its own.
fn filters(bridge: &Settings) -> bool {
    !bridge.acls.names.is_empty()
}

/// What goes from the host to instances.
fn output(bridge: &Settings) -> Vec<String> {
    if !filters(bridge) {
        return vec![];
    }
    let chain = acl::chain(bridge, Direction::Ingress);
    let ways = std::iter::once(format!("oifname \"{}\"", bridge.interface)).chain(forward::from_host(bridge));
    ways.map(|way| format!("{way} jump {chain}")).collect()
}

/// Instances reach DHCP, DNS, ping and neighbour discovery of their bridge; nobody else reaches
/// its DNS server, which would answer for the host's whole network.
fn input(bridge: &Settings) -> Vec<String> {
    let name = &bridge.interface;
    let mut rules = Vec::new();
    if filters(bridge) {
        rules.push(format!("iifname \"{name}\" jump {}", acl::chain(bridge, Direction::Egress)));
    }
    if let Some(ipv4) = bridge.ipv4.as_ref().filter(|v| v.firewall) {
        let address = ipv4.address.addr();
        rules.push(format!("iifname \"{name}\" meta nfproto ipv4 meta l4proto {{ tcp, udp }} th dport 53 accept"));
        if ipv4.dhcp {
            rules.push(format!("iifname \"{name}\" meta nfproto ipv4 udp dport 67 accept"));
        }
        rules.push(format!(
            "iifname \"{name}\" icmp type {{ destination-unreachable, echo-request, time-exceeded, parameter-problem }} accept"
        ));
        rules
            .push(format!("ip daddr {address} iifname != {{ \"lo\", \"{name}\" }} meta l4proto {{ tcp, udp }} th dport 53 drop"));
    }
    if let Some(ipv6) = bridge.ipv6.as_ref().filter(|v| v.firewall) {
        let address = ipv6.address.addr();
        rules.push(format!("iifname \"{name}\" meta nfproto ipv6 meta l4proto {{ tcp, udp }} th dport 53 accept"));
        if ipv6.dhcp {
            rules.push(format!("iifname \"{name}\" meta nfproto ipv6 udp dport 547 accept"));
        }
        rules.push(format!(
            "iifname \"{name}\" icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem, \
             echo-request, mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report, \
             nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }} accept"
        ));
        rules.push(format!(
            "ip6 daddr {address} iifname != {{ \"lo\", \"{name}\" }} meta l4proto {{ tcp, udp }} th dport 53 drop"
        ));
    }
    rules
}

/// What goes through the host and is for an ACL to judge, of both ends.
fn judge(bridge: &Settings) -> Vec<String> {
    if !filters(bridge) {
        return vec![];
    }
    let name = &bridge.interface;
    vec![
        // What stays on the bridge comes by here where br_netfilter says so.
        format!("iifname \"{name}\" oifname \"{name}\" accept"),
        format!("iifname \"{name}\" jump {}", acl::chain(bridge, Direction::Egress)),
        format!("oifname \"{name}\" jump {}", acl::chain(bridge, Direction::Ingress)),
    ]
}

/// Packets pass.
fn pass(bridge: &Settings) -> Vec<String> {
    let name = &bridge.interface;
    let families = [
        bridge.ipv4.as_ref().filter(|v| v.firewall && v.routing).map(|_| "ipv4"),
        bridge.ipv6.as_ref().filter(|v| v.firewall && v.routing).map(|_| "ipv6"),
    ];
    let both = |family| ["iifname", "oifname"].map(|side| format!("{side} \"{name}\" meta nfproto {family} accept"));
    families.into_iter().flatten().flat_map(both).collect()
}

/// Nothing passes a bridge that does not route, whatever the other side's bridge would let through: a chain before
/// the others.
fn isolated(bridge: &Settings) -> Vec<String> {
    let name = &bridge.interface;
    let families = [
        bridge.ipv4.as_ref().filter(|v| v.firewall && !v.routing).map(|_| "ipv4"),
        bridge.ipv6.as_ref().filter(|v| v.firewall && !v.routing).map(|_| "ipv6"),
    ];
    // What stays on the bridge comes by here where bridges are filtered (br_netfilter).
    let sides = |family| {
        [("iifname", "oifname"), ("oifname", "iifname")]
            .map(|(side, other)| format!("{side} \"{name}\" {other} != \"{name}\" meta nfproto {family} reject"))
    };
    families.into_iter().flatten().flat_map(sides).collect()
}

/// Another source for what leaves the subnet, in the chain before or after those of others.
fn postrouting(bridge: &Settings, last: bool) -> Vec<String> {
    let mut rules = Vec::new();
    if let Some(ipv4) = bridge.ipv4.as_ref().filter(|v| v.nat && v.how.last == last) {
        let net = ipv4.address.trunc();
        let source = ipv4.how.source.map_or("masquerade".to_owned(), |source| format!("snat ip to {source}"));
        rules.push(format!("ip saddr {net} ip daddr != {net} {source}"));
    }
    if let Some(ipv6) = bridge.ipv6.as_ref().filter(|v| v.nat && v.how.last == last) {
        let net = ipv6.address.trunc();
        let source = ipv6.how.source.map_or("masquerade".to_owned(), |source| format!("snat ip6 to {source}"));
        rules.push(format!("ip6 saddr {net} ip6 daddr != {net} {source}"));
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::bridge::settings_of;

    #[test]
    fn the_table_is_as_in_the_golden_file() {
        let mut office = settings_of(&[("ipv4.address", "192.168.7.1/24"), ("ipv6.address", "none"), ("ipv4.firewall", "false")]);
        office.interface = "office".parse().unwrap();
        let lxbr0 = settings_of(&[("ipv4.nat", "true"), ("ipv6.nat", "true")]);
        assert_eq!(render(&[lxbr0, office], &[]), include_str!("../golden/firewall.nft"));
    }

    #[test]
    fn acls_are_chains_as_in_the_golden_file() {
        let keys = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let acl = |name: &str, ingress, egress| {
            Arc::new(Acl {
                id: lxhost_model::ObjectId::from_random([1; 16]),
                project: Default::default(),
                name: name.parse().unwrap(),
                description: String::new(),
                config: Default::default(),
                ingress,
                egress,
                created: 0,
                generation: 0,
            })
        };
        let web = acl(
            "web",
            vec![
                keys(&[("action", "allow"), ("protocol", "tcp"), ("destination_port", "443,80,81,8000-8100")]),
                keys(&[("action", "drop"), ("source", "192.0.2.0/24,192.0.2.7,2001:db8::/32"), ("state", "logged")]),
                keys(&[("action", "allow"), ("protocol", "icmp4"), ("icmp_type", "8"), ("icmp_code", "0")]),
                keys(&[("action", "allow"), ("state", "disabled")]),
            ],
            vec![
                keys(&[("action", "allow"), ("source", "@internal"), ("destination", "@external,web")]),
                keys(&[("action", "reject"), ("protocol", "icmp6"), ("destination", "2001:db8::1-2001:db8::9")]),
            ],
        );
        let unused = acl("unused", vec![keys(&[("action", "drop")])], vec![]);
        let lxbr0 = settings_of(&[
            ("ipv4.nat", "true"),
            ("security.acls", "web"),
            ("security.acls.default.egress.action", "drop"),
            ("security.acls.default.ingress.logged", "true"),
        ]);
        let mut open = settings_of(&[("ipv4.address", "192.168.7.1/24"), ("ipv6.address", "none")]);
        open.interface = "open".parse().unwrap();
        let text = render(&[lxbr0, open], &[web, unused]);
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/network/golden/acls.nft");
        if std::env::var_os("LXHOST_BLESS").is_some() {
            std::fs::write(golden, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(golden).unwrap_or_default());
    }

    #[test]
    fn forwards_are_chains_as_in_the_golden_file() {
        let keys = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let port = |protocol: &str, listen: &str, target: &str, to: &str| {
            let values = [("protocol", protocol), ("listen_port", listen), ("target_address", target), ("target_port", to)];
            keys(&values)
        };
        let forward = |listen: &str, keys: &[(&str, &str)], ports: Vec<_>| {
            let config = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let forward = lxhost_model::Forward { description: String::new(), config, ports };
            forward.read(listen.parse().unwrap()).unwrap()
        };
        let mut lxbr0 = settings_of(&[("ipv4.nat", "true"), ("security.acls", "web")]);
        lxbr0.forwards = vec![
            forward(
                "192.0.2.1",
                &[("target_address", "10.1.2.9")],
                vec![
                    port("tcp", "80,443,8000-8100", "10.1.2.3", ""),
                    port("tcp", "81,82", "10.1.2.3", "8080"),
                    port("udp", "53,5000-5001", "10.1.2.4", "5353,6000-6001"),
                ],
            ),
            forward("2001:db8::1", &[], vec![port("tcp", "80", "fd42:1:2:3::5", ""), port("udp", "80", "fd42:1:2:3::5", "81")]),
        ];
        let backend =
            |name: &str, target: &str, to: &str| keys(&[("name", name), ("target_address", target), ("target_port", to)]);
        let turns = |listen: &str, to: &str| keys(&[("protocol", "tcp"), ("listen_port", listen), ("target_backend", to)]);
        let balancer = lxhost_model::LoadBalancer {
            backends: vec![backend("a", "10.1.2.3", ""), backend("b", "10.1.2.4", "8080"), backend("c", "10.1.2.5", "")],
            ports: vec![turns("80,443", "a,c"), turns("81,90-91", "a,b"), turns("100-110", "b")],
            ..Default::default()
        };
        lxbr0.forwards.push(balancer.read("192.0.2.3".parse().unwrap()).unwrap());
        let mut open = settings_of(&[("ipv4.address", "192.168.7.1/24"), ("ipv6.address", "none")]);
        open.interface = "open".parse().unwrap();
        open.forwards = vec![forward("192.0.2.2", &[("target_address", "192.168.7.7")], vec![])];
        let text = render(&[lxbr0, open], &[]);
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/network/golden/forwards.nft");
        if std::env::var_os("LXHOST_BLESS").is_some() {
            std::fs::write(golden, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(golden).unwrap_or_default());
    }

    #[test]
    fn without_networks_the_table_goes() {
        assert_eq!(render(&[], &[]), "table inet lxhost\ndelete table inet lxhost\n");
    }

    #[test]
    fn a_source_and_a_place_among_other_rules_may_be_chosen() {
        let bridge = settings_of(&[("ipv4.nat", "true"), ("ipv4.nat.address", "192.0.2.7"), ("ipv4.nat.order", "after")]);
        let text = render(&[bridge], &[]);
        let (before, after) = text.split_once("srcnat + 5").unwrap();
        assert!(after.contains("ip saddr 10.1.2.0/24 ip daddr != 10.1.2.0/24 snat ip to 192.0.2.7\n"), "{text}");
        assert!(!before.contains("saddr"), "{text}");
    }

    #[test]
    fn a_bridge_that_does_not_route_lets_nothing_through() {
        let text = render(&[settings_of(&[("ipv4.routing", "false"), ("ipv6.address", "none")])], &[]);
        assert!(text.contains("oifname \"lxbr0\" iifname != \"lxbr0\" meta nfproto ipv4 reject"), "{text}");
        assert!(text.contains("priority filter - 1") && !text.contains("nfproto ipv4 accept\n\t}\n\tchain post"), "{text}");
    }
}
