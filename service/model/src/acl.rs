//! The record of a network ACL: rules for what goes to and from the instances of the networks that carry it.
//!
//! A rule is kept as the keys it was given, as a device is; [`Rule::read`] is what they mean.

use crate::config::{Config, check_text};
use crate::name::{AclName, ProjectName, quoted};
use crate::{Error, Kind, ObjectId, Timestamp, port};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Most rules of one ACL in one direction.
pub const MAX_RULES: usize = 500;
/// Keys of a rule.
pub const RULE_KEYS: &[&str] = &[
    "action",
    "state",
    "description",
    "protocol",
    "source",
    "destination",
    "source_port",
    "destination_port",
    "icmp_type",
    "icmp_code",
];

/// A rule as it was given.
pub type RuleKeys = BTreeMap<String, String>;

/// An ACL as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Acl {
    /// Immutable identity.
    pub id: ObjectId,
    /// Project it belongs to.
    pub project: ProjectName,
    /// Name, unique within the project.
    pub name: AclName,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// `user.*` keys.
    pub config: Config,
    /// Rules for what goes to instances, in no order that matters: drop before reject before allow.
    pub ingress: Vec<RuleKeys>,
    /// Rules for what comes from instances.
    pub egress: Vec<RuleKeys>,
    /// When it was made.
    pub created: Timestamp,
    /// Grows with every change of the record.
    pub generation: u64,
}

/// What a rule does. The order is that in which rules are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Throws away without a word.
    Drop,
    /// Throws away and says so to the sender.
    Reject,
    /// Lets through, and what answers it.
    Allow,
}

impl Action {
    /// The action called `word`.
    ///
    /// # Errors
    /// `InvalidConfig`; `Unsupported` for `allow-stateless`.
    pub fn parse(word: &str) -> Result<Self, Error> {
        match word {
            "drop" => Ok(Action::Drop),
            "reject" => Ok(Action::Reject),
            "allow" => Ok(Action::Allow),
            "allow-stateless" => Err(Error::new(
                Kind::Unsupported,
                "action allow-stateless: connections are always tracked here; use allow, which lets answers through too",
            )),
            other => Err(bad(format!("action {}: expected allow, drop or reject", quoted(other)))),
        }
    }
}

/// Whom a rule is about, on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Addresses from the first to the last, both of one family.
    Addresses(IpAddr, IpAddr),
    /// Whoever is in the networks that carry this ACL.
    Group(AclName),
    /// Whoever is in the network itself.
    Internal,
    /// Whoever is not.
    External,
}

/// What kind of traffic a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// Any.
    Any,
    /// TCP or UDP, with ports of source and destination; none: all.
    Ports {
        /// `tcp` or `udp`.
        name: &'static str,
        /// Of the sender.
        source: Vec<RangeInclusive<u16>>,
        /// Of the receiver.
        destination: Vec<RangeInclusive<u16>>,
    },
    /// ICMP of IPv4 or IPv6, with type and code; none: all.
    Icmp {
        /// Whether it is ICMPv6.
        v6: bool,
        /// Type.
        kind: Option<u8>,
        /// Code.
        code: Option<u8>,
    },
}

/// A rule as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// Whether it is in force.
    pub enabled: bool,
    /// Whether what it decides about is logged.
    pub logged: bool,
    /// Kind of traffic.
    pub protocol: Protocol,
    /// From whom; none: anybody.
    pub source: Vec<Subject>,
    /// To whom; none: anybody.
    pub destination: Vec<Subject>,
}

fn bad(why: impl fmt::Display) -> Error {
    Error::new(Kind::InvalidConfig, format!("rule: {why}"))
}

impl Acl {
    /// Checks everything that can be checked without looking at other records.
    ///
    /// # Errors
    /// `InvalidConfig` naming direction and number of the rule; `Unsupported`.
    pub fn check(&self) -> Result<(), Error> {
        check_text("description", &self.description)?;
        for (key, value) in &self.config {
            if !key.starts_with("user.") {
                return Err(Error::new(Kind::InvalidConfig, format!("an ACL has no key {}; only user.* keys", quoted(key))));
            }
            check_text(key, value)?;
        }
        for (direction, rules) in [("ingress", &self.ingress), ("egress", &self.egress)] {
            if rules.len() > MAX_RULES {
                return Err(Error::new(Kind::InvalidConfig, format!("more than {MAX_RULES} {direction} rules")));
            }
            for (number, keys) in rules.iter().enumerate() {
                Rule::read(keys).map_err(|e| e.context(format!("{direction} {}", number + 1)))?;
            }
        }
        Ok(())
    }

    /// ACLs that its rules name.
    pub fn groups(&self) -> impl Iterator<Item = AclName> + '_ {
        let rules = self.ingress.iter().chain(&self.egress).filter_map(|keys| Rule::read(keys).ok());
        rules.flat_map(|rule| rule.source.into_iter().chain(rule.destination)).filter_map(|subject| match subject {
            Subject::Group(name) => Some(name),
            _ => None,
        })
    }
}

impl Rule {
    /// What `keys` mean.
    ///
    /// # Errors
    /// `InvalidConfig`, naming the key; `Unsupported` for what only other firewalls can do.
    pub fn read(keys: &RuleKeys) -> Result<Self, Error> {
        for (key, value) in keys {
            if !RULE_KEYS.contains(&key.as_str()) {
                let near = crate::config::nearest(key, RULE_KEYS.iter().copied());
                let near = near.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
                return Err(bad(format!("there is no key {}{near}", quoted(key))));
            }
            check_text(key, value).map_err(|e| e.context("rule"))?;
        }
        let get = |key: &str| keys.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let action = Action::parse(get("action").ok_or_else(|| bad("it has no action"))?)?;
        let (enabled, logged) = match get("state").unwrap_or("enabled") {
            "enabled" => (true, false),
            "logged" => (true, true),
            "disabled" => (false, false),
            other => return Err(bad(format!("state {}: expected enabled, disabled or logged", quoted(other)))),
        };
        let protocol = protocol(&get)?;
        let side = |key: &str| get(key).map_or(Ok(vec![]), |text| subjects(key, text));
        let (source, destination) = (side("source")?, side("destination")?);
        if let Protocol::Icmp { v6, .. } = protocol {
            let fits = |subject: &Subject| !matches!(subject, Subject::Addresses(first, _) if first.is_ipv6() != v6);
            if !source.iter().chain(&destination).all(fits) {
                return Err(bad(format!("its addresses are not of the family of {}", if v6 { "icmp6" } else { "icmp4" })));
            }
        }
        Ok(Rule { action, enabled, logged, protocol, source, destination })
    }
}

fn protocol<'a>(get: &impl Fn(&str) -> Option<&'a str>) -> Result<Protocol, Error> {
    let protocol = match get("protocol") {
        None => Protocol::Any,
        Some(word @ ("tcp" | "udp")) => {
            let side = |key: &str| get(key).map_or(Ok(vec![]), |text| port::ranges(key, text).map_err(|e| e.context("rule")));
            let name = if word == "tcp" { "tcp" } else { "udp" };
            Protocol::Ports { name, source: side("source_port")?, destination: side("destination_port")? }
        }
        Some(word @ ("icmp4" | "icmp6")) => {
            let number = |key: &str| {
                let read = |text: &str| text.parse().map_err(|_| bad(format!("{key} {}: expected 0 to 255", quoted(text))));
                get(key).map(read).transpose()
            };
            Protocol::Icmp { v6: word == "icmp6", kind: number("icmp_type")?, code: number("icmp_code")? }
        }
        Some(other) => return Err(bad(format!("protocol {}: expected tcp, udp, icmp4 or icmp6", quoted(other)))),
    };
    let alien: &[&str] = match protocol {
        Protocol::Any => &["source_port", "destination_port", "icmp_type", "icmp_code"],
        Protocol::Ports { .. } => &["icmp_type", "icmp_code"],
        Protocol::Icmp { .. } => &["source_port", "destination_port"],
    };
    if let Some(key) = alien.iter().find(|key| get(key).is_some()) {
        return Err(bad(format!(
            "{key} needs {}",
            if key.starts_with("icmp") { "protocol icmp4 or icmp6" } else { "protocol tcp or udp" }
        )));
    }
    match protocol {
        Protocol::Icmp { kind: None, code: Some(_), .. } => Err(bad("icmp_code needs icmp_type")),
        fine => Ok(fine),
    }
}

fn items<'a>(key: &str, text: &'a str) -> Result<Vec<&'a str>, Error> {
    port::items(key, text).map_err(|e| e.context("rule"))
}

fn subjects(key: &str, text: &str) -> Result<Vec<Subject>, Error> {
    let read = |item: &str| match item {
        "@internal" => Ok(Subject::Internal),
        "@external" => Ok(Subject::External),
        _ => match addresses(item) {
            Some((first, last)) => Ok(Subject::Addresses(first, last)),
            None => item.parse().map(Subject::Group).map_err(|_| {
                bad(format!("{key} {}: expected an address, a network, FIRST-LAST, an ACL, @internal or @external", quoted(item)))
            }),
        },
    };
    items(key, text)?.into_iter().map(read).collect()
}

/// First and last address of `10.0.0.1`, `10.0.0.0/8` or `10.0.0.1-10.0.0.9`.
fn addresses(item: &str) -> Option<(IpAddr, IpAddr)> {
    if let Some((first, last)) = item.split_once('-') {
        let (first, last): (IpAddr, IpAddr) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        return (first.is_ipv4() == last.is_ipv4() && first <= last).then_some((first, last));
    }
    let network: IpNet = item.parse().or_else(|_| item.parse().map(IpAddr::into)).ok()?;
    Some((network.network(), network.broadcast()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn read(keys: &[(&str, &str)]) -> Result<Rule, Error> {
        Rule::read(&keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_rule_means_what_it_says() {
        let rule = read(&[
            ("action", "allow"),
            ("protocol", "tcp"),
            ("source", "0.0.0.0/0, @internal,web"),
            ("destination", "10.1.2.3/8,fd00::1-fd00::9"),
            ("destination_port", "80,8000-8100"),
            ("state", "logged"),
        ])
        .unwrap();
        let v4 = |a, b| Subject::Addresses(IpAddr::V4(a), IpAddr::V4(b));
        assert!(rule.enabled && rule.logged);
        assert_eq!(
            rule.source,
            [v4(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST), Subject::Internal, Subject::Group("web".parse().unwrap())]
        );
        assert_eq!(rule.destination[0], v4(Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(10, 255, 255, 255)));
        assert!(matches!(rule.destination[1], Subject::Addresses(IpAddr::V6(_), _)));
        let Protocol::Ports { name: "tcp", source, destination } = rule.protocol else { panic!() };
        assert_eq!((source, destination), (vec![], vec![80..=80, 8000..=8100]));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let long = "1,".repeat(200);
        let cases: &[&[(&str, &str)]] = &[
            &[],
            &[("action", "permit")],
            &[("action", "allow"), ("ports", "80")],
            &[("action", "allow"), ("destination_port", "80")],
            &[("action", "allow"), ("protocol", "tcp"), ("destination_port", "0")],
            &[("action", "allow"), ("protocol", "tcp"), ("destination_port", "65536")],
            &[("action", "allow"), ("protocol", "tcp"), ("destination_port", "9-8")],
            &[("action", "allow"), ("protocol", "tcp"), ("destination_port", &long)],
            &[("action", "allow"), ("protocol", "udp"), ("icmp_type", "8")],
            &[("action", "allow"), ("protocol", "icmp4"), ("icmp_type", "256")],
            &[("action", "allow"), ("protocol", "icmp4"), ("icmp_code", "0")],
            &[("action", "allow"), ("protocol", "icmp4"), ("source", "fd00::/8")],
            &[("action", "allow"), ("source", "10.0.0.0/33")],
            &[("action", "allow"), ("source", "fd00::/129")],
            &[("action", "allow"), ("source", "10.0.0.9-10.0.0.1")],
            &[("action", "allow"), ("source", "10.0.0.1-fd00::1")],
            &[("action", "allow"), ("source", "1.2.3.4\"; drop")],
            &[("action", "allow"), ("state", "perhaps")],
            &[("action", "allow"), ("description", "a\0b")],
        ];
        for keys in cases {
            assert_eq!(read(keys).expect_err(&format!("{keys:?}")).kind, Kind::InvalidConfig, "{keys:?}");
        }
        assert_eq!(read(&[("action", "allow-stateless")]).unwrap_err().kind, Kind::Unsupported);
    }

    #[test]
    fn whole_networks_begin_and_end_where_they_should() {
        let all = |text: &str| addresses(text).map(|(a, b)| (a.to_string(), b.to_string()));
        assert_eq!(all("1.2.3.4/32"), Some(("1.2.3.4".into(), "1.2.3.4".into())));
        assert_eq!(all("1.2.3.4/0"), Some(("0.0.0.0".into(), "255.255.255.255".into())));
        assert_eq!(all("fd00::1/128"), Some(("fd00::1".into(), "fd00::1".into())));
        assert_eq!(all("::/0").unwrap().0, "::");
    }
}
