//! An interface of the host that a network lies on, and the VLAN on it where one is wanted: what networks of the
//! types `macvlan` and `physical` have in common. Addresses are given out by whoever is behind it.

use super::bridge::settings::{bad, is_users, number_of_bytes, vlan_name};
use super::{Surroundings, described, from_netlink};
use lxhost_engine::ports::{NetworkState, NicPlan};
use lxhost_model::config::{check_text, nearest, parse_bool};
use lxhost_model::name::quoted;
use lxhost_model::{Error, Kind, Network, Result};
use lxhost_netlink::{Handle, Link, LinkName, Vlan, VlanId};

/// Keys there are beside `user.*`.
const KEYS: &[&str] = &["gvrp", "mtu", "parent", "vlan"];
/// Beginnings of keys that other systems have for the networks behind such a network.
const UNSUPPORTED: &[&str] = &["bgp.", "dns.nameservers", "ipv4.", "ipv6.", "maas.", "ovn.", "vlan.tagged"];

/// The interface as a record describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Uplink {
    /// The host's interface.
    pub(super) parent: LinkName,
    /// The VLAN on it.
    vlan: Option<VlanId>,
    /// Largest packet of the interfaces in the network.
    pub(super) mtu: Option<u32>,
}

impl Uplink {
    /// The interface of a record.
    ///
    /// # Errors
    /// `InvalidConfig` and `Unsupported`, naming the key.
    pub(super) fn read(network: &Network) -> Result<Self> {
        let config = &network.config;
        for (key, value) in config {
            check_text(key, value)?;
            if KEYS.contains(&key.as_str()) || is_users(key) {
                continue;
            }
            if UNSUPPORTED.iter().any(|begin| key.starts_with(begin)) {
                let why = "addresses and names in such a network are those of whoever is behind its interface";
                return Err(Error::new(Kind::Unsupported, format!("network key {} is not supported: {why}", quoted(key))));
            }
            let near = nearest(key, KEYS.iter().copied()).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
            return Err(bad(key, format!("unknown key of a network of type {}{near}", network.kind)));
        }
        match config.get("gvrp").map(|value| parse_bool(value)) {
            None | Some(Some(false)) => {}
            Some(Some(true)) => {
                return Err(Error::new(Kind::Unsupported, "network key gvrp: lxhost registers no VLANs at switches"));
            }
            Some(None) => return Err(bad("gvrp", "expected true or false")),
        }
        let parent =
            config.get("parent").ok_or_else(|| bad("parent", "a network of this type needs an interface of this host"))?;
        Ok(Uplink {
            parent: parent.parse().map_err(|e| bad("parent", e))?,
            vlan: config.get("vlan").map(|id| id.parse().map_err(|e| bad("vlan", e))).transpose()?,
            mtu: number_of_bytes(config, "mtu")?,
        })
    }

    /// Name of the link that is used: the interface, or its VLAN.
    pub(super) fn link(&self) -> Result<LinkName> {
        self.vlan.map_or_else(|| Ok(self.parent.clone()), |id| vlan_name(&self.parent, id))
    }

    /// Checks that the interface is there and can be shared. Nothing is changed.
    ///
    /// # Errors
    /// `InvalidConfig` when it is not there or its packets are smaller; `Conflict` when it is a port of a bridge.
    pub(super) async fn check(&self, links: &Handle) -> Result<()> {
        let missing = || Error::new(Kind::InvalidConfig, format!("this host has no interface {}", self.parent));
        let parent = links.link(self.parent.as_str()).await.map_err(from_netlink)?.ok_or_else(missing)?;
        if self.mtu.is_some_and(|mtu| mtu > parent.mtu) {
            return Err(bad("mtu", format!("{} carries packets of {} bytes at most", self.parent, parent.mtu)));
        }
        match parent.controller.filter(|_| self.vlan.is_none()) {
            Some(_) => Err(Error::new(Kind::Conflict, format!("interface {} is a port of a bridge or bond", self.parent))),
            None => Ok(()),
        }
    }

    /// Makes the VLAN, if there is to be one, and sets up what is used.
    pub(super) async fn up(&self, on: &Surroundings) -> Result<LinkName> {
        let name = self.link()?;
        let _ = on.links.set_up(self.parent.as_str()).await.map_err(from_netlink)?;
        if let Some(id) = self.vlan {
            on.made().vlan(&Vlan::new(name.clone(), self.parent.clone(), id)).await?;
        }
        Ok(name)
    }

    /// Removes the VLAN, unless somebody else has made it, or uses it by now.
    pub(super) async fn down(&self, on: &Surroundings) -> Result<()> {
        if self.vlan.is_some() { on.made().release(self.link()?.as_str()).await } else { Ok(()) }
    }

    /// The link that is used, if it is here.
    pub(super) async fn found(&self, links: &Handle) -> Result<Option<Link>> {
        links.link(self.link()?.as_str()).await.map_err(from_netlink)
    }

    /// How it stands.
    pub(super) async fn state(&self, links: &Handle) -> Result<NetworkState> {
        let Some(link) = self.found(links).await? else {
            let interface = self.link()?.to_string();
            let warnings = vec![format!("interface {interface} is not on this host now")];
            return Ok(NetworkState { interface, warnings, ..NetworkState::default() });
        };
        let addresses = links.addresses().await.map_err(from_netlink)?;
        let all = links.links().await.map_err(from_netlink)?;
        let ports = all.iter().filter(|other| other.parent == Some(link.index) && other.kind.as_deref() == Some("macvlan"));
        let outside = vec![self.parent.to_string()];
        Ok(NetworkState { outside, ports: ports.map(|port| port.name.clone()).collect(), ..described(&link, &addresses) })
    }
}

/// Refuses an address that is wanted of the network, which gives out none.
pub(super) fn without_addresses(plan: &NicPlan) -> Result<()> {
    let wanted = plan.ipv4.map(|a| a.to_string()).or(plan.ipv6.map(|a| a.to_string()));
    match wanted {
        None => Ok(()),
        Some(address) => {
            let why = format!("the network gives out no addresses, so not {address} either; set it inside the instance");
            Err(Error::new(Kind::InvalidConfig, why))
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use lxhost_model::ObjectId;

    /// A network with those keys.
    pub(crate) fn network(kind: &str, keys: &[(&str, &str)]) -> Network {
        Network {
            id: ObjectId::from_random([7; 16]),
            project: Default::default(),
            name: "out".parse().unwrap(),
            kind: kind.into(),
            description: String::new(),
            config: keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            forwards: Default::default(),
            load_balancers: Default::default(),
            checkpoint: None,
            created: 0,
            generation: 1,
        }
    }

    #[test]
    fn the_link_is_the_parent_or_the_vlan_on_it() {
        let link = |keys: &[(&str, &str)]| Uplink::read(&network("macvlan", keys)).unwrap().link().unwrap().to_string();
        assert_eq!(link(&[("parent", "eth0")]), "eth0");
        assert_eq!(link(&[("parent", "eth0"), ("vlan", "100"), ("user.x", "y")]), "eth0.100");
    }

    #[test]
    fn keys_that_make_no_sense_are_refused_by_name() {
        for (keys, kind, said) in [
            (&[][..], Kind::InvalidConfig, "parent"),
            (&[("parent", "a b")], Kind::InvalidConfig, "parent"),
            (&[("parent", "eth0"), ("vlan", "0")], Kind::InvalidConfig, "vlan"),
            (&[("parent", "eth0"), ("vlan", "4095")], Kind::InvalidConfig, "vlan"),
            (&[("parent", "eth0"), ("mtu", "9")], Kind::InvalidConfig, "mtu"),
            (&[("parent", "eth0"), ("gvrp", "maybe")], Kind::InvalidConfig, "gvrp"),
            (&[("parent", "eth0"), ("gvrp", "true")], Kind::Unsupported, "gvrp"),
            (&[("parent", "eth0"), ("parrent", "eth0")], Kind::InvalidConfig, "did you mean parent?"),
            (&[("parent", "eth0"), ("ipv4.gateway", "10.0.0.1/24")], Kind::Unsupported, "ipv4.gateway"),
            (&[("parent", "eth0"), ("ovn.ingress_mode", "routed")], Kind::Unsupported, "ovn.ingress_mode"),
        ] {
            let error = Uplink::read(&network("physical", keys)).unwrap_err();
            assert!(error.kind == kind && error.message.contains(said), "{keys:?}: {error}");
        }
    }
}
