//! The host's firewall, as far as it is ours: one table, `inet lxhost`, rendered whole from the
//! networks there are and replaced in one transaction of `nft -f -`. Tables of others stay as they
//! are; what they need to let our bridges through has a file each beside this (`docker`; ufw and
//! firewalld to come).
//!
//! An `accept` ends our chain only: a `drop` in another table still wins (nft(8), "base chains").
//! Nothing keeps instances from the host's own ports or from each other: as with Incus, that is
//! for the host's firewall or an ACL. Rules per port (spoof filters) become a chain of this table.

use super::bridge::Settings;
use lxhost_model::{Error, Kind, Result};
use std::fmt::Write;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Longest time for one transaction; nft waits for a lock when another program changes rules.
const PATIENCE: Duration = Duration::from_secs(20);

/// A chain: its name, where it hooks in, and its rules for one bridge.
type Chain = (&'static str, &'static str, fn(&Settings) -> Vec<String>);

const CHAINS: [Chain; 4] = [
    ("input", "type filter hook input priority filter; policy accept;", input),
    ("forward", "type filter hook forward priority filter; policy accept;", forward),
    ("postrouting", "type nat hook postrouting priority srcnat; policy accept;", |bridge| postrouting(bridge, false)),
    ("last", "type nat hook postrouting priority srcnat + 5; policy accept;", |bridge| postrouting(bridge, true)),
];

/// The transaction that makes the table be as `bridges` need it; removes it when there are none.
pub(crate) fn render(bridges: &[Settings]) -> String {
    // Naming the table first makes the deletion valid when there is none.
    let mut text = String::from("table inet lxhost\ndelete table inet lxhost\n");
    if bridges.is_empty() {
        return text;
    }
    text.push_str("table inet lxhost {\n");
    for (name, hook, rules) in CHAINS {
        let rules: Vec<String> = bridges.iter().flat_map(rules).collect();
        if rules.is_empty() && name == "last" {
            continue;
        }
        let _ = writeln!(text, "\tchain {name} {{\n\t\t{hook}");
        for rule in rules {
            let _ = writeln!(text, "\t\t{rule}");
        }
        text.push_str("\t}\n");
    }
    text.push_str("}\n");
    text
}

/// Instances reach DHCP, DNS, ping and neighbour discovery of their bridge; nobody else reaches
/// its DNS server, which would answer for the host's whole network.
fn input(bridge: &Settings) -> Vec<String> {
    let name = &bridge.interface;
    let mut rules = Vec::new();
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

/// Packets pass, or, where the bridge does not route, are refused.
fn forward(bridge: &Settings) -> Vec<String> {
    let name = &bridge.interface;
    let families = [
        bridge.ipv4.as_ref().filter(|v| v.firewall).map(|v| ("ipv4", v.routing)),
        bridge.ipv6.as_ref().filter(|v| v.firewall).map(|v| ("ipv6", v.routing)),
    ];
    let both = |(family, routing)| {
        let verdict = if routing { "accept" } else { "reject" };
        // What stays on the bridge comes by here where bridges are filtered (br_netfilter).
        let inside = (!routing).then(|| format!("iifname \"{name}\" oifname \"{name}\" meta nfproto {family} accept"));
        let sides = ["iifname", "oifname"].map(|side| format!("{side} \"{name}\" meta nfproto {family} {verdict}"));
        inside.into_iter().chain(sides)
    };
    families.into_iter().flatten().flat_map(both).collect()
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

/// Runs a transaction; all of it takes effect, or nothing.
///
/// # Errors
/// `Failed`, with what nft said; `Timeout`.
pub(super) async fn apply(transaction: &str) -> Result<()> {
    let output = nft(&["-f", "-"], transaction).await?;
    if output.status.success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&output.stderr).chars().filter(|c| !c.is_control()).take(500).collect();
    Err(Error::failed(format!("nft refused the firewall's rules: {said}")))
}

/// What nft lists, as JSON; `None` when there is no such thing.
///
/// # Errors
/// `Failed` when nft does not run; `Timeout`.
pub(super) async fn list(what: &[&str]) -> Result<Option<String>> {
    let output = nft(&[&["-j"], what].concat(), "").await?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

async fn nft(argv: &[&str], input: &str) -> Result<Output> {
    let run = async {
        let mut nft = Command::new("nft")
            .args(argv)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| Error::io("run nft", &e))?;
        if let Some(mut stdin) = nft.stdin.take() {
            // When nft dies early, what it says on stderr is the better story.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        nft.wait_with_output().await.map_err(|e| Error::io("run nft", &e))
    };
    match tokio::time::timeout(PATIENCE, run).await {
        Ok(done) => done,
        Err(_) => Err(Error::new(Kind::Timeout, format!("nft did not end in {} s", PATIENCE.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bridge::settings_of;
    use super::*;

    #[test]
    fn the_table_is_as_in_the_golden_file() {
        let mut office = settings_of(&[("ipv4.address", "192.168.7.1/24"), ("ipv6.address", "none"), ("ipv4.firewall", "false")]);
        office.interface = "office".parse().unwrap();
        let lxbr0 = settings_of(&[("ipv4.nat", "true"), ("ipv6.nat", "true")]);
        assert_eq!(render(&[lxbr0, office]), include_str!("golden/firewall.nft"));
    }

    #[test]
    fn a_source_and_a_place_among_other_rules_may_be_chosen() {
        let bridge = settings_of(&[("ipv4.nat", "true"), ("ipv4.nat.address", "192.0.2.7"), ("ipv4.nat.order", "after")]);
        let text = render(&[bridge]);
        let (before, after) = text.split_once("srcnat + 5").unwrap();
        assert!(after.contains("ip saddr 10.1.2.0/24 ip daddr != 10.1.2.0/24 snat ip to 192.0.2.7\n"), "{text}");
        assert!(!before.contains("saddr"), "{text}");
    }

    #[test]
    fn a_bridge_that_does_not_route_lets_nothing_through() {
        let text = render(&[settings_of(&[("ipv4.routing", "false"), ("ipv6.address", "none")])]);
        assert!(text.contains("oifname \"lxbr0\" meta nfproto ipv4 reject") && !text.contains("ipv6"), "{text}");
    }

    #[test]
    fn without_networks_the_table_goes() {
        assert_eq!(render(&[]), "table inet lxhost\ndelete table inet lxhost\n");
    }
}
