//! A forward: what comes to an address of the host for some ports goes to instances of a network. Part of the
//! network's record, under the address it listens on.
//!
//! Ports are kept as the keys they were given, as rules of ACLs are; [`Forward::read`] is what they mean.

use crate::config::{Config, MAX_KEYS, check_text, nearest};
use crate::name::quoted;
use crate::{Error, Kind, port};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Most forwards and load balancers of one network.
pub const MAX_FORWARDS: usize = 256;
/// Most entries of ports of one forward.
pub const MAX_ENTRIES: usize = 256;
/// Most ports of one forward that go to another port each.
pub const MAX_MOVED: usize = 4096;
/// Keys of an entry.
pub const PORT_KEYS: &[&str] = &["protocol", "listen_port", "target_address", "target_port", "description"];
/// The key that says where everything else goes.
pub const DEFAULT_TARGET: &str = "target_address";

/// An entry of ports as it was given.
pub type PortKeys = BTreeMap<String, String>;

/// A forward as the store keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Forward {
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// `target_address` and `user.*` keys.
    #[serde(default)]
    pub config: Config,
    /// Entries of ports.
    #[serde(default)]
    pub ports: Vec<PortKeys>,
}

/// A forward as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversion {
    /// The address of the host.
    pub listen: IpAddr,
    /// What goes where.
    pub ports: Vec<Ports>,
    /// Where everything else goes.
    pub rest: Option<IpAddr>,
}

/// Where what comes for some ports goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The ports.
    pub listen: Vec<RangeInclusive<u16>>,
    /// Instances that take turns, at least one.
    pub targets: Vec<Target>,
}

/// An instance that gets something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its address.
    pub address: IpAddr,
    /// Its ports.
    pub ports: TargetPorts,
}

/// Ports at the far end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPorts {
    /// Those it listens on.
    Same,
    /// One for all.
    One(u16),
    /// One for each.
    Each(Vec<(u16, u16)>),
}

pub(crate) fn bad(why: impl fmt::Display) -> Error {
    Error::new(Kind::InvalidConfig, why.to_string())
}

/// The address that `text` says to listen on.
///
/// # Errors
/// `InvalidConfig` for what is no single address of one host that others can reach.
pub fn listen_address(text: &str) -> Result<IpAddr, Error> {
    let address = text.parse().map_err(|_| bad(format!("listen address {}: expected an IPv4 or IPv6 address", quoted(text))))?;
    check_listen(address).map(|()| address)
}

/// Refuses what is no single address of one host that others can reach.
pub(crate) fn check_listen(address: IpAddr) -> Result<(), Error> {
    let not = |why: &str| Err(bad(format!("listen address {}: {why}", quoted(&address.to_string()))));
    let unicast = match address {
        IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_link_local() && (1..240).contains(&v4.octets()[0]),
        IpAddr::V6(v6) => {
            !v6.is_multicast() && !v6.is_unspecified() && !v6.is_unicast_link_local() && v6.to_ipv4_mapped().is_none()
        }
    };
    if address.is_loopback() {
        return not("nothing comes to a loopback address from outside; a proxy device listens there");
    }
    if unicast { Ok(()) } else { not("expected the address of one host") }
}

impl Forward {
    /// What it means, listening on `listen`.
    ///
    /// # Errors
    /// `InvalidConfig`, naming the key and the number of the entry.
    pub fn read(&self, listen: IpAddr) -> Result<Diversion, Error> {
        check_listen(listen)?;
        described(&self.description, &self.config)?;
        if let Some(key) = self.config.keys().find(|key| *key != DEFAULT_TARGET && !key.starts_with("user.")) {
            return Err(bad(format!("a forward has no key {}; only {DEFAULT_TARGET} and user.* keys", quoted(key))));
        }
        let rest = self.config.get(DEFAULT_TARGET).filter(|text| !text.is_empty());
        let rest = rest.map(|text| target(text, listen)).transpose()?;
        Ok(Diversion { listen, ports: entries(&self.ports, |keys| ports(keys, listen))?, rest })
    }
}

/// Checks what a forward and a load balancer have in common.
pub(crate) fn described(description: &str, config: &Config) -> Result<(), Error> {
    check_text("description", description)?;
    if config.len() > MAX_KEYS {
        return Err(bad(format!("more than {MAX_KEYS} keys")));
    }
    config.iter().try_for_each(|(key, value)| check_text(key, value))
}

/// All entries of ports, each read by `read`.
pub(crate) fn entries(all: &[PortKeys], read: impl Fn(&PortKeys) -> Result<Ports, Error>) -> Result<Vec<Ports>, Error> {
    if all.len() > MAX_ENTRIES {
        return Err(bad(format!("more than {MAX_ENTRIES} entries of ports")));
    }
    let entry = |(number, keys)| read(keys).map_err(|e| e.context(format!("port {}", number + 1)));
    let ports: Vec<Ports> = all.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
    once(&ports)?;
    if ports.iter().map(Ports::moved).sum::<usize>() > MAX_MOVED {
        return Err(too_many());
    }
    Ok(ports)
}

fn too_many() -> Error {
    bad(format!("more than {MAX_MOVED} ports go to another port each"))
}

impl Ports {
    /// How many ports have to be named one by one.
    fn moved(&self) -> usize {
        match &self.targets[..] {
            [Target { ports: TargetPorts::Same | TargetPorts::One(_), .. }] => 0,
            targets if targets.iter().all(|target| target.ports == TargetPorts::Same) => 0,
            targets => count(&self.listen).saturating_mul(targets.len()),
        }
    }
}

impl Diversion {
    /// The instances' addresses.
    pub fn targets(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.ports.iter().flat_map(|ports| &ports.targets).map(|target| target.address).chain(self.rest)
    }
}

/// Keys of an entry, all of which are among those there are.
pub(crate) struct Entry<'a>(&'a PortKeys);

impl<'a> Entry<'a> {
    pub(crate) fn new(keys: &'a PortKeys, known: &[&str]) -> Result<Self, Error> {
        for (key, value) in keys {
            if !known.contains(&key.as_str()) {
                let near = nearest(key, known.iter().copied()).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
                return Err(bad(format!("there is no key {}{near}", quoted(key))));
            }
            check_text(key, value)?;
        }
        Ok(Entry(keys))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn need(&self, key: &str) -> Result<&'a str, Error> {
        self.get(key).ok_or_else(|| bad(format!("it has no {key}")))
    }

    /// Protocol and ports that it listens on.
    pub(crate) fn listens(&self) -> Result<(&'static str, Vec<RangeInclusive<u16>>), Error> {
        let protocol = match self.need("protocol")? {
            "tcp" => "tcp",
            "udp" => "udp",
            other => return Err(bad(format!("protocol {}: expected tcp or udp", quoted(other)))),
        };
        Ok((protocol, port::ranges("listen_port", self.need("listen_port")?)?))
    }
}

fn ports(keys: &PortKeys, listen: IpAddr) -> Result<Ports, Error> {
    let entry = Entry::new(keys, PORT_KEYS)?;
    let (protocol, listened) = entry.listens()?;
    let address = target(entry.need("target_address")?, listen)?;
    let to = entry.get("target_port").map(|text| port::ranges("target_port", text)).transpose()?;
    let ports = target_ports(&listened, to.as_deref())?;
    Ok(Ports { protocol, listen: listened, targets: vec![Target { address, ports }] })
}

/// The address of an instance, of the family of `listen`.
pub(crate) fn target(text: &str, listen: IpAddr) -> Result<IpAddr, Error> {
    let address: IpAddr = text.parse().map_err(|_| bad(format!("target_address {}: expected an address", quoted(text))))?;
    match address.is_ipv4() == listen.is_ipv4() {
        true => Ok(address),
        false => Err(bad(format!("target_address {address}: it is of another family than {listen}"))),
    }
}

/// How many ports there are.
fn count(ranges: &[RangeInclusive<u16>]) -> usize {
    ranges.iter().map(|range| usize::from(range.end() - range.start()) + 1).sum()
}

/// Where each of the ports goes; without `target`, to the same.
pub(crate) fn target_ports(listen: &[RangeInclusive<u16>], target: Option<&[RangeInclusive<u16>]>) -> Result<TargetPorts, Error> {
    let Some(target) = target else { return Ok(TargetPorts::Same) };
    if let [only] = target
        && only.start() == only.end()
    {
        return Ok(TargetPorts::One(*only.start()));
    }
    let (from, to) = (count(listen), count(target));
    if from != to {
        return Err(bad(format!("target_port: {from} ports cannot go to {to}; expected one, or as many")));
    }
    if listen == target {
        return Ok(TargetPorts::Same);
    }
    if from > MAX_MOVED {
        return Err(too_many());
    }
    let each = |ranges: &[RangeInclusive<u16>]| ranges.iter().cloned().flatten().collect::<Vec<u16>>();
    Ok(TargetPorts::Each(each(listen).into_iter().zip(each(target)).collect()))
}

/// Checks that no port is forwarded twice.
fn once(ports: &[Ports]) -> Result<(), Error> {
    let mut all: Vec<(&str, u16, u16, usize)> = Vec::new();
    for (number, ports) in ports.iter().enumerate() {
        all.extend(ports.listen.iter().map(|range| (ports.protocol, *range.start(), *range.end(), number + 1)));
    }
    all.sort_unstable();
    match all.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[1].1 <= pair[0].2) {
        Some([(protocol, _, _, one), (_, port, _, other)]) => {
            let (first, second) = (one.min(other), one.max(other));
            Err(bad(format!("{protocol} port {port} is in entry {first} and in entry {second}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTEN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn read(entries: &[&[(&str, &str)]]) -> Result<Diversion, Error> {
        let keys = |pairs: &&[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Forward { ports: entries.iter().map(keys).collect(), ..Default::default() }.read(LISTEN)
    }

    fn entry<'a>(protocol: &'a str, listen: &'a str, to: &'a str) -> [(&'a str, &'a str); 4] {
        [("protocol", protocol), ("listen_port", listen), ("target_address", "10.1.2.3"), ("target_port", to)]
    }

    #[test]
    fn ports_go_where_the_entries_say() {
        let to =
            |listen: &str, target: &str| read(&[&entry("tcp", listen, target)]).unwrap().ports.remove(0).targets.remove(0).ports;
        assert_eq!(to("80,443", ""), TargetPorts::Same);
        assert_eq!(to("80,8000-8002", "80,8000-8002"), TargetPorts::Same);
        assert_eq!(to("80,443", "8080"), TargetPorts::One(8080));
        assert_eq!(to("80,90-91", "70,100-101"), TargetPorts::Each(vec![(80, 70), (90, 100), (91, 101)]));
        assert_eq!(to("1-65535", ""), TargetPorts::Same);
        let both = read(&[&entry("tcp", "53", ""), &entry("udp", "53", "")]).unwrap();
        assert_eq!(both.targets().count(), 2);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (protocol, listen, target) in [
            ("icmp", "80", ""),
            ("", "80", ""),
            ("tcp", "", ""),
            ("tcp", "0", ""),
            ("tcp", "65536", ""),
            ("tcp", "90-80", ""),
            ("tcp", "80", "0"),
            ("tcp", "80", "65536"),
            ("tcp", "80", "81-82"),
            ("tcp", "80-82", "81-82"),
            ("tcp", "80,70-90", ""),
            ("udp", "80 { } accept", ""),
            ("tcp", "1-5000", "5001-10000"),
        ] {
            let error = read(&[&entry(protocol, listen, target)]).expect_err(&format!("{protocol} {listen} {target}"));
            assert_eq!(error.kind, Kind::InvalidConfig, "{error}");
        }
        let twice = read(&[&entry("tcp", "80-90", ""), &entry("udp", "85", ""), &entry("tcp", "70,85", "")]).unwrap_err();
        assert!(twice.message.contains("tcp port 85 is in entry 1 and in entry 3"), "{twice}");
        let one = [("protocol", "tcp"), ("listen_port", "80"), ("target_address", "fd00::1")];
        assert!(read(&[&one]).unwrap_err().message.contains("another family"));
        assert!(read(&[&one[..2]]).unwrap_err().message.contains("port 1: it has no target_address"));
        assert!(read(&[&[("listenport", "80")]]).unwrap_err().message.contains("listen_port"));
        assert!(read(&vec![&entry("tcp", "80", "")[..]; MAX_ENTRIES + 1]).is_err());
    }

    #[test]
    fn an_address_to_listen_on_is_that_of_one_host() {
        for text in ["192.0.2.1", "10.0.0.255", "2001:db8::1", "fd00:0::0001"] {
            listen_address(text).unwrap();
        }
        for text in [
            "",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "169.254.0.1",
            "127.0.0.1",
            "::",
            "::1",
            "ff02::1",
            "fe80::1",
            "::ffff:192.0.2.1",
            "192.0.2.0/24",
            "192.0.2.1:80",
            "eth0",
        ] {
            assert_eq!(listen_address(text).expect_err(text).kind, Kind::InvalidConfig);
        }
    }

    #[test]
    fn a_default_target_is_an_address_and_nothing_else_is_a_key() {
        let with = |key: &str, value: &str| {
            Forward { config: [(key.to_owned(), value.to_owned())].into(), ..Default::default() }.read(LISTEN)
        };
        assert_eq!(with("target_address", "10.1.2.3").unwrap().rest, Some("10.1.2.3".parse().unwrap()));
        assert!(with("user.owner", "ops").is_ok());
        for (key, value) in [("target_address", "c1"), ("target_address", "fd00::1"), ("target", "10.1.2.3"), ("user.a", "\u{7}")]
        {
            assert_eq!(with(key, value).unwrap_err().kind, Kind::InvalidConfig, "{key}");
        }
    }
}
