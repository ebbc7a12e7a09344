//! Packets through rulesets, and what is said of them.

use super::*;
use serde_json::json;

fn ruleset(objects: serde_json::Value) -> Ruleset {
    Ruleset::read(&json!({ "nftables": objects }).to_string()).unwrap()
}

fn chain(family: &str, name: &str, hook: &str, policy: &str) -> serde_json::Value {
    json!({ "chain": { "family": family, "table": "t", "name": name, "hook": hook, "prio": 0, "policy": policy } })
}

fn rule(family: &str, chain: &str, handle: u64, words: serde_json::Value) -> serde_json::Value {
    json!({ "rule": { "family": family, "table": "t", "chain": chain, "handle": handle, "expr": words } })
}

fn is(left: serde_json::Value, right: serde_json::Value) -> serde_json::Value {
    json!({ "match": { "op": "==", "left": left, "right": right } })
}

fn iifname(name: &str) -> serde_json::Value {
    is(json!({ "meta": { "key": "iifname" } }), json!(name))
}

fn dport(right: serde_json::Value) -> serde_json::Value {
    is(json!({ "payload": { "protocol": "udp", "field": "dport" } }), right)
}

fn discover() -> Packet {
    Packet {
        input: "lxbr0".into(),
        port: "lxprobe1".into(),
        output: None,
        source: Ipv4Addr::UNSPECIFIED.into(),
        destination: Ipv4Addr::BROADCAST.into(),
        protocol: "udp",
        ports: (68, 67),
        state: "new",
    }
}

fn eaten(chain: &str, rule: Option<u64>, certain: bool) -> Option<Eaten> {
    Some(Eaten { chain: chain.into(), rule, certain })
}

#[test]
fn the_rule_that_drops_is_named_and_one_for_others_is_not() {
    let drop = |ports| {
        ruleset(json!([chain("inet", "in", "input", "accept"), rule("inet", "in", 7, json!([dport(ports), { "drop": null }]))]))
    };
    assert_eq!(drop(json!(67)).fate(&discover(), IN), eaten("inet t in", Some(7), true));
    assert_eq!(drop(json!({ "set": [53, { "range": [60, 70] }] })).fate(&discover(), IN), eaten("inet t in", Some(7), true));
    assert_eq!(drop(json!(53)).fate(&discover(), IN), None);
    let tcp = is(json!({ "payload": { "protocol": "tcp", "field": "dport" } }), json!(67));
    let rules = [chain("ip", "in", "input", "accept"), rule("ip", "in", 7, json!([tcp, { "drop": null }]))];
    assert_eq!(ruleset(json!(rules)).fate(&discover(), IN), None, "of another protocol");
}

#[test]
fn a_policy_drops_what_no_chain_on_the_way_accepts() {
    let rules = |accepted: &str| {
        ruleset(json!([
            chain("ip", "in", "input", "drop"),
            rule("ip", "in", 1, json!([is(json!({ "ct": { "key": "state" } }), json!(["established", "related"])), { "accept": null }])),
            rule("ip", "in", 2, json!([{ "counter": { "packets": 1 } }, { "jump": { "target": "ours" } }])),
            { "chain": { "family": "ip", "table": "t", "name": "ours" } },
            rule("ip", "ours", 3, json!([iifname(accepted), { "accept": null }])),
        ]))
    };
    assert_eq!(rules("lxbr0").fate(&discover(), IN), None);
    assert_eq!(rules("lx*").fate(&discover(), IN), None);
    assert_eq!(rules("eth0").fate(&discover(), IN), eaten("ip t in", None, true));
    let forwarded = Packet { output: Some("eth0".into()), ..discover() };
    assert_eq!(rules("eth0").fate(&forwarded, THROUGH), None, "another hook");
}

#[test]
fn what_is_not_understood_makes_a_guess() {
    let xt = json!({ "xt": { "type": "match", "name": "owner" } });
    let rules = [chain("ip", "in", "input", "drop"), rule("ip", "in", 1, json!([xt, { "accept": null }]))];
    assert_eq!(ruleset(json!(rules)).fate(&discover(), IN), eaten("ip t in", None, false));
    let rules = [chain("ip", "in", "input", "accept"), rule("ip", "in", 1, json!([xt, { "drop": null }]))];
    assert_eq!(ruleset(json!(rules)).fate(&discover(), IN), eaten("ip t in", Some(1), false));
}

#[test]
fn what_may_have_returned_is_ended_by_nothing_for_certain() {
    let xt = json!({ "xt": { "type": "match", "name": "owner" } });
    let local = is(json!({ "fib": { "result": "type", "flags": ["daddr"] } }), json!("local"));
    let rules = |first: &serde_json::Value| {
        ruleset(json!([
            chain("inet", "in", "input", "accept"),
            rule("inet", "in", 1, json!([{ "jump": { "target": "egress" } }])),
            { "chain": { "family": "inet", "table": "t", "name": "egress" } },
            rule("inet", "egress", 2, json!([first, { "return": null }])),
            rule("inet", "egress", 3, json!([{ "reject": null }])),
        ]))
    };
    let question = Packet { destination: Ipv4Addr::new(10, 0, 0, 1).into(), ports: (40_000, 53), ..discover() };
    assert_eq!(rules(&xt).fate(&question, IN), eaten("inet t egress", Some(3), false));
    assert_eq!(rules(&local).fate(&question, IN), None);
    assert_eq!(rules(&local).fate(&discover(), IN), eaten("inet t egress", Some(3), true), "a broadcast");
}

#[test]
fn an_acl_that_refuses_is_told_of_and_is_no_failure() {
    let eaten = Eaten { chain: "inet lxhost egress.lxbr0".into(), rule: Some(7), certain: true };
    let hint = remedy(&eaten, &ruleset(json!([])), "lxbr0", None);
    let check = found("forward", "IPv4 from guests", &eaten, hint);
    assert_eq!((check.state, check.message.as_str()), ("warn", "IPv4 from guests: the network's ACLs refuse it"));
    assert!(check.hint.contains("network acl") && !check.hint.contains("nft"), "{}", check.hint);
    let other = Eaten { chain: "inet lxhost input".into(), ..eaten };
    assert_eq!(found("dns", "x", &other, String::new()).state, "fail");
}

#[test]
fn sets_maps_and_nets_are_looked_up() {
    let saddr = |right| is(json!({ "payload": { "protocol": "ip", "field": "saddr" } }), right);
    let rules = |words: serde_json::Value| {
        ruleset(json!([
            chain("ip", "in", "input", "accept"),
            { "set": { "family": "ip", "table": "t", "name": "bad", "elem": [{ "prefix": { "addr": "0.0.0.0", "len": 8 } }] } },
            { "chain": { "family": "ip", "table": "t", "name": "grave" } },
            rule("ip", "grave", 9, json!([{ "drop": null }])),
            { "map": { "family": "ip", "table": "t", "name": "ways", "elem": [["lxbr0", { "jump": { "target": "grave" } }]] } },
            rule("ip", "in", 1, words),
        ]))
    };
    assert_eq!(rules(json!([saddr(json!("@bad")), { "drop": null }])).fate(&discover(), IN), eaten("ip t in", Some(1), true));
    let mapped = json!([{ "vmap": { "key": { "meta": { "key": "iifname" } }, "data": "@ways" } }]);
    assert_eq!(rules(mapped).fate(&discover(), IN), eaten("ip t grave", Some(9), true));
    let other = json!({ "range": ["10.0.0.1", "10.0.0.9"] });
    assert_eq!(rules(json!([saddr(other), { "drop": null }])).fate(&discover(), IN), None);
}

#[test]
fn listings_without_sense_and_chains_without_end_eat_nothing() {
    for objects in [json!(1), json!([1, {}, { "rule": 1 }, { "chain": { "hook": 7 } }, { "set": [] }])] {
        assert_eq!(ruleset(objects).fate(&discover(), IN), None);
    }
    let endless = json!([{ "jump": { "target": "in" } }, { "jump": { "target": "in" } }]);
    let rules = [chain("ip", "in", "input", "accept"), rule("ip", "in", 1, endless.clone()), rule("ip", "in", 2, endless)];
    assert_eq!(ruleset(json!(rules)).fate(&discover(), IN), None);
    assert!(Ruleset::read("no json").is_err());
}

#[test]
fn the_remedy_speaks_the_language_of_who_made_the_chain() {
    let of = |name: &str| ruleset(json!([chain("ip", name, "forward", "drop")]));
    let at = |chain: &str| Eaten { chain: chain.into(), rule: None, certain: true };
    assert!(remedy(&at("inet firewalld filter_FORWARD"), &of("x"), "lxbr0", None).contains("zone lxhost"));
    assert!(remedy(&at("ip filter FORWARD"), &of("ufw-user-input"), "lxbr0", None).contains("chains of ufw"));
    assert!(remedy(&at("ip filter ufw-user-forward"), &of("ufw-user-input"), "lxbr0", None).starts_with("ufw status"));
    assert!(remedy(&at("ip filter FORWARD"), &of("DOCKER-USER"), "lxbr0", None).contains("DOCKER-USER"));
    let own = remedy(&at("inet mine guard"), &of("x"), "lxbr0", Some(67));
    assert_eq!(own, "nft insert rule inet mine guard iifname lxbr0 udp dport 67 accept");
}

#[test]
fn forwarding_that_is_off_is_named_with_its_key() {
    let net = tempfile::tempdir().unwrap();
    for key in ["ipv4/conf/lxbr0", "ipv6/conf/all"] {
        std::fs::create_dir_all(net.path().join(key)).unwrap();
    }
    let settings = crate::network::bridge::settings_of(&[]);
    std::fs::write(net.path().join("ipv4/ip_forward"), "1\n").unwrap();
    assert!(forwarding(&settings, net.path()).iter().all(|check| check.state == "ok"));
    std::fs::write(net.path().join("ipv4/ip_forward"), "0\n").unwrap();
    let found = forwarding(&settings, net.path());
    assert_eq!((found.len(), found[0].state, found[0].hint.as_str()), (1, "fail", "sysctl -w net.ipv4.ip_forward=1"));
}
