//! Docker sets the host's forward policy to drop and gives everybody else one chain, `DOCKER-USER`,
//! in the tables `ip filter` and `ip6 filter` of iptables-nft. Where that chain exists, our bridges
//! get their two rules in it, marked with our comment; nothing else of Docker's is read or changed.

use super::bridge::Settings;
use super::firewall;
use lxhost_model::{Error, Result};
use serde_json::Value;
use std::fmt::Write;

const CHAIN: &str = "filter DOCKER-USER";
/// The chain's name.
pub(super) const USER: &str = "DOCKER-USER";
/// Marks rules as ours; iptables shows it as a comment.
const COMMENT: &str = "lxhost";

/// A rule of ours in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    handle: u64,
    /// `iifname` or `oifname`.
    side: String,
    interface: String,
}

/// Has Docker let the bridges through that want rules, and no others that once had them.
///
/// # Errors
/// `Failed`, with what nft said.
pub(super) async fn cooperate(bridges: &[Settings]) -> Result<()> {
    for family in ["ip", "ip6"] {
        let Some(listing) = firewall::list(&["list", "chain", family, "filter", USER]).await? else { continue };
        let wanted = bridges.iter().filter(|bridge| match family {
            "ip" => bridge.ipv4.as_ref().is_some_and(|v| v.firewall && v.routing),
            _ => bridge.ipv6.as_ref().is_some_and(|v| v.firewall && v.routing),
        });
        let wanted: Vec<&str> = wanted.map(|bridge| bridge.interface.as_str()).collect();
        let transaction = changes(family, &read(&listing)?, &wanted);
        if !transaction.is_empty() {
            firewall::apply(&transaction).await?;
        }
    }
    Ok(())
}

/// The transaction from the rules there are to those wanted; empty when nothing differs.
fn changes(family: &str, present: &[Rule], wanted: &[&str]) -> String {
    let mut text = String::new();
    let mut missing: Vec<(&str, &str)> = wanted.iter().flat_map(|name| [("iifname", *name), ("oifname", *name)]).collect();
    for rule in present {
        match missing.iter().position(|(side, name)| *side == rule.side && *name == rule.interface) {
            Some(found) => drop(missing.remove(found)),
            None => drop(writeln!(text, "delete rule {family} {CHAIN} handle {}", rule.handle)),
        }
    }
    for (side, name) in missing {
        // At the top: older versions of Docker end the chain with a rule that returns.
        let _ = writeln!(text, "insert rule {family} {CHAIN} {side} \"{name}\" counter accept comment \"{COMMENT}\"");
    }
    text
}

/// Our rules in what `nft -j list chain` says (libnftables-json(5)).
pub(crate) fn read(listing: &str) -> Result<Vec<Rule>> {
    let listing: Value = serde_json::from_str(listing).map_err(|e| Error::failed(format!("read what nft lists: {e}")))?;
    let objects = listing["nftables"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(objects.iter().filter_map(|object| ours(&object["rule"])).collect())
}

fn ours(rule: &Value) -> Option<Rule> {
    if rule["comment"].as_str() != Some(COMMENT) {
        return None;
    }
    // A rule that somebody changed has no side or interface, matches none wanted, and is replaced.
    let matched = &rule["expr"][0]["match"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(Rule {
        handle: rule["handle"].as_u64()?,
        side: text(&matched["left"]["meta"]["key"]),
        interface: text(&matched["right"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = r#"{"nftables": [{"metainfo": {"version": "1.1.3", "json_schema_version": 1}},
        {"chain": {"family": "ip", "table": "filter", "name": "DOCKER-USER", "handle": 1}},
        {"rule": {"family": "ip", "table": "filter", "chain": "DOCKER-USER", "handle": 7, "comment": "lxhost", "expr": [
            {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lxbr0"}},
            {"counter": {"packets": 0, "bytes": 0}}, {"accept": null}]}},
        {"rule": {"family": "ip", "table": "filter", "chain": "DOCKER-USER", "handle": 8, "expr": [
            {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}}, {"drop": null}]}}]}"#;

    #[test]
    fn only_missing_rules_are_added_and_only_ours_are_removed() {
        let present = read(LISTING).unwrap();
        assert_eq!(
            changes("ip", &present, &["lxbr0"]),
            "insert rule ip filter DOCKER-USER oifname \"lxbr0\" counter accept comment \"lxhost\"\n"
        );
        assert_eq!(changes("ip", &present, &[]), "delete rule ip filter DOCKER-USER handle 7\n");
    }

    #[test]
    fn a_listing_without_rules_or_sense_has_none_of_ours() {
        for listing in ["{}", "[]", r#"{"nftables": 1}"#, r#"{"nftables": [{"rule": {"comment": "lxhost"}}]}"#] {
            assert_eq!(read(listing).unwrap(), [], "{listing}");
        }
        assert!(read("no json").is_err());
    }
}
