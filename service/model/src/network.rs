//! The record of a network.

use crate::balancer::LoadBalancer;
use crate::checkpoint::{Checkpoint, Undoes};
use crate::config::{Config, parse_bool};
use crate::forward::{Diversion, Forward, MAX_FORWARDS};
use crate::name::{NetworkName, ProjectName};
use crate::{Error, Kind, ObjectId, Timestamp};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A network as the store keeps it. Values that were chosen for the owner (`ipv4.address` and the
/// like) are written into `config`, so that the record alone says what the network is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Network {
    /// Immutable identity.
    pub id: ObjectId,
    /// Project it belongs to.
    pub project: ProjectName,
    /// Name, unique within the project.
    pub name: NetworkName,
    /// Driver: `bridge`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// Keys of the driver.
    pub config: Config,
    /// Forwards, by the address they listen on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub forwards: BTreeMap<IpAddr, Forward>,
    /// Load balancers, by the address they listen on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub load_balancers: BTreeMap<IpAddr, LoadBalancer>,
    /// Its last change, as long as it waits to be confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Box<Checkpoint>>,
    /// When it was made.
    pub created: Timestamp,
    /// Grows with every change of the record.
    pub generation: u64,
}

impl Network {
    /// What it was before a change that waits to be confirmed, if it was there.
    pub fn before(&self) -> Option<&Network> {
        match &self.checkpoint.as_ref()?.undoes {
            Undoes::Change(before) => Some(before),
            Undoes::Creation | Undoes::Deletion => None,
        }
    }

    /// Whether it was taken from the host, which waits to be confirmed.
    pub fn is_leaving(&self) -> bool {
        self.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.undoes == Undoes::Deletion)
    }

    /// Whether it is going to be there by this name, whatever becomes of a change that waits to be confirmed.
    pub fn is_lasting(&self) -> bool {
        self.checkpoint.is_none() || self.before().is_some_and(|before| before.name == self.name)
    }

    /// ACLs it carries, in the key `security.acls`.
    pub fn acls(&self) -> impl Iterator<Item = &str> {
        let names = self.config.get("security.acls").map(String::as_str).unwrap_or_default();
        names.split(',').map(str::trim).filter(|name| !name.is_empty())
    }

    /// Its own address and subnet in each family it has.
    pub fn subnets(&self) -> impl Iterator<Item = IpNet> {
        ["ipv4.address", "ipv6.address"].into_iter().filter_map(|key| self.config.get(key)?.parse().ok())
    }

    /// Addresses that its forwards and load balancers listen on, each with the word for it.
    pub fn listeners(&self) -> impl Iterator<Item = (IpAddr, &'static str)> {
        let forwards = self.forwards.keys().map(|listen| (*listen, "forward"));
        forwards.chain(self.load_balancers.keys().map(|listen| (*listen, "load balancer")))
    }

    /// What its forwards and load balancers mean; those that cannot be read mean nothing.
    pub fn diversions(&self) -> impl Iterator<Item = Diversion> {
        let forwards = self.forwards.iter().filter_map(|(listen, forward)| forward.read(*listen).ok());
        forwards.chain(self.load_balancers.iter().filter_map(|(listen, balancer)| balancer.read(*listen).ok()))
    }

    /// Checks the forwards and load balancers, as far as it is about this network alone.
    ///
    /// # Errors
    /// `InvalidConfig`, naming the listener; `Conflict` for one that listens within the network, or where another does;
    /// `Unsupported`.
    pub fn check_listeners(&self) -> Result<(), Error> {
        if self.listeners().count() > MAX_FORWARDS {
            let what = format!("network {} has more than {MAX_FORWARDS} forwards and load balancers", self.name);
            return Err(Error::new(Kind::InvalidConfig, what));
        }
        let named = |what: &str, listen: &IpAddr| format!("{what} {listen} of network {}", self.name);
        for (listen, forward) in &self.forwards {
            let check = || self.check_targets(*listen, forward.read(*listen)?.targets());
            check().map_err(|e| e.context(named("forward", listen)))?;
        }
        for (listen, balancer) in &self.load_balancers {
            let check = || {
                if self.forwards.contains_key(listen) {
                    return Err(Error::new(Kind::Conflict, "there is a forward of that address"));
                }
                balancer.read(*listen)?;
                self.check_targets(*listen, balancer.addresses())
            };
            check().map_err(|e| e.context(named("load balancer", listen)))?;
        }
        Ok(())
    }

    fn check_targets(&self, listen: IpAddr, mut targets: impl Iterator<Item = IpAddr>) -> Result<(), Error> {
        let bad = |why: String| Err(Error::new(Kind::InvalidConfig, why));
        let family = if listen.is_ipv4() { "ipv4" } else { "ipv6" };
        let Some(net) = self.subnets().find(|net| net.addr().is_ipv4() == listen.is_ipv4()) else {
            return bad(format!("it needs a bridge with a subnet, and the network has no {family}.address"));
        };
        if net.contains(&listen) {
            return Err(Error::new(Kind::Conflict, format!("it would listen within the network's own subnet {}", net.trunc())));
        }
        let routing = format!("{family}.routing");
        if self.config.get(&routing).and_then(|value| parse_bool(value)) == Some(false) {
            return bad(format!("with {routing}=false nothing from outside comes into the network"));
        }
        let guest = |target: &IpAddr| {
            let reserved =
                *target == net.addr() || *target == net.network() || (net.addr().is_ipv4() && *target == net.broadcast());
            net.contains(target) && !reserved
        };
        match targets.find(|target| !guest(target)) {
            Some(target) => bad(format!("target_address {target} is not the address of an instance in {}", net.trunc())),
            None => Ok(()),
        }
    }

    /// Whether a network with those keys takes an interface of the host, so that `attach-physical` is asked.
    pub fn reaches_links(config: &Config) -> bool {
        ["parent", "bridge.external_interfaces"].iter().any(|key| config.get(*key).is_some_and(|value| !value.trim().is_empty()))
    }

    /// Name of its interface on the host, at most 15 bytes (`IFNAMSIZ`): the network's name where
    /// it fits, else `lx` and the first digits of the id.
    pub fn interface(&self) -> String {
        match self.name.as_str() {
            name if name.len() <= 15 => name.to_owned(),
            _ => format!("lx{}", &self.id.to_string()[..12]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_network_name_gets_a_short_interface() {
        let mut network = Network {
            id: ObjectId::from_random([7; 16]),
            project: ProjectName::default(),
            name: "lxbr0".parse().unwrap(),
            kind: "bridge".into(),
            description: String::new(),
            config: Config::new(),
            forwards: BTreeMap::new(),
            load_balancers: BTreeMap::new(),
            checkpoint: None,
            created: 0,
            generation: 0,
        };
        assert_eq!(network.interface(), "lxbr0");
        network.name = "a-very-long-network-name".parse().unwrap();
        assert!(network.interface().len() <= 15);
    }
}
