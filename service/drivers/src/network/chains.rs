//! Chains that other firewalls of this host have for rules of others. Docker and ufw set the host's policy to drop, in the
//! tables `ip filter` and `ip6 filter` of iptables-nft, so an `accept` in our table is not enough: where such a chain exists,
//! our bridges get their rules at its top, marked with our comment. Nothing else there is read or changed.

use super::bridge::Settings;
use super::firewall;
use lxhost_model::{Error, Result};
use serde_json::Value;
use std::fmt::Write;

/// Docker's chain for rules of others, which its own come after.
pub(super) const DOCKER: &str = "DOCKER-USER";
/// Tables are called so in both families.
const TABLE: &str = "filter";
/// Families, as nft calls them.
const FAMILIES: [&str; 2] = ["ip", "ip6"];
/// First word of the comment that marks rules as ours; iptables shows it.
const MARK: &str = "lxhost";

/// What passes by a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From one link to another.
    Through,
    /// To the host.
    In,
}

/// A chain: whose it is, its name, and what passes by it. Those of ufw come after what its administrator says, and
/// before its policy.
const CHAINS: [(&str, &str, Way); 5] = [
    ("Docker", DOCKER, Way::Through),
    ("ufw", "ufw-after-forward", Way::Through),
    ("ufw", "ufw-after-input", Way::In),
    ("ufw", "ufw6-after-forward", Way::Through),
    ("ufw", "ufw6-after-input", Way::In),
];

/// A rule of ours in a chain of others.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    chain: &'static str,
    /// What it is for, and which bridge: its comment.
    comment: String,
    /// What it matches, as nft says it.
    matches: String,
}

/// What is in a table: chains of [`CHAINS`], and our rules in them with their numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    chains: Vec<&'static str>,
    rules: Vec<(u64, &'static str, String)>,
}

impl Present {
    /// Rules of ours that were found.
    pub(crate) fn rules(&self) -> usize {
        self.rules.len()
    }

    fn has(&self, rule: &Rule) -> bool {
        self.rules.iter().any(|(_, chain, comment)| *chain == rule.chain && *comment == rule.comment)
    }
}

/// Whether others have a chain of that name for rules of ours.
pub(super) fn is_known(chain: &str) -> bool {
    CHAINS.iter().any(|(_, name, _)| *name == chain)
}

/// Has other firewalls let the bridges through that want rules, and no others that once had them.
///
/// # Errors
/// `Failed`, with what nft said.
pub(super) async fn cooperate(bridges: &[Settings]) -> Result<()> {
    for family in FAMILIES {
        let Some(present) = look(family).await? else { continue };
        let wanted: Vec<Rule> = bridges.iter().flat_map(|bridge| wanted(family, &present, bridge)).collect();
        let transaction = changes(family, &present, &wanted);
        if !transaction.is_empty() {
            firewall::apply(&transaction).await?;
        }
    }
    Ok(())
}

/// The firewalls that have such chains for what the bridge needs, and whether all its rules are in them.
///
/// # Errors
/// `Failed`, with what nft said.
pub(super) async fn treatment(bridge: &Settings) -> Result<Vec<(&'static str, bool)>> {
    let mut whole: Vec<(&'static str, bool)> = Vec::new();
    for family in FAMILIES {
        let Some(present) = look(family).await? else { continue };
        for rule in wanted(family, &present, bridge) {
            let Some((owner, ..)) = CHAINS.iter().find(|(_, chain, _)| *chain == rule.chain) else { continue };
            let there = present.has(&rule);
            match whole.iter_mut().find(|(known, _)| known == owner) {
                Some((_, all)) => *all &= there,
                None => whole.push((owner, there)),
            }
        }
    }
    Ok(whole)
}

async fn look(family: &str) -> Result<Option<Present>> {
    if !firewall::has_table(family, TABLE).await? {
        return Ok(None);
    }
    firewall::list(&["list", "table", family, TABLE]).await?.map(|listing| read(&listing)).transpose()
}

/// The rules that a bridge has in the chains there are.
fn wanted(family: &str, present: &Present, bridge: &Settings) -> Vec<Rule> {
    let (through, dhcp, dns) = match family {
        "ip" => bridge.ipv4.as_ref().map(|v| (v.firewall && v.routing, (v.firewall && v.dhcp).then_some(67), v.firewall)),
        _ => bridge.ipv6.as_ref().map(|v| (v.firewall && v.routing, (v.firewall && v.dhcp).then_some(547), v.firewall)),
    }
    .unwrap_or_default();
    let name = &bridge.interface;
    let rule = |chain, what: &str, matches: String| Rule { chain, comment: format!("{MARK} {what} {name}"), matches };
    let mut rules = Vec::new();
    for (_, chain, way) in CHAINS.into_iter().filter(|(_, chain, _)| present.chains.contains(chain)) {
        match way {
            Way::Through if through => {
                rules.push(rule(chain, "from", format!("iifname \"{name}\"")));
                rules.push(rule(chain, "to", format!("oifname \"{name}\"")));
            }
            Way::In => {
                // One port each: iptables cannot read sets.
                let dns = dns.then_some([("udp", 53), ("tcp", 53)]).into_iter().flatten();
                for (protocol, port) in dhcp.map(|port| ("udp", port)).into_iter().chain(dns) {
                    let matches = format!("iifname \"{name}\" {protocol} dport {port}");
                    rules.push(rule(chain, &format!("{protocol}-{port}"), matches));
                }
            }
            Way::Through => {}
        }
    }
    rules
}

/// The transaction from the rules there are to those wanted; empty when nothing differs.
fn changes(family: &str, present: &Present, wanted: &[Rule]) -> String {
    let mut text = String::new();
    let mut missing: Vec<&Rule> = wanted.iter().collect();
    for (handle, chain, comment) in &present.rules {
        match missing.iter().position(|rule| rule.chain == *chain && rule.comment == *comment) {
            Some(found) => drop(missing.remove(found)),
            None => drop(writeln!(text, "delete rule {family} {TABLE} {chain} handle {handle}")),
        }
    }
    for Rule { chain, comment, matches } in missing {
        // At the top: older versions of Docker end the chain with a rule that returns, and ufw its own with the policy.
        let _ = writeln!(text, "insert rule {family} {TABLE} {chain} {matches} counter accept comment \"{comment}\"");
    }
    text
}

/// What concerns us in what `nft -j list table` says (libnftables-json(5)).
///
/// # Errors
/// `Failed` when it is no JSON.
pub(crate) fn read(listing: &str) -> Result<Present> {
    let listing: Value = serde_json::from_str(listing).map_err(|e| Error::failed(format!("read what nft lists: {e}")))?;
    let known = |name: &Value| CHAINS.iter().map(|(_, chain, _)| *chain).find(|chain| name.as_str() == Some(chain));
    let mut present = Present::default();
    for object in listing["nftables"].as_array().map(Vec::as_slice).unwrap_or_default() {
        present.chains.extend(known(&object["chain"]["name"]));
        let rule = &object["rule"];
        let comment = rule["comment"].as_str().filter(|comment| comment.split(' ').next() == Some(MARK));
        if let (Some(chain), Some(comment), Some(handle)) = (known(&rule["chain"]), comment, rule["handle"].as_u64()) {
            present.rules.push((handle, chain, comment.to_owned()));
        }
    }
    Ok(present)
}

#[cfg(test)]
mod tests {
    use super::super::bridge::settings_of;
    use super::*;

    const LISTING: &str = r#"{"nftables": [{"metainfo": {"version": "1.1.3", "json_schema_version": 1}},
        {"chain": {"family": "ip", "table": "filter", "name": "DOCKER-USER", "handle": 1}},
        {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "handle": 2}},
        {"rule": {"family": "ip", "table": "filter", "chain": "DOCKER-USER", "handle": 7, "comment": "lxhost from lxbr0", "expr": [
            {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lxbr0"}},
            {"counter": {"packets": 0, "bytes": 0}}, {"accept": null}]}},
        {"rule": {"family": "ip", "table": "filter", "chain": "INPUT", "handle": 9, "comment": "lxhost from lxbr0", "expr": []}},
        {"rule": {"family": "ip", "table": "filter", "chain": "DOCKER-USER", "handle": 8, "expr": [
            {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}}, {"drop": null}]}}]}"#;

    fn present(chains: &[&'static str]) -> Present {
        Present { chains: chains.to_vec(), rules: vec![] }
    }

    #[test]
    fn only_missing_rules_are_added_and_only_ours_are_removed() {
        let present = read(LISTING).unwrap();
        let wanted = wanted("ip", &present, &settings_of(&[]));
        assert_eq!(
            changes("ip", &present, &wanted),
            "insert rule ip filter DOCKER-USER oifname \"lxbr0\" counter accept comment \"lxhost to lxbr0\"\n"
        );
        assert_eq!(changes("ip", &present, &[]), "delete rule ip filter DOCKER-USER handle 7\n");
        let older = read(&LISTING.replace("lxhost from lxbr0", "lxhost")).unwrap();
        assert!(changes("ip", &older, &wanted).starts_with("delete rule ip filter DOCKER-USER handle 7\ninsert"));
    }

    #[test]
    fn ufw_lets_dhcp_and_dns_in_and_what_is_routed_through() {
        let there = present(&["ufw6-after-forward", "ufw6-after-input"]);
        let of = |keys: &[(&str, &str)]| changes("ip6", &there, &wanted("ip6", &there, &settings_of(keys)));
        let lines = [
            "insert rule ip6 filter ufw6-after-forward iifname \"lxbr0\" counter accept comment \"lxhost from lxbr0\"",
            "insert rule ip6 filter ufw6-after-forward oifname \"lxbr0\" counter accept comment \"lxhost to lxbr0\"",
            "insert rule ip6 filter ufw6-after-input iifname \"lxbr0\" udp dport 547 counter accept comment \"lxhost udp-547 lxbr0\"",
            "insert rule ip6 filter ufw6-after-input iifname \"lxbr0\" udp dport 53 counter accept comment \"lxhost udp-53 lxbr0\"",
            "insert rule ip6 filter ufw6-after-input iifname \"lxbr0\" tcp dport 53 counter accept comment \"lxhost tcp-53 lxbr0\"",
        ];
        assert_eq!(of(&[]).lines().collect::<Vec<_>>(), lines);
        assert_eq!(of(&[("ipv6.routing", "false")]).lines().collect::<Vec<_>>(), lines[2..]);
        assert_eq!(of(&[("ipv6.firewall", "false")]) + &of(&[("ipv6.address", "none")]), "");
    }

    #[test]
    fn a_listing_without_rules_or_sense_has_none_of_ours() {
        for listing in ["{}", "[]", r#"{"nftables": 1}"#, r#"{"nftables": [{"rule": {"comment": "lxhost"}}]}"#] {
            assert_eq!(read(listing).unwrap(), Present::default(), "{listing}");
        }
        assert!(read("no json").is_err());
    }
}
