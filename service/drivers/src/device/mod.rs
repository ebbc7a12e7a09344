//! Devices of every type that the host has a say in: a file for each kind of network interface, and the registry;
//! proxies.
//! May use `lxhost-netlink` and the engine's ports; reached through the registry only, and by networks for the names.

mod bridged;
mod ipvlan;
mod macvlan;
mod p2p;
mod parent;
mod physical;
mod proxy;
mod routed;

pub(crate) use bridged::guard as bare_guard;
pub use proxy::HostProxies;
pub(crate) use proxy::PROXY_TABLES;

use crate::network::spoof::Guards;
use crate::network::{Surroundings, from_netlink};
use lxhost_engine::ports::{HostEnd, NicDriver, NicKinds, NicPlan};
use lxhost_model::device::NicType;
use lxhost_model::{Error, Kind, ObjectId, Result};
use lxhost_netlink::LinkName;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// All kinds of interfaces that join no managed network.
pub struct Nics {
    on: Surroundings,
}

impl Nics {
    /// The kinds, working in `surroundings`.
    pub fn new(surroundings: Surroundings) -> Self {
        Nics { on: surroundings }
    }
}

impl NicKinds for Nics {
    fn driver(&self, kind: NicType) -> Result<Arc<dyn NicDriver>> {
        let (links, made) = (self.on.links.clone(), self.on.made());
        Ok(match kind {
            NicType::Bridged => Arc::new(bridged::Bridged::new(links, Guards::new(&self.on.run_dir))),
            NicType::Macvlan => Arc::new(macvlan::Macvlan::new(links, made)),
            NicType::Ipvlan => Arc::new(ipvlan::Ipvlan::new(links, made)),
            NicType::P2p => Arc::new(p2p::P2p),
            NicType::Routed => Arc::new(routed::Routed::new(links, made)),
            NicType::Physical => Arc::new(physical::Physical::new(links, made)),
        })
    }
}

/// Name of the host's end of a pair where nobody has chosen one: the same at every start, and no other interface's.
pub(crate) fn host_name(instance: ObjectId, nic: &str) -> String {
    let digest = Sha256::new().chain_update(instance.bytes()).chain_update(nic).finalize();
    format!("veth{}", &hex::encode(digest)[..10])
}

/// The host's end of the pair that the plan wants, with the routes that lead to it.
pub(crate) fn host_end(plan: &NicPlan) -> HostEnd {
    let nic = &plan.nic;
    let name = nic.host_name.clone().unwrap_or_else(|| host_name(plan.instance, &plan.name));
    let routes = nic.ipv4.routes.iter().chain(&nic.ipv6.routes).map(|net| (*net, None)).collect();
    HostEnd { name, addresses: vec![], routes, rates: nic.rates }
}

/// The text as the name of a link.
pub(crate) fn link_name(text: &str) -> Result<LinkName> {
    text.parse().map_err(|e: lxhost_netlink::Error| Error::new(Kind::InvalidConfig, e.to_string()))
}

#[cfg(test)]
pub(crate) fn plan_of(keys: &[(&str, &str)]) -> NicPlan {
    use lxhost_model::device::Nic;
    let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let nic = Nic::read(&keys).unwrap();
    let first = |family: &lxhost_model::device::nic::Family| family.addresses.first().map(ipnet::IpNet::addr);
    NicPlan {
        instance: ObjectId::from_random([9; 16]),
        hostname: "c1".into(),
        name: nic.name.clone().unwrap_or_else(|| "eth0".into()),
        mac: nic.hwaddr.clone().unwrap_or_else(|| "00:16:3e:01:02:03".into()),
        ipv4: first(&nic.ipv4).and_then(|address| address.to_string().parse().ok()),
        ipv6: first(&nic.ipv6).and_then(|address| address.to_string().parse().ok()),
        mtu: nic.mtu,
        nic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_end_is_short_stable_and_of_one_interface_only() {
        let (one, other) = (ObjectId::from_random([9; 16]), ObjectId::from_random([8; 16]));
        let first = host_name(one, "eth0");
        assert!(first.len() <= 15 && first.parse::<LinkName>().is_ok());
        assert_eq!(first, host_name(one, "eth0"));
        assert_ne!(first, host_name(one, "eth1"));
        assert_ne!(first, host_name(other, "eth0"));
    }

    #[test]
    fn a_chosen_name_and_routes_are_those_of_the_hosts_end() {
        let end = host_end(&plan_of(&[
            ("nictype", "p2p"),
            ("host_name", "web0"),
            ("ipv4.routes", "10.9.0.0/24"),
            ("limits.max", "1Mbit"),
        ]));
        assert_eq!((end.name.as_str(), end.routes.len(), end.rates.egress), ("web0", 1, Some(1_000_000)));
    }
}
