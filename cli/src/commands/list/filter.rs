//! Filters of `list`: names and KEY=VALUE.

use super::item::{Item, Needs};
use crate::failure::Failure;
use crate::values::{list, text};
use lxhost_dbus::wire::InstanceRow;
use lxhost_model::name::quoted;
use subnet::contains;

/// What is listed: any of the names, and all of the pairs.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    names: Vec<String>,
    pairs: Vec<(Key, String)>,
}

/// What a pair looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Name,
    Status,
    Type,
    Project,
    Address,
    Architecture,
    Pool,
    Profile,
    Description,
    Config(String),
}

impl Filter {
    /// Parses the words of the command line.
    pub(crate) fn parse(words: &[String]) -> Result<Self, Failure> {
        let mut filter = Filter::default();
        for word in words {
            match word.split_once('=') {
                Some((key, value)) => filter.pairs.push((key_of(key)?, value.to_owned())),
                None if word.contains(':') => {
                    let remote = word.split(':').next().unwrap_or_default();
                    let name = crate::reference::local(word).map_err(|_| crate::reference::no_remote(remote))?;
                    filter.names.push(pattern(name));
                }
                None => filter.names.push(pattern(word)),
            }
        }
        Ok(filter)
    }

    /// What it needs beside the row.
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for (key, _) in &self.pairs {
            match key {
                Key::Name | Key::Status | Key::Type | Key::Project | Key::Address => (),
                Key::Architecture | Key::Pool | Key::Profile | Key::Description => needs.properties = true,
                Key::Config(_) => needs.config = true,
            }
        }
        needs
    }

    /// Whether the row alone does not rule the instance out.
    pub(crate) fn takes_row(&self, row: &InstanceRow) -> bool {
        let named = self.names.is_empty() || self.names.iter().any(|pattern| glob(pattern, &row.name));
        named
            && self.pairs.iter().all(|(key, value)| match key {
                Key::Name => any(value, &row.name),
                Key::Status => any(&value.to_lowercase(), &row.state),
                Key::Type => any(&value.to_lowercase().replace("virtual-machine", "vm"), &row.kind),
                Key::Project => any(value, &row.project),
                Key::Address => row.addresses.iter().any(|a| contains(value, a.split('@').next().unwrap_or_default())),
                _ => true,
            })
    }

    /// Whether everything known takes the instance in.
    pub(crate) fn takes(&self, item: &Item) -> bool {
        self.pairs.iter().all(|(key, value)| match key {
            Key::Architecture => any(value, &text(&item.properties, "Architecture")),
            Key::Pool => any(value, &text(&item.properties, "Pool")),
            Key::Description => any(value, &text(&item.properties, "Description")),
            Key::Profile => list(&item.properties, "Profiles").iter().any(|profile| any(value, profile)),
            Key::Config(key) => item.config.get(key).is_some_and(|known| any(value, known)),
            _ => true,
        })
    }
}

fn key_of(word: &str) -> Result<Key, Failure> {
    Ok(match word {
        "name" => Key::Name,
        "status" | "state" => Key::Status,
        "type" => Key::Type,
        "project" => Key::Project,
        "ipv4" | "ipv6" | "address" => Key::Address,
        "architecture" | "arch" => Key::Architecture,
        "pool" | "storage" => Key::Pool,
        "profile" | "profiles" => Key::Profile,
        "description" => Key::Description,
        key if key.contains('.') => Key::Config(key.trim_start_matches("config.").to_owned()),
        other => {
            let known = ["name", "status", "type", "project", "ipv4", "ipv6", "architecture", "pool", "profile", "description"];
            let failure =
                Failure::usage(format!("no filter {}: there are {} and configuration keys", quoted(other), known.join(", ")));
            return Err(match lxhost_model::config::nearest(other, known) {
                Some(near) => failure.hint(format!("did you mean {near}=…?")),
                None => failure,
            });
        }
    })
}

/// A bare word is the start of a name.
fn pattern(word: &str) -> String {
    if word.contains(['*', '?']) { word.to_owned() } else { format!("{word}*") }
}

/// Whether one of the comma-separated patterns matches.
fn any(patterns: &str, text: &str) -> bool {
    patterns.split(',').any(|pattern| glob(pattern, text))
}

/// `*` and `?` as in a shell; in time proportional to the product of the lengths.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Addresses and networks.
mod subnet {
    use std::net::IpAddr;

    /// Whether `address` is in the comma-separated networks or addresses of `filter`.
    pub(super) fn contains(filter: &str, address: &str) -> bool {
        let Ok(address) = address.parse::<IpAddr>() else { return false };
        filter.split(',').any(|part| within(part, address))
    }

    fn within(network: &str, address: IpAddr) -> bool {
        let (base, length) = network.split_once('/').unwrap_or((network, ""));
        let Ok(base) = base.parse::<IpAddr>() else { return false };
        let (base, address, bits) = match (base, address) {
            (IpAddr::V4(b), IpAddr::V4(a)) => (u128::from(u32::from(b)), u128::from(u32::from(a)), 32),
            (IpAddr::V6(b), IpAddr::V6(a)) => (u128::from(b), u128::from(a), 128),
            _ => return false,
        };
        let length = if length.is_empty() { bits } else { length.parse().unwrap_or(u32::MAX) };
        length <= bits && (length == 0 || base >> (bits - length) == address >> (bits - length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lxhost_dbus::Config;
    use lxhost_dbus::wire::Values;

    fn row(name: &str, state: &str, addresses: &[&str]) -> InstanceRow {
        InstanceRow {
            path: zbus::wire::OwnedObjectPath::try_from("/org/lxhost1/instance/x").unwrap(),
            project: "default".into(),
            name: name.into(),
            kind: "container".into(),
            state: state.into(),
            state_usec: 0,
            generation: 1,
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
        }
    }

    fn filter(words: &[&str]) -> Filter {
        Filter::parse(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_word_is_the_start_of_a_name_and_a_glob_all_of_it() {
        let web1 = row("web1", "running", &[]);
        assert!(filter(&["web"]).takes_row(&web1));
        assert!(filter(&["db", "web"]).takes_row(&web1));
        assert!(!filter(&["eb"]).takes_row(&web1));
        assert!(filter(&["*b1"]).takes_row(&web1));
        assert!(!filter(&["?eb"]).takes_row(&web1));
        assert!(filter(&[]).takes_row(&web1));
        assert!(!glob("*a*a*a*a*a*a*a*b", &"a".repeat(5000)));
    }

    #[test]
    fn pairs_all_have_to_match() {
        let web = row("web", "running", &["10.0.3.7@eth0", "fd00::7@eth0"]);
        assert!(filter(&["status=Running", "type=container"]).takes_row(&web));
        assert!(filter(&["status=stopped,running"]).takes_row(&web));
        assert!(!filter(&["status=running", "type=virtual-machine"]).takes_row(&web));
        assert!(filter(&["ipv4=10.0.3.0/24"]).takes_row(&web));
        assert!(filter(&["ipv6=fd00::/8"]).takes_row(&web));
        assert!(!filter(&["ipv4=10.0.4.0/24"]).takes_row(&web));
        assert!(!filter(&["ipv4=10.0.3.0/99"]).takes_row(&web));
    }

    #[test]
    fn configuration_keys_are_looked_up() {
        let config = Config::from([("user.team".to_owned(), "red".to_owned())]);
        let item = Item { row: row("c", "running", &[]), properties: Values::new(), state: Values::new(), config };
        assert!(filter(&["user.team=red"]).takes(&item));
        assert!(filter(&["config.user.team=r*"]).takes(&item));
        assert!(!filter(&["user.team=blue"]).takes(&item));
        assert!(filter(&["user.team=red"]).needs().config);
    }

    #[test]
    fn an_unknown_filter_is_answered_with_the_nearest() {
        let failure = Filter::parse(&["stauts=running".to_owned()]).unwrap_err();
        assert!(failure.hint.unwrap().contains("status="));
        assert_eq!(Filter::parse(&["serveur2:".to_owned()]).unwrap_err().code, 8);
    }
}
