//! Forwards and load balancers as a chain of the firewall's table: one for each bridge that has any, which gives what comes to an
//! address of the host another destination. Called from where packets come in and from where the host's own
//! leave. Pure text; called by the table.

use super::acl::list;
use crate::network::bridge::Settings;
use lxhost_model::forward::{Diversion, Ports, Target, TargetPorts};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Name of a bridge's chain; none without forwards.
pub(super) fn chain(bridge: &Settings) -> Option<String> {
    (!bridge.forwards.is_empty()).then(|| format!("forwards.{}", bridge.interface))
}

/// Body of a bridge's chain. What has been given a destination does not come to the next line.
pub(super) fn rules(bridge: &Settings) -> Vec<String> {
    bridge.forwards.iter().flat_map(diversion).collect()
}

/// The call of a bridge's chain.
pub(super) fn call(bridge: &Settings) -> Vec<String> {
    chain(bridge).map(|chain| format!("jump {chain}")).into_iter().collect()
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

fn diversion(diversion: &Diversion) -> Vec<String> {
    let (family, listen) = (family(diversion.listen), diversion.listen);
    let rest = diversion.rest.map(|target| format!("{family} daddr {listen} dnat {family} to {target}"));
    let entries = diversion.ports.iter().flat_map(|entry| match &entry.targets[..] {
        [one] => vec![alone(entry, one, family)],
        several => in_turn(entry, several, family),
    });
    entries.map(|entry| format!("{family} daddr {listen} {entry}")).chain(rest).collect()
}

/// An entry with one target.
fn alone(entry: &Ports, target: &Target, family: &str) -> String {
    let Ports { protocol, listen, .. } = entry;
    let Target { address: target, ports } = target;
    match ports {
        TargetPorts::Same => format!("{protocol} dport {{ {} }} dnat {family} to {target}", list(listen)),
        TargetPorts::One(port) => {
            let at = if target.is_ipv4() { format!("{target}:{port}") } else { format!("[{target}]:{port}") };
            format!("{protocol} dport {{ {} }} dnat {family} to {at}", list(listen))
        }
        TargetPorts::Each(pairs) => {
            let pairs: Vec<String> = pairs.iter().map(|(from, to)| format!("{from} : {target} . {to}")).collect();
            format!("dnat {family} to {protocol} dport map {{ {} }}", pairs.join(", "))
        }
    }
}

/// An entry whose targets take turns, one line for each port where they differ in theirs.
fn in_turn(entry: &Ports, targets: &[Target], family: &str) -> Vec<String> {
    let Ports { protocol, listen, .. } = entry;
    let line = |ports: &str, goals: Vec<String>| {
        let turns: Vec<String> = goals.iter().enumerate().map(|(turn, goal)| format!("{turn} : {goal}")).collect();
        let (number, turns) = (targets.len(), turns.join(", "));
        format!("{protocol} dport {{ {ports} }} dnat {family} to numgen inc mod {number} map {{ {turns} }}")
    };
    if targets.iter().all(|target| target.ports == TargetPorts::Same) {
        return vec![line(&list(listen), targets.iter().map(|target| target.address.to_string()).collect())];
    }
    let goal = |target: &Target, at: usize, port: u16| {
        let port = match &target.ports {
            TargetPorts::Same => port,
            TargetPorts::One(one) => *one,
            TargetPorts::Each(pairs) => pairs.get(at).map_or(port, |(_, to)| *to),
        };
        format!("{} . {port}", target.address)
    };
    let all = listen.iter().cloned().flatten().enumerate();
    all.map(|(at, port)| line(&port.to_string(), targets.iter().map(|target| goal(target, at, port)).collect())).collect()
}

/// Targets of a bridge, each family that has any as a condition.
fn targets(bridge: &Settings) -> impl Iterator<Item = (bool, String)> {
    let all: BTreeSet<IpAddr> = bridge.forwards.iter().flat_map(Diversion::targets).collect();
    [true, false].into_iter().filter_map(move |v4| {
        let ours: Vec<String> = all.iter().filter(|target| target.is_ipv4() == v4).map(ToString::to_string).collect();
        (!ours.is_empty()).then(|| (v4, format!("{} daddr {{ {} }}", if v4 { "ip" } else { "ip6" }, ours.join(", "))))
    })
}

/// What an instance sends to a neighbour by the host's address comes from the host: the neighbour's answer would take
/// the short way, from an address that nobody asked.
pub(super) fn hairpin(bridge: &Settings) -> Vec<String> {
    let net = |v4: bool| match v4 {
        true => bridge.ipv4.as_ref().map(|v| format!("ip saddr {}", v.address.trunc())),
        false => bridge.ipv6.as_ref().map(|v| format!("ip6 saddr {}", v.address.trunc())),
    };
    let rule = |(v4, targets): (bool, String)| Some(format!("{} {targets} ct status dnat masquerade", net(v4)?));
    targets(bridge).filter_map(rule).collect()
}

/// What the host itself sends to a forward, as conditions: it still names the interface it would have left by.
pub(super) fn from_host(bridge: &Settings) -> Vec<String> {
    let name = &bridge.interface;
    targets(bridge).map(|(_, targets)| format!("oifname != \"{name}\" {targets} ct status dnat")).collect()
}
