//! What the host's packet filter does with a packet: its rules as nft lists them (libnftables-json(5)), followed as the
//! kernel would. Pure. What is not understood may match or not, and then the answer is a guess that says so.

use ipnet::IpNet;
use lxhost_model::{Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Chains within chains that are followed, and rules in all.
const DEPTH: usize = 16;
const STEPS: usize = 200_000;

/// A packet, as rules see it.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    /// Link it comes by; what the bridge family sees of it.
    pub(super) input: String,
    pub(super) port: String,
    /// Link it leaves by, if it passes through.
    pub(super) output: Option<String>,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// `udp` or `tcp`.
    pub(super) protocol: &'static str,
    pub(super) ports: (u16, u16),
    /// `new` or `established`.
    pub(super) state: &'static str,
}

impl Packet {
    /// What kind of address it goes to, as the host's routes say.
    fn goes_to(&self) -> &'static str {
        match self.destination {
            IpAddr::V4(to) if to.is_broadcast() => "broadcast",
            to if to.is_multicast() => "multicast",
            _ if self.output.is_none() => "local",
            _ => "unicast",
        }
    }
}

/// Where a packet ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Eaten {
    /// Family, table and chain.
    pub(super) chain: String,
    /// Number of the rule; none when it is the chain's policy.
    pub(super) rule: Option<u64>,
    /// Whether everything on the way was understood.
    pub(super) certain: bool,
}

/// Whether something matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Yes,
    No,
    Maybe,
}

impl Is {
    fn of(yes: bool) -> Is {
        if yes { Is::Yes } else { Is::No }
    }

    fn not(self) -> Is {
        match self {
            Is::Yes => Is::No,
            Is::No => Is::Yes,
            Is::Maybe => Is::Maybe,
        }
    }

    fn any(all: impl Iterator<Item = Is>) -> Is {
        all.fold(Is::No, |found, next| match (found, next) {
            (Is::Yes, _) | (_, Is::Yes) => Is::Yes,
            (Is::No, Is::No) => Is::No,
            _ => Is::Maybe,
        })
    }
}

#[derive(Debug, Default)]
struct Chain {
    hook: Option<(String, i64)>,
    drops: bool,
    rules: Vec<(u64, Vec<Value>)>,
}

/// Family, table, name.
type Key = (String, String, String);

/// All rules of a host.
#[derive(Debug, Default)]
pub(super) struct Ruleset {
    chains: BTreeMap<Key, Chain>,
    sets: BTreeMap<Key, Vec<Value>>,
}

fn key(object: &Value, name: &str) -> Key {
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    (text("family"), text("table"), text(name))
}

impl Ruleset {
    /// The rules in what `nft -j list ruleset` says.
    pub(super) fn read(listing: &str) -> Result<Self> {
        let listing: Value = serde_json::from_str(listing).map_err(|e| Error::failed(format!("read what nft lists: {e}")))?;
        let mut rules = Ruleset::default();
        for object in listing["nftables"].as_array().map(Vec::as_slice).unwrap_or_default() {
            if let Some(chain) = object.get("chain") {
                let made = rules.chains.entry(key(chain, "name")).or_default();
                made.hook = chain["hook"].as_str().map(|hook| (hook.to_owned(), chain["prio"].as_i64().unwrap_or_default()));
                made.drops = chain["policy"] == "drop";
            } else if let Some(rule) = object.get("rule") {
                let words = rule["expr"].as_array().cloned().unwrap_or_default();
                let handle = rule["handle"].as_u64().unwrap_or_default();
                rules.chains.entry(key(rule, "chain")).or_default().rules.push((handle, words));
            } else if let Some(set) = object.get("set").or_else(|| object.get("map")) {
                rules.sets.insert(key(set, "name"), set["elem"].as_array().cloned().unwrap_or_default());
            }
        }
        Ok(rules)
    }

    /// Whether a table has a chain of that name.
    pub(super) fn has_chain(&self, name: &str) -> bool {
        self.chains.keys().any(|key| key.2 == name)
    }

    /// Whether there is that table, with a rule about that link.
    pub(super) fn speaks_of(&self, family: &str, table: &str, link: &str) -> bool {
        let of = self.chains.iter().filter(|(key, _)| key.0 == family && key.1 == table);
        let quoted = format!("\"{link}\"");
        of.flat_map(|(_, chain)| &chain.rules).flat_map(|(_, words)| words).any(|word| word.to_string().contains(&quoted))
    }

    /// Where the packet ends on its way through these hooks; `None` when it passes.
    pub(super) fn fate(&self, packet: &Packet, hooks: &[&str]) -> Option<Eaten> {
        let mut guess = None;
        for hook in hooks {
            for bridge in [true, false] {
                let at = |chain: &Chain| chain.hook.as_ref().is_some_and(|(at, _)| at == hook);
                let family = |family: &str| match family {
                    "bridge" => bridge,
                    "ip" => !bridge && packet.source.is_ipv4(),
                    "ip6" => !bridge && packet.source.is_ipv6(),
                    family => !bridge && family == "inet",
                };
                let mut on_way: Vec<_> = self.chains.iter().filter(|(key, chain)| family(&key.0) && at(chain)).collect();
                on_way.sort_by_key(|(_, chain)| chain.hook.as_ref().map(|(_, priority)| *priority));
                for (key, _) in on_way {
                    let mut walk = Walk { rules: self, packet, perhaps: false, suspect: None, steps: 0 };
                    let eaten = match walk.chain(key, true, 0) {
                        Flow::Eaten(eaten) => Some(Eaten { certain: !walk.perhaps, ..eaten }),
                        Flow::Accepted | Flow::Goes => walk.suspect,
                    };
                    match eaten {
                        Some(eaten) if eaten.certain => return Some(eaten),
                        eaten => guess = guess.or(eaten),
                    }
                }
            }
        }
        guess
    }
}

enum Flow {
    Accepted,
    Goes,
    Eaten(Eaten),
}

struct Walk<'a> {
    rules: &'a Ruleset,
    packet: &'a Packet,
    /// Something that was not understood may have accepted it.
    perhaps: bool,
    /// Something that was not understood may have ended it.
    suspect: Option<Eaten>,
    steps: usize,
}

impl Walk<'_> {
    fn chain(&mut self, key: &Key, sure: bool, depth: usize) -> Flow {
        let Some(chain) = self.rules.chains.get(key).filter(|_| depth < DEPTH) else { return Flow::Goes };
        let named = format!("{} {} {}", key.0, key.1, key.2);
        // Whether it comes as far as a rule.
        let mut comes = sure;
        for (handle, words) in &chain.rules {
            self.steps += 1;
            if self.steps > STEPS {
                self.perhaps = true;
                return Flow::Accepted;
            }
            let mut sure = comes;
            for word in words {
                let Some((name, value)) = word.as_object().and_then(|word| word.iter().next()) else { continue };
                let target = || (key.0.clone(), key.1.clone(), value["target"].as_str().unwrap_or_default().to_owned());
                let flow = match name.as_str() {
                    "match" => match self.matches(key, value) {
                        Is::Yes => continue,
                        Is::No => break,
                        Is::Maybe => {
                            sure = false;
                            continue;
                        }
                    },
                    "limit" | "xt" | "quota" | "ct count" | "flow" => {
                        sure = false;
                        continue;
                    }
                    "vmap" => match self.mapped(key, value) {
                        Ok(Some(target)) => self.chain(&target, sure, depth + 1),
                        Ok(None) => continue,
                        Err(()) => {
                            self.perhaps = true;
                            continue;
                        }
                    },
                    "accept" | "queue" => Flow::Accepted,
                    "drop" | "reject" => Flow::Eaten(Eaten { chain: named.clone(), rule: Some(*handle), certain: true }),
                    "jump" | "goto" => self.chain(&target(), sure, depth + 1),
                    "return" if sure => return Flow::Goes,
                    "return" => {
                        comes = false;
                        break;
                    }
                    _ => continue,
                };
                match flow {
                    Flow::Goes if name == "goto" && sure => return Flow::Goes,
                    Flow::Goes => {}
                    flow if sure => return flow,
                    Flow::Accepted => self.perhaps = true,
                    Flow::Eaten(eaten) => {
                        self.suspect.get_or_insert(Eaten { certain: false, ..eaten });
                    }
                }
                break;
            }
        }
        match chain.drops {
            true => Flow::Eaten(Eaten { chain: named, rule: None, certain: true }),
            false => Flow::Goes,
        }
    }

    fn matches(&self, key: &Key, rule: &Value) -> Is {
        let Some(fact) = self.fact(key, &rule["left"]) else { return Is::Maybe };
        // What is of another protocol matches neither way.
        let Some(fact) = fact else { return Is::No };
        match rule["op"].as_str().unwrap_or_default() {
            "==" | "in" => self.covers(key, &rule["right"], &fact),
            "!=" => self.covers(key, &rule["right"], &fact).not(),
            _ => Is::Maybe,
        }
    }

    /// What the packet has there: nothing known, nothing at all, or a word.
    fn fact(&self, key: &Key, left: &Value) -> Option<Option<String>> {
        let packet = self.packet;
        if let Some(meta) = left["meta"]["key"].as_str() {
            let bridge = key.0 == "bridge";
            return match meta {
                "iifname" | "iif" if bridge => Some(Some(packet.port.clone())),
                "iifname" | "iif" | "ibrname" => Some(Some(packet.input.clone())),
                "oifname" | "oif" => Some(Some(packet.output.clone().unwrap_or_default())),
                "nfproto" => Some(Some(if packet.source.is_ipv4() { "ipv4" } else { "ipv6" }.to_owned())),
                "protocol" => Some(Some(if packet.source.is_ipv4() { "ip" } else { "ip6" }.to_owned())),
                "l4proto" => Some(Some(packet.protocol.to_owned())),
                _ => None,
            };
        }
        // Where answers would go: back where it came from.
        if left["fib"]["result"] == "oif" {
            return Some(Some(packet.input.clone()));
        }
        if left["fib"]["result"] == "type" && left["fib"]["flags"] == serde_json::json!(["daddr"]) {
            return Some(Some(packet.goes_to().to_owned()));
        }
        match left["ct"]["key"].as_str() {
            Some("state") => return Some(Some(packet.state.to_owned())),
            // Neither translated nor expected.
            Some("status") => return Some(Some(String::new())),
            _ => {}
        }
        let (protocol, field) = (left["payload"]["protocol"].as_str()?, left["payload"]["field"].as_str()?);
        let ip = if packet.source.is_ipv4() { "ip" } else { "ip6" };
        Some(match (protocol, field) {
            ("ip" | "ip6", _) if protocol != ip => None,
            ("ip" | "ip6", "saddr") => Some(packet.source.to_string()),
            ("ip" | "ip6", "daddr") => Some(packet.destination.to_string()),
            ("ip", "protocol") | ("ip6", "nexthdr") => Some(packet.protocol.to_owned()),
            ("tcp" | "udp", _) if protocol != packet.protocol => None,
            ("tcp" | "udp" | "th", "sport") => Some(packet.ports.0.to_string()),
            ("tcp" | "udp" | "th", "dport") => Some(packet.ports.1.to_string()),
            ("icmp" | "icmpv6" | "sctp" | "dccp" | "esp" | "ah" | "arp" | "vlan", _) => None,
            ("ether", "type") => Some(ip.to_owned()),
            _ => return Option::None,
        })
    }

    fn covers(&self, key: &Key, right: &Value, fact: &str) -> Is {
        match right {
            Value::String(text) => match (text.strip_prefix('@'), text.strip_suffix('*')) {
                (Some(set), _) => match self.rules.sets.get(&(key.0.clone(), key.1.clone(), set.to_owned())) {
                    Some(elements) => Is::any(elements.iter().map(|element| self.covers(key, element, fact))),
                    None => Is::Maybe,
                },
                (_, Some(begin)) => Is::of(fact.starts_with(begin)),
                _ => Is::of(text == fact),
            },
            Value::Bool(is) => Is::of(*is),
            Value::Number(number) => Is::of(number.to_string() == numbered(fact)),
            Value::Array(all) => Is::any(all.iter().map(|one| self.covers(key, one, fact))),
            Value::Object(object) => match object.iter().next() {
                Some((kind, Value::Array(all))) if kind == "set" => Is::any(all.iter().map(|one| self.covers(key, one, fact))),
                Some((kind, Value::Array(ends))) if kind == "range" => within(ends, fact),
                Some((kind, inner)) if kind == "elem" => self.covers(key, &inner["val"], fact),
                Some((kind, inner)) if kind == "prefix" => prefix(inner, fact),
                _ => Is::Maybe,
            },
            _ => Is::Maybe,
        }
    }

    /// The chain that a map leads to; an error when that is not known.
    fn mapped(&self, key: &Key, map: &Value) -> std::result::Result<Option<Key>, ()> {
        let fact = self.fact(key, &map["key"]).ok_or(())?;
        let Some(fact) = fact else { return Ok(None) };
        let named = map["data"].as_str().and_then(|name| name.strip_prefix('@'));
        let elements = match named {
            Some(name) => self.rules.sets.get(&(key.0.clone(), key.1.clone(), name.to_owned())).map(Vec::as_slice),
            None => map["data"]["set"].as_array().map(Vec::as_slice),
        };
        for pair in elements.ok_or(())?.iter().filter_map(Value::as_array).filter(|pair| pair.len() == 2) {
            match self.covers(key, &pair[0], &fact) {
                Is::No => {}
                Is::Maybe => return Err(()),
                Is::Yes => {
                    let target = pair[1]["jump"]["target"].as_str().or_else(|| pair[1]["goto"]["target"].as_str()).ok_or(())?;
                    return Ok(Some((key.0.clone(), key.1.clone(), target.to_owned())));
                }
            }
        }
        Ok(None)
    }
}

/// A protocol as a number; anything else as it is.
fn numbered(fact: &str) -> &str {
    match fact {
        "tcp" => "6",
        "udp" => "17",
        other => other,
    }
}

fn within(ends: &[Value], fact: &str) -> Is {
    let text = |end: Option<&Value>| end.map(|end| end.to_string().trim_matches('"').to_owned()).unwrap_or_default();
    let (first, last) = (text(ends.first()), text(ends.get(1)));
    if let (Ok(first), Ok(last), Ok(fact)) = (first.parse::<u64>(), last.parse::<u64>(), fact.parse::<u64>()) {
        return Is::of((first..=last).contains(&fact));
    }
    match (first.parse::<IpAddr>(), last.parse::<IpAddr>(), fact.parse::<IpAddr>()) {
        (Ok(first), Ok(last), Ok(fact)) => Is::of(first <= fact && fact <= last),
        _ => Is::Maybe,
    }
}

fn prefix(net: &Value, fact: &str) -> Is {
    let text = format!("{}/{}", net["addr"].as_str().unwrap_or_default(), net["len"]);
    match (text.parse::<IpNet>(), fact.parse::<IpAddr>()) {
        (Ok(net), Ok(fact)) => Is::of(net.contains(&fact)),
        _ => Is::Maybe,
    }
}
