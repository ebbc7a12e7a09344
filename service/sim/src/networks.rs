//! Networks whose addresses are handed out and counted, and on which nothing travels. Whoever changes one, or takes it
//! away, loses the routes of the host that lead by it, as on a real one.

use crate::{Faults, locked};
use async_trait::async_trait;
use ipnet::{Ipv4Net, Ipv6Net};
use lxhost_engine::ports::{
    HostEnd, Lease, NetworkDriver, NetworkKinds, NetworkRecords, NetworkState, NicKind, NicPlan, NicSpec, Port,
};
use lxhost_model::checkpoint::{Footing, Way};
use lxhost_model::config::{Config, check_text};
use lxhost_model::forward::Diversion;
use lxhost_model::name::quoted;
use lxhost_model::{Error, Kind, Network, ObjectId, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

const BRIDGE: &str = "bridge";

/// An interface in a network.
#[derive(Debug, Clone)]
struct Nic {
    instance: ObjectId,
    name: String,
    lease: Option<Lease>,
}

#[derive(Debug, Default)]
struct Cables {
    /// Networks that are there, with their interfaces and keys.
    up: BTreeMap<ObjectId, (String, Config)>,
    /// Routes of the host, by interface.
    routes: BTreeMap<String, Vec<Way>>,
    /// By network and hardware address.
    nics: BTreeMap<(ObjectId, String), Nic>,
    /// Numbers of rules in force, by ACL.
    rules: BTreeMap<ObjectId, usize>,
    /// Interfaces of networks whose leases changed since somebody asked.
    changed: BTreeSet<String>,
    /// Forwards and load balancers in force, by the address they listen on.
    forwards: BTreeMap<IpAddr, Diversion>,
    /// Links in the zone that the host's firewall has for networks.
    zone: BTreeSet<String>,
}

impl Cables {
    /// Forgets the routes by a network's interface and by the host's own that it has.
    fn cut(&mut self, interface: &str, config: &Config) {
        for name in std::iter::once(interface.to_owned()).chain(outside(config)) {
            self.routes.remove(&name);
        }
    }

    /// Has what the firewall does be as the records say.
    fn filter(&mut self, all: &NetworkRecords) {
        self.rules = rules(all);
        self.forwards =
            all.networks.iter().flat_map(|network| network.diversions()).map(|diversion| (diversion.listen, diversion)).collect();
        self.zone = all.networks.iter().map(|network| network.interface()).collect();
    }
}

/// The networks of the simulated machine, and their one driver.
#[derive(Debug, Clone)]
pub struct SimNetworks {
    cables: Arc<Mutex<Cables>>,
    leases: Arc<tokio::sync::Notify>,
    faults: Arc<Faults>,
}

impl SimNetworks {
    pub(crate) fn new(faults: Arc<Faults>) -> SimNetworks {
        SimNetworks { cables: Arc::default(), leases: Arc::default(), faults }
    }

    /// The address that the holder of `mac` has, in any network.
    pub(crate) fn address_of(&self, mac: &str) -> Option<IpAddr> {
        let cables = locked(&self.cables);
        cables.nics.iter().find(|((_, holder), _)| holder == mac).and_then(|(_, nic)| Some(nic.lease.as_ref()?.address))
    }

    /// Networks that are up.
    pub fn are_up(&self) -> BTreeSet<ObjectId> {
        locked(&self.cables).up.keys().copied().collect()
    }

    /// Keys that networks have on the host.
    pub fn configs(&self) -> BTreeMap<ObjectId, Config> {
        locked(&self.cables).up.iter().map(|(id, (_, config))| (*id, config.clone())).collect()
    }

    /// Has the host have a route by an interface.
    pub fn route(&self, interface: &str, way: Way) {
        locked(&self.cables).routes.entry(interface.to_owned()).or_default().push(way);
    }

    /// Routes that the host has, by interface.
    pub fn routes(&self) -> BTreeMap<String, Vec<Way>> {
        locked(&self.cables).routes.clone()
    }

    /// Numbers of rules in force, by ACL.
    pub fn rules(&self) -> BTreeMap<ObjectId, usize> {
        locked(&self.cables).rules.clone()
    }

    /// Forwards in force, by the address they listen on.
    pub fn forwards(&self) -> BTreeMap<IpAddr, Diversion> {
        locked(&self.cables).forwards.clone()
    }

    /// Links in the zone that the host's firewall has for networks.
    pub fn zone(&self) -> BTreeSet<String> {
        locked(&self.cables).zone.clone()
    }

    /// Instances that have an interface in any network.
    pub fn joined(&self) -> BTreeSet<ObjectId> {
        locked(&self.cables).nics.values().map(|nic| nic.instance).collect()
    }
}

/// Interfaces of the host that are ports.
fn outside(config: &Config) -> Vec<String> {
    let named = config.get("bridge.external_interfaces").map(String::as_str).unwrap_or_default();
    named.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The network's subnet and its own address in it; `None` for `none` and when unset.
fn subnet(config: &Config) -> Result<Option<Ipv4Net>> {
    match config.get("ipv4.address").map(String::as_str) {
        None | Some("none") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Error::new(Kind::InvalidConfig, format!("ipv4.address {}: expected an address and a prefix", quoted(text)))
        }),
    }
}

fn overlap(subnet: &Ipv4Net, others: &[Arc<Network>]) -> Option<String> {
    let clash = |other: &&Arc<Network>| match self::subnet(&other.config) {
        Ok(Some(theirs)) => subnet.contains(&theirs.network()) || theirs.contains(&subnet.network()),
        _ => false,
    };
    others.iter().find(clash).map(|other| other.name.to_string())
}

/// Numbers of rules of the ACLs that a network carries.
fn rules(all: &NetworkRecords) -> BTreeMap<ObjectId, usize> {
    let carried: BTreeSet<&str> = all.networks.iter().flat_map(|network| network.acls()).collect();
    let in_force = all.acls.iter().filter(|acl| carried.contains(acl.name.as_str()));
    in_force.map(|acl| (acl.id, acl.ingress.len() + acl.egress.len())).collect()
}

fn known_acls(network: &Network, others: &NetworkRecords) -> Result<()> {
    let unknown = |name: &&str| !others.acls.iter().any(|acl| acl.project == network.project && acl.name.as_str() == *name);
    match network.acls().find(unknown) {
        Some(name) => Err(Error::new(Kind::NoSuchAcl, format!("ACL {} does not exist", quoted(name)))),
        None => Ok(()),
    }
}

/// The lowest address of `subnet` that is neither the network's own nor anybody's.
fn free_address(subnet: &Ipv4Net, used: &BTreeSet<IpAddr>) -> Option<Ipv4Addr> {
    subnet.hosts().find(|address| *address != subnet.addr() && !used.contains(&IpAddr::V4(*address)))
}

#[async_trait]
impl NetworkDriver for SimNetworks {
    fn outside(&self, network: &Network) -> Vec<String> {
        outside(&network.config)
    }

    async fn complete(&self, network: &Network, others: &NetworkRecords) -> Result<Config> {
        self.faults.pass("network.complete")?;
        let mut config = network.config.clone();
        config.iter().try_for_each(|(key, value)| check_text(key, value))?;
        if config.get("ipv4.address").is_none_or(|value| value == "auto") {
            let candidates = (0..=255).map(|third| Ipv4Net::new_assert(Ipv4Addr::new(10, 99, third, 1), 24));
            let free = candidates.into_iter().find(|subnet| overlap(subnet, &others.networks).is_none());
            let subnet = free.ok_or_else(|| Error::new(Kind::Conflict, "no subnet of 10.99.0.0/16 is free"))?;
            config.insert("ipv4.address".into(), subnet.to_string());
        }
        if let Some(subnet) = subnet(&config)?
            && let Some(other) = overlap(&subnet, &others.networks)
        {
            return Err(Error::new(Kind::Conflict, format!("{subnet} overlaps network {other}")));
        }
        if let Some(text) = config.get("ipv6.address").filter(|value| *value != "none" && *value != "auto") {
            text.parse::<Ipv6Net>().map_err(|_| {
                Error::new(Kind::InvalidConfig, format!("ipv6.address {}: expected an address and a prefix", quoted(text)))
            })?;
        }
        known_acls(network, others)?;
        Ok(config)
    }

    async fn up(&self, network: &Network, all: &NetworkRecords) -> Result<()> {
        self.faults.pass("network.up")?;
        // Links take their time; others go on meanwhile.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let mut cables = locked(&self.cables);
        let now = (network.interface(), network.config.clone());
        if let Some((interface, config)) = cables.up.insert(network.id, now.clone()).filter(|before| *before != now) {
            cables.cut(&interface, &config);
            cables.cut(&now.0, &now.1);
        }
        cables.filter(all);
        Ok(())
    }

    async fn down(&self, network: &Network, rest: &NetworkRecords) -> Result<()> {
        self.faults.pass("network.down")?;
        let mut cables = locked(&self.cables);
        if let Some((interface, config)) = cables.up.remove(&network.id) {
            cables.cut(&interface, &config);
        }
        cables.filter(rest);
        cables.nics.retain(|(holder, _), _| *holder != network.id);
        Ok(())
    }

    async fn is_up(&self, network: &Network) -> Result<bool> {
        Ok(locked(&self.cables).up.contains_key(&network.id))
    }

    async fn join(&self, network: &Network, nic: &NicPlan) -> Result<NicSpec> {
        self.faults.pass("network.join")?;
        let mut cables = locked(&self.cables);
        if !cables.up.contains_key(&network.id) {
            return Err(Error::failed(format!("network {} is not up", network.name)));
        }
        let key = (network.id, nic.mac.clone());
        let theirs = cables.nics.iter().filter(|((holder, _), _)| *holder == network.id);
        let others = theirs.filter(|(at, _)| **at != key).filter_map(|(_, nic)| Some(nic.lease.as_ref()?.address));
        let used: BTreeSet<IpAddr> = others.collect();
        let lease = match (subnet(&network.config)?, nic.ipv4) {
            (None, _) => None,
            (Some(subnet), Some(fixed)) if !subnet.contains(&fixed) || used.contains(&IpAddr::V4(fixed)) => {
                return Err(Error::new(Kind::Conflict, format!("{fixed} is not free in network {}", network.name)));
            }
            (Some(subnet), fixed) => fixed.or_else(|| free_address(&subnet, &used)),
        };
        let lease = lease.map(|address| Lease {
            mac: nic.mac.clone(),
            address: IpAddr::V4(address),
            hostname: nic.hostname.clone(),
            expires: 0,
        });
        cables.nics.insert(key, Nic { instance: nic.instance, name: nic.name.clone(), lease });
        cables.changed.insert(network.interface());
        self.leases.notify_one();
        let digits: String = nic.mac.chars().filter(char::is_ascii_hexdigit).collect();
        let end = HostEnd { name: nic.nic.host_name.clone().unwrap_or_else(|| format!("sim{digits}")), ..HostEnd::default() };
        Ok(NicSpec::new(nic, NicKind::Bridged(Port { end, bridge: network.interface(), ..Port::default() })))
    }

    async fn leave(&self, network: &Network, instance: ObjectId, name: Option<&str>) -> Result<()> {
        self.faults.pass("network.leave")?;
        let is_meant = |nic: &Nic| nic.instance == instance && name.is_none_or(|name| nic.name == name);
        let mut cables = locked(&self.cables);
        cables.nics.retain(|(holder, _), nic| *holder != network.id || !is_meant(nic));
        cables.changed.insert(network.interface());
        self.leases.notify_one();
        Ok(())
    }

    async fn state(&self, network: &Network, _others: &[Arc<Network>]) -> Result<NetworkState> {
        let addresses = subnet(&network.config)?.into_iter().map(ipnet::IpNet::V4).collect();
        let (up, interface, outside) = (self.is_up(network).await?, network.interface(), outside(&network.config));
        let has_default = |name: &String| self.routes().get(name).is_some_and(|ways| ways.iter().any(is_default));
        let default_route = outside.iter().chain([&interface]).any(has_default);
        Ok(NetworkState { up, interface, addresses, outside, default_route, ..NetworkState::default() })
    }

    async fn remarks(&self, network: &Network) -> Vec<String> {
        let name = network.interface();
        let there = locked(&self.cables).zone.contains(&name);
        there.then(|| format!("{name} is in the zone of the simulated firewall")).into_iter().collect()
    }

    async fn leases(&self, network: &Network) -> Result<Vec<Lease>> {
        let cables = locked(&self.cables);
        Ok(cables.nics.iter().filter(|((holder, _), _)| *holder == network.id).filter_map(|(_, nic)| nic.lease.clone()).collect())
    }
}

fn is_default(way: &Way) -> bool {
    way.destination.prefix_len() == 0
}

#[async_trait]
impl NetworkKinds for SimNetworks {
    fn driver(&self, name: &str) -> Result<Arc<dyn NetworkDriver>> {
        match name {
            BRIDGE => Ok(Arc::new(self.clone())),
            _ => Err(Error::new(Kind::Unsupported, format!("there is no network type {}; there is {BRIDGE}", quoted(name)))),
        }
    }

    async fn next_leases(&self) -> Option<String> {
        loop {
            let changed = locked(&self.cables).changed.pop_first();
            match changed {
                Some(interface) => return Some(interface),
                None => self.leases.notified().await,
            }
        }
    }

    async fn footing(&self, interfaces: &BTreeSet<String>) -> Result<Vec<Footing>> {
        self.faults.pass("network.footing")?;
        let of = |(name, routes): (String, Vec<Way>)| Footing { name, up: true, addresses: vec![], routes };
        Ok(self.routes().into_iter().filter(|(name, _)| interfaces.contains(name)).map(of).collect())
    }

    async fn regain(&self, links: &[Footing]) -> Result<()> {
        self.faults.pass("network.regain")?;
        let mut cables = locked(&self.cables);
        links.iter().for_each(|link| drop(cables.routes.insert(link.name.clone(), link.routes.clone())));
        Ok(())
    }

    fn names(&self) -> Vec<&'static str> {
        vec![BRIDGE]
    }

    async fn firewall(&self, all: &NetworkRecords) -> Result<()> {
        self.faults.pass("network.firewall")?;
        locked(&self.cables).filter(all);
        Ok(())
    }
}
