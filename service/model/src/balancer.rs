//! A load balancer: what comes to an address of the host for some ports goes to instances of a network in turn. Part
//! of the network's record beside its forwards, and read as they are.

use crate::config::Config;
use crate::forward::{Diversion, Entry, PortKeys, Ports, Target, bad, check_listen, described, entries, target, target_ports};
use crate::name::quoted;
use crate::port;
use crate::{Error, Kind};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Most backends of one load balancer.
pub const MAX_BACKENDS: usize = 64;
/// Keys of a backend.
pub const BACKEND_KEYS: &[&str] = &["name", "target_address", "target_port", "description"];
/// Keys of an entry of ports; `target_backend` has the backends' names with commas.
pub const PORT_KEYS: &[&str] = &["protocol", "listen_port", "target_backend", "description"];

/// A load balancer as the store keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LoadBalancer {
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// `user.*` keys.
    #[serde(default)]
    pub config: Config,
    /// Instances that take turns.
    #[serde(default)]
    pub backends: Vec<PortKeys>,
    /// Entries of ports.
    #[serde(default)]
    pub ports: Vec<PortKeys>,
}

/// A backend as it is meant: its address, and its ports if they are others.
struct Backend {
    address: IpAddr,
    ports: Option<Vec<RangeInclusive<u16>>>,
}

impl LoadBalancer {
    /// What it means, listening on `listen`.
    ///
    /// # Errors
    /// `InvalidConfig`, naming the key and the number of the entry; `Unsupported` for health checks.
    pub fn read(&self, listen: IpAddr) -> Result<Diversion, Error> {
        check_listen(listen)?;
        described(&self.description, &self.config)?;
        if let Some(key) = self.config.keys().find(|key| !key.starts_with("user.")) {
            if key.starts_with("healthcheck") {
                let why = format!("key {} is not supported: backends are not looked after, each gets its turn", quoted(key));
                return Err(Error::new(Kind::Unsupported, why));
            }
            return Err(bad(format!("a load balancer has no key {}; only user.* keys", quoted(key))));
        }
        let backends = self.read_backends(listen)?;
        Ok(Diversion { listen, ports: entries(&self.ports, |keys| ports(keys, &backends))?, rest: None })
    }

    /// Addresses of all backends, those without ports too.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.backends.iter().filter_map(|keys| keys.get("target_address")?.parse().ok())
    }

    fn read_backends(&self, listen: IpAddr) -> Result<BTreeMap<&str, Backend>, Error> {
        if self.backends.len() > MAX_BACKENDS {
            return Err(bad(format!("more than {MAX_BACKENDS} backends")));
        }
        let mut backends = BTreeMap::new();
        for (number, keys) in self.backends.iter().enumerate() {
            let read = || {
                let entry = Entry::new(keys, BACKEND_KEYS)?;
                let name = entry.need("name")?;
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                if name.len() > 63 || !name.chars().all(plain) {
                    return Err(bad(format!("name {}: expected letters, digits and dashes", quoted(name))));
                }
                let address = target(entry.need("target_address")?, listen)?;
                let ports = entry.get("target_port").map(|text| port::ranges("target_port", text)).transpose()?;
                Ok((name, Backend { address, ports }))
            };
            let (name, backend) = read().map_err(|e| e.context(format!("backend {}", number + 1)))?;
            if backends.insert(name, backend).is_some() {
                return Err(bad(format!("there are two backends {name}")));
            }
        }
        Ok(backends)
    }
}

fn ports(keys: &PortKeys, backends: &BTreeMap<&str, Backend>) -> Result<Ports, Error> {
    let entry = Entry::new(keys, PORT_KEYS)?;
    let (protocol, listen) = entry.listens()?;
    let target = |name: &str| {
        let backend = backends.get(name).ok_or_else(|| bad(format!("there is no backend {}", quoted(name))))?;
        let ports = target_ports(&listen, backend.ports.as_deref()).map_err(|e| e.context(format!("backend {name}")))?;
        Ok(Target { address: backend.address, ports })
    };
    let targets = port::items("target_backend", entry.need("target_backend")?)?.into_iter().map(target);
    let targets = targets.collect::<Result<Vec<_>, Error>>()?;
    Ok(Ports { protocol, listen, targets })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::TargetPorts;

    const LISTEN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn keys(pairs: &[(&str, &str)]) -> PortKeys {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn backend(name: &str, address: &str, port: &str) -> PortKeys {
        keys(&[("name", name), ("target_address", address), ("target_port", port)])
    }

    fn entry(listen: &str, backends: &str) -> PortKeys {
        keys(&[("protocol", "tcp"), ("listen_port", listen), ("target_backend", backends)])
    }

    fn read(backends: Vec<PortKeys>, ports: Vec<PortKeys>) -> Result<Diversion, Error> {
        LoadBalancer { backends, ports, ..Default::default() }.read(LISTEN)
    }

    #[test]
    fn backends_take_turns_in_the_order_of_their_names_in_the_entry() {
        let both = vec![backend("w1", "10.1.2.3", ""), backend("w2", "10.1.2.4", "8080")];
        let read = read(both, vec![entry("80", "w2,w1")]).unwrap();
        let ports = |target: &Target| target.ports.clone();
        assert_eq!(read.ports[0].targets.iter().map(ports).collect::<Vec<_>>(), [TargetPorts::One(8080), TargetPorts::Same]);
        assert_eq!(read.targets().next(), Some("10.1.2.4".parse().unwrap()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let w1 = || backend("w1", "10.1.2.3", "");
        for (backends, ports, said) in [
            (vec![w1(), w1()], vec![], "two backends w1"),
            (vec![backend("w,1", "10.1.2.3", "")], vec![], "w,1"),
            (vec![backend("", "10.1.2.3", "")], vec![], "no name"),
            (vec![backend("w1", "fd00::1", "")], vec![], "another family"),
            (vec![backend("w1", "10.1.2.3", "0")], vec![], "65535"),
            (vec![w1()], vec![entry("80", "w2")], "no backend \"w2\""),
            (vec![w1()], vec![entry("80", "")], "no target_backend"),
            (vec![w1()], vec![entry("0", "w1")], "65535"),
            (vec![w1()], vec![entry("80-90", "w1"), entry("85", "w1")], "tcp port 85"),
            (vec![backend("w1", "10.1.2.3", "1-2")], vec![entry("80", "w1")], "backend w1"),
            (vec![w1(), backend("w2", "10.1.2.4", "80")], vec![entry("1-65535", "w1,w2")], "4096"),
        ] {
            let error = read(backends, ports).expect_err(said);
            assert!(error.kind == Kind::InvalidConfig && error.message.contains(said), "{error}");
        }
        let many = (0..=MAX_BACKENDS).map(|n| backend(&format!("w{n}"), "10.1.2.3", "")).collect();
        assert!(read(many, vec![]).is_err());
        for (key, kind) in
            [("healthcheck", Kind::Unsupported), ("healthcheck.interval", Kind::Unsupported), ("a", Kind::InvalidConfig)]
        {
            let balancer = LoadBalancer { config: keys(&[(key, "1")]), ..Default::default() };
            assert_eq!(balancer.read(LISTEN).unwrap_err().kind, kind, "{key}");
        }
    }
}
