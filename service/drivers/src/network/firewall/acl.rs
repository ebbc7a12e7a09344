//! ACLs as chains of the firewall's table: two for each bridge that carries any, one for what goes to its instances
//! and one for what comes from them. Pure text; called by the table.
//!
//! A chain that lets through returns, so that the chain of the network at the other end is asked as well; one that
//! does not ends the matter. Bridged traffic between instances of one network does not come by here.

use crate::network::bridge::Settings;
use lxhost_model::Acl;
use lxhost_model::acl::{Action, Protocol, Rule, RuleKeys, Subject};
use lxhost_model::name::AclName;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Which way traffic goes, seen from the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To it.
    Ingress,
    /// From it.
    Egress,
}

impl Direction {
    /// The word for it.
    fn word(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }

    /// The rules of an ACL for it.
    fn of(self, acl: &Acl) -> &[RuleKeys] {
        match self {
            Direction::Ingress => &acl.ingress,
            Direction::Egress => &acl.egress,
        }
    }
}

/// Subnets by the ACLs that the networks which have them carry.
pub(super) type Groups = BTreeMap<AclName, Vec<String>>;

/// The groups of all networks.
pub(super) fn groups(bridges: &[Settings]) -> Groups {
    let mut groups = Groups::new();
    for bridge in bridges {
        for name in &bridge.acls.names {
            groups.entry(name.clone()).or_default().extend(subnets(bridge));
        }
    }
    groups
}

fn subnets(bridge: &Settings) -> Vec<String> {
    let ipv4 = bridge.ipv4.iter().map(|v| v.address.trunc().to_string());
    ipv4.chain(bridge.ipv6.iter().map(|v| v.address.trunc().to_string())).collect()
}

/// Name of a bridge's chain.
pub(super) fn chain(bridge: &Settings, direction: Direction) -> String {
    format!("{}.{}", direction.word(), bridge.interface)
}

/// Body of a bridge's chain: what it owes to connections and addresses first, then the rules, then the default.
pub(super) fn rules(bridge: &Settings, direction: Direction, acls: &[Arc<Acl>], groups: &Groups) -> Vec<String> {
    let mut lines = vec!["ct state established,related return".to_owned()];
    lines.extend(owed(direction).map(str::to_owned));
    let mut rules = Vec::new();
    for acl in acls.iter().filter(|acl| bridge.acls.names.contains(&acl.name)) {
        // What an older version took and this one does not is left out; the default is to refuse.
        rules.extend(direction.of(acl).iter().filter_map(|keys| Rule::read(keys).ok()).map(|rule| (acl.name.clone(), rule)));
    }
    rules.sort_by_key(|(_, rule)| rule.action);
    for (name, rule) in rules.iter().filter(|(_, rule)| rule.enabled) {
        let prefix = rule.logged.then(|| format!("lxhost {} {name}", direction.word()));
        for text in matches(rule, bridge, groups) {
            lines.push(line(&text, prefix.as_deref(), rule.action));
        }
    }
    let default = match direction {
        Direction::Ingress => bridge.acls.ingress,
        Direction::Egress => bridge.acls.egress,
    };
    let prefix = default.logged.then(|| format!("lxhost {} default {}", direction.word(), bridge.interface));
    lines.push(line("", prefix.as_deref(), default.action));
    lines
}

/// Without neighbours and addresses there is no network: those are no matter of policy.
fn owed(direction: Direction) -> impl Iterator<Item = &'static str> {
    let lines: &[&str] = match direction {
        Direction::Ingress => &[
            "udp sport 67 udp dport 68 return",
            "udp sport 547 udp dport 546 return",
            "icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } return",
        ],
        Direction::Egress => &[
            "udp sport 68 udp dport 67 return",
            "udp sport 546 udp dport 547 return",
            "meta l4proto { tcp, udp } th dport 53 fib daddr type local return",
            "icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, \
             mld-listener-done, mld2-listener-report } return",
        ],
    };
    lines.iter().copied()
}

fn line(text: &str, log: Option<&str>, action: Action) -> String {
    let mut line = String::from(text);
    let mut word = |word: &str| {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    };
    if let Some(prefix) = log {
        word(&format!("log prefix \"{prefix}: \""));
    }
    word(match action {
        Action::Allow => "return",
        Action::Drop => "drop",
        Action::Reject => "reject",
    });
    line
}

/// The rule's conditions, one text for each family and pair of sides that it takes.
fn matches(rule: &Rule, bridge: &Settings, groups: &Groups) -> Vec<String> {
    let protocol = protocol(&rule.protocol);
    let mut all = Vec::new();
    if rule.source.is_empty() && rule.destination.is_empty() {
        return vec![protocol];
    }
    for v6 in [false, true] {
        if matches!(rule.protocol, Protocol::Icmp { v6: icmp, .. } if icmp != v6) {
            continue;
        }
        let sources = side(&rule.source, "saddr", v6, bridge, groups);
        let destinations = side(&rule.destination, "daddr", v6, bridge, groups);
        for source in &sources {
            for destination in &destinations {
                let words = [source.as_str(), destination, &protocol];
                all.push(words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
            }
        }
    }
    all
}

fn protocol(protocol: &Protocol) -> String {
    match protocol {
        Protocol::Any => String::new(),
        Protocol::Ports { name, source, destination } => {
            let mut text = String::new();
            for (key, ports) in [("sport", source), ("dport", destination)].iter().filter(|(_, ports)| !ports.is_empty()) {
                let _ = write!(text, "{}{name} {key} {{ {} }}", if text.is_empty() { "" } else { " " }, list(ports));
            }
            if text.is_empty() { format!("meta l4proto {name}") } else { text }
        }
        Protocol::Icmp { v6, kind, code } => {
            let (name, number) = if *v6 { ("icmpv6", "ipv6-icmp") } else { ("icmp", "icmp") };
            match (kind, code) {
                (None, _) => format!("meta l4proto {number}"),
                (Some(kind), None) => format!("{name} type {kind}"),
                (Some(kind), Some(code)) => format!("{name} type {kind} {name} code {code}"),
            }
        }
    }
}

/// Ports as elements of a set.
pub(super) fn list(ports: &[RangeInclusive<u16>]) -> String {
    let word = |range: &RangeInclusive<u16>| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    };
    // nft takes no two elements of a set that overlap.
    let mut sorted: Vec<_> = ports.to_vec();
    sorted.sort_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<u16>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if u32::from(*range.start()) <= u32::from(*last.end()) + 1 => {
                *last = *last.start()..=(*last.end()).max(*range.end());
            }
            _ => merged.push(range),
        }
    }
    merged.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// Conditions on one side in one family: none matches everybody, an empty list nobody.
fn side(subjects: &[Subject], key: &str, v6: bool, bridge: &Settings, groups: &Groups) -> Vec<String> {
    let family = if v6 { "ip6" } else { "ip" };
    if subjects.is_empty() {
        // The other side says which family it is.
        return vec![String::new()];
    }
    let ours = |subnets: &[String]| subnets.iter().filter(|net| net.contains(':') == v6).cloned().collect::<Vec<_>>();
    let internal = ours(&subnets(bridge));
    let mut inside: Vec<(IpAddr, IpAddr)> = Vec::new();
    let mut all = Vec::new();
    for subject in subjects {
        let nets = match subject {
            Subject::Addresses(first, last) => {
                if first.is_ipv6() == v6 {
                    inside.push((*first, *last));
                }
                continue;
            }
            Subject::Internal => internal.clone(),
            Subject::Group(name) => groups.get(name).map(|nets| ours(nets)).unwrap_or_default(),
            Subject::External if internal.is_empty() => {
                all.push(format!("meta nfproto {}", if v6 { "ipv6" } else { "ipv4" }));
                continue;
            }
            Subject::External => {
                all.push(format!("{family} {key} != {{ {} }}", internal.join(", ")));
                continue;
            }
        };
        // Networks of ours do not overlap.
        if !nets.is_empty() {
            all.push(format!("{family} {key} {{ {} }}", nets.join(", ")));
        }
    }
    // Ranges of users may.
    inside.sort();
    let mut merged: Vec<(IpAddr, IpAddr)> = Vec::new();
    for (first, last) in inside {
        match merged.last_mut() {
            Some((_, end)) if first <= *end => *end = (*end).max(last),
            _ => merged.push((first, last)),
        }
    }
    let word = |(first, last): &(IpAddr, IpAddr)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    if !merged.is_empty() {
        all.push(format!("{family} {key} {{ {} }}", merged.iter().map(word).collect::<Vec<_>>().join(", ")));
    }
    all
}
