//! What guests may not pretend to be: a chain for each port in the table `bridge lxhost`, found by the port's name in
//! one map. A port that comes or goes costs one transaction, whatever the number of others. What each port was given
//! is kept in a file of /run/lxhost/guards, so that the table can be written anew after somebody has flushed it.

use super::bridge::entry::slaac;
use super::bridge::serve::{make_dir, read_small, remove_file, write_file};
use super::firewall;
use ipnet::IpNet;
use lxhost_model::{Error, Kind, Result};
use lxhost_netlink::{LinkName, Mac};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// Most bytes of one file.
const MOST: u64 = 64 * 1024;
/// The table and its one way in. It may be there, or flushed, or not there: afterwards it is.
const TABLE: &str = "\
add table bridge lxhost
add map bridge lxhost ports { type ifname : verdict; }
add chain bridge lxhost prerouting { type filter hook prerouting priority -300; policy accept; }
flush chain bridge lxhost prerouting
add rule bridge lxhost prerouting iifname vmap @ports
";
/// Naming the table first makes the deletion valid when there is none.
const NO_TABLE: &str = "table bridge lxhost\ndelete table bridge lxhost\n";

/// What a guest may send by its port.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Guard {
    /// The host's end of its pair.
    pub(crate) port: String,
    /// Its hardware address, the only one that it may have.
    pub(crate) mac: Option<String>,
    /// VLANs whose tags its frames may carry, in order.
    #[serde(default)]
    pub(crate) vlans: Vec<u16>,
    /// Senders of IPv4.
    pub(crate) ipv4: Senders,
    /// Senders of IPv6.
    pub(crate) ipv6: Senders,
}

/// Senders of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Senders {
    /// Nobody asks.
    #[default]
    Any,
    /// Those alone.
    Only(Vec<IpNet>),
    /// All but those, which are the host's.
    But(Vec<IpAddr>),
}

impl Guard {
    /// Whether it keeps the guest from anything.
    pub(crate) fn is_open(&self) -> bool {
        self.mac.is_none() && self.ipv4 == Senders::Any && self.ipv6 == Senders::Any
    }

    /// The transaction that puts it up, whether it is there or not.
    fn render(&self) -> Result<String> {
        let port: LinkName = self.port.parse().map_err(malformed)?;
        let mac = self.mac.as_deref().map(str::parse::<Mac>).transpose().map_err(malformed)?;
        // The name of a port could be a word of nft's.
        let chain = format!("bridge lxhost port-{port}");
        let mut text = format!("add chain {chain}\nflush chain {chain}\n");
        let rules = station(mac, &self.vlans).into_iter().chain(ipv4(&self.ipv4, mac)).chain(ipv6(&self.ipv6, mac));
        for rule in rules {
            let _ = writeln!(text, "add rule {chain} {rule}");
        }
        let _ = writeln!(text, "add element bridge lxhost ports {{ \"{port}\" : jump port-{port} }}");
        Ok(text)
    }
}

fn malformed(error: lxhost_netlink::Error) -> Error {
    Error::new(Kind::InvalidConfig, error.to_string())
}

fn station(mac: Option<Mac>, vlans: &[u16]) -> Vec<String> {
    let Some(mac) = mac else { return vec![] };
    let mut rules = vec![format!("ether saddr != {mac} drop"), format!("arp saddr ether != {mac} drop")];
    // What a tag hides is not looked at below. The tag of a VLAN that is not asked for could hide what is.
    if !vlans.is_empty() {
        rules.extend(["8021q", "8021ad"].map(|kind| format!("ether type {kind} vlan id {} accept", set(in_a_row(vlans)))));
    }
    rules.push("ether type { 8021q, 8021ad } drop".to_owned());
    rules
}

/// Numbers in their order, those in a row as one range.
fn in_a_row(numbers: &[u16]) -> Vec<String> {
    let mut rows: Vec<(u16, u16)> = Vec::new();
    for number in numbers {
        match rows.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => rows.push((*number, *number)),
        }
    }
    rows.iter().map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") }).collect()
}

fn set<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("{{ {} }}", items.join(", "))
}

/// A net as nft likes it: an address where it is one.
fn short(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.trunc().to_string() }
}

fn ipv4(senders: &Senders, mac: Option<Mac>) -> Vec<String> {
    // Clients look at their own port only.
    let answers = ["sport 67", "dport 68"].map(|port| format!("ip protocol udp udp {port} drop")).into_iter();
    match senders {
        // A DHCP server is no guest of ours that is kept from anything else.
        Senders::Any => mac.map(|_| answers).into_iter().flatten().collect(),
        Senders::But(hosts) if hosts.is_empty() => answers.collect(),
        Senders::But(hosts) => {
            let hosts = set(hosts);
            [format!("arp saddr ip {hosts} drop"), format!("ip saddr {hosts} drop")].into_iter().chain(answers).collect()
        }
        Senders::Only(nets) => {
            let arp = set(std::iter::once("0.0.0.0".to_owned()).chain(nets.iter().map(short)));
            let asks = "ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp dport 67 accept".to_owned();
            let others = match nets.as_slice() {
                [] => "ether type ip drop".to_owned(),
                nets => format!("ip saddr != {} drop", set(nets.iter().map(short))),
            };
            [format!("arp saddr ip != {arp} drop"), asks, others].into_iter().chain(answers).collect()
        }
    }
}

fn ipv6(senders: &Senders, mac: Option<Mac>) -> Vec<String> {
    if *senders == Senders::Any {
        return vec![];
    }
    // What is looked at is found behind headers of options as well, which `ip6 nexthdr` is not.
    let mut rules = vec!["icmpv6 type { nd-router-advert, nd-redirect } drop".to_owned()];
    rules.extend(["sport 547", "dport 546"].map(|port| format!("ether type ip6 udp {port} drop")));
    match senders {
        Senders::Any => {}
        Senders::But(hosts) => {
            if !hosts.is_empty() {
                rules.push(format!("ip6 saddr {} drop", set(hosts)));
            }
            rules.extend(hosts.iter().filter_map(|host| target(&IpNet::from(*host))).map(|target| format!("{target} drop")));
            rules.extend(mac.map(|mac| stations(hosts, mac)).into_iter().flatten());
        }
        Senders::Only(nets) => {
            // Whether an address is free is asked without one.
            let asks = "ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld2-listener-report } accept";
            rules.push(asks.to_owned());
            rules.push(match nets.as_slice() {
                [] => "ether type ip6 drop".to_owned(),
                nets => format!("ip6 saddr != {} drop", set(nets.iter().map(short))),
            });
            rules.extend(nets.iter().filter_map(target).map(|target| format!("{target} accept")));
            rules.push("icmpv6 type nd-neighbor-advert drop".to_owned());
        }
    }
    rules
}

/// Addresses that others have made of their hardware addresses (RFC 4291, appendix A) are theirs: on the link of `hosts`, as
/// senders, as what is advertised, and as what somebody without an address asks for.
fn stations(hosts: &[IpAddr], mac: Mac) -> Vec<String> {
    let own = u64::from_be_bytes(slaac(Ipv6Addr::UNSPECIFIED, mac).octets()[8..].try_into().unwrap_or_default());
    let theirs = |header: &str| format!("@{header},152,16 0xfffe @{header},128,64 != {own:#018x} drop");
    let links = hosts.iter().filter_map(|host| IpNet::new(*host, 64).ok()).map(|net| net.trunc());
    let mut rules: Vec<String> = links.map(|net| format!("ip6 saddr {net} {}", theirs("nh"))).collect();
    rules.push(format!("icmpv6 type nd-neighbor-advert {}", theirs("th")));
    rules.push(format!("ip6 saddr :: icmpv6 type nd-neighbor-solicit {}", theirs("th")));
    rules
}

/// Matches who says that an address of `net` is his. nft has a name for the target since 1.0.8; its place is the same.
fn target(net: &IpNet) -> Option<String> {
    let IpNet::V6(net) = net else { return None };
    let bytes = usize::from(net.prefix_len() / 8);
    let digits = hex::encode(net.network().octets().get(..bytes)?);
    (bytes > 0).then(|| format!("icmpv6 type nd-neighbor-advert @th,64,{} 0x{digits}", bytes * 8))
}

/// All guards of this host.
pub(crate) struct Guards {
    dir: PathBuf,
}

impl Guards {
    /// Those kept below `run_dir`.
    pub(crate) fn new(run_dir: &Path) -> Self {
        Guards { dir: run_dir.join("guards") }
    }

    /// Puts a guard up under that name, in place of the one it has. An open one is none.
    ///
    /// # Errors
    /// `Failed`, with what nft said.
    pub(crate) async fn put(&self, name: &str, guard: &Guard) -> Result<()> {
        if guard.is_open() {
            return self.remove(name).await;
        }
        let transaction = guard.render()?;
        let text = serde_json::to_string(guard).map_err(|e| Error::failed(e.to_string()))?;
        make_dir(&self.dir)?;
        let path = self.dir.join(name);
        if let Some(old) = read(&path)?.filter(|old| old.port != guard.port) {
            self.take_down(&old).await;
        }
        write_file(&path, &text)?;
        firewall::apply(&format!("{TABLE}{transaction}")).await
    }

    /// Takes the guard of that name down.
    ///
    /// # Errors
    /// `Failed` when its file stays.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        let path = self.dir.join(name);
        if let Some(guard) = read(&path)? {
            self.take_down(&guard).await;
        }
        remove_file(&path).map(drop)
    }

    /// A chain that stays harms nobody: its port is gone, and the next of that name flushes it.
    async fn take_down(&self, guard: &Guard) {
        let Ok(port) = guard.port.parse::<LinkName>() else { return };
        let chain = format!("bridge lxhost port-{port}");
        let text = format!("delete element bridge lxhost ports {{ \"{port}\" }}\nflush chain {chain}\ndelete chain {chain}\n");
        if let Err(error) = firewall::apply(&text).await {
            tracing::debug!(%port, %error, "a guard was not there");
        }
    }

    /// Writes the table anew from what was kept. One that nobody needs stays as it is between two guests, empty.
    ///
    /// # Errors
    /// `Failed`, with what nft said.
    pub(crate) async fn restore(&self) -> Result<()> {
        let mut guards = self.kept()?;
        if guards.is_empty() && !firewall::has_table("bridge", firewall::TABLE).await? {
            return Ok(());
        }
        loop {
            firewall::apply(&render(guards.values())?).await?;
            // Those that came meanwhile would be written over.
            let now = self.kept()?;
            if now == guards {
                return Ok(());
            }
            guards = now;
        }
    }

    fn kept(&self) -> Result<BTreeMap<PathBuf, Guard>> {
        let listing = match std::fs::read_dir(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            other => other.map_err(|e| Error::io(format!("read {}", self.dir.display()), &e))?,
        };
        let mut kept = BTreeMap::new();
        for path in listing.flatten().map(|file| file.path()) {
            if let Some(guard) = read(&path)? {
                kept.insert(path, guard);
            }
        }
        Ok(kept)
    }
}

fn read(path: &Path) -> Result<Option<Guard>> {
    Ok(read_small(path, MOST)?.and_then(|text| serde_json::from_str(&text).ok()))
}

/// The whole table, in place of the one there is.
fn render<'a>(guards: impl Iterator<Item = &'a Guard>) -> Result<String> {
    let chains: Vec<String> = guards.map(Guard::render).collect::<Result<_>>()?;
    Ok(format!("{NO_TABLE}{TABLE}{}", chains.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(port: &str, ipv4: Senders, ipv6: Senders) -> Guard {
        Guard { port: port.into(), mac: Some("02:00:00:00:00:01".into()), vlans: vec![], ipv4, ipv6 }
    }

    #[test]
    fn the_table_is_as_in_the_golden_file() {
        let nets = |nets: &[&str]| Senders::Only(nets.iter().map(|net| net.parse().unwrap()).collect());
        let hosts = |hosts: &[&str]| Senders::But(hosts.iter().map(|host| host.parse().unwrap()).collect());
        let guards = [
            guard("vetha", nets(&["10.1.2.9/32", "10.9.0.0/24"]), hosts(&["fd42:1:2:3::1", "fe80::1"])),
            guard("vethb", hosts(&["10.1.2.1"]), nets(&["fd42:1:2:3::9/128", "fe80::9/128", "fd43:1::/48"])),
            guard("none", nets(&[]), nets(&[])),
            Guard { vlans: vec![20, 30, 31, 32], ..guard("drop", Senders::Any, Senders::Any) },
        ];
        let text = render(guards.iter()).unwrap();
        if std::env::var_os("LXHOST_BLESS").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/network/golden/spoof.nft"), &text).unwrap();
        }
        assert_eq!(text, include_str!("golden/spoof.nft"));
    }

    #[test]
    fn what_was_kept_and_is_no_name_or_address_makes_no_rule() {
        for (port, mac) in [("a b", "02:00:00:00:00:01"), ("a\"b", "02:00:00:00:00:01"), ("veth1", "drop"), ("", "")] {
            let bad = Guard { port: port.into(), mac: Some(mac.into()), ..guard("x", Senders::Any, Senders::Any) };
            assert!(bad.render().is_err(), "{port} {mac}");
        }
    }
}
