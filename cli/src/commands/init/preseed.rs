//! A preseed: pools, networks and profiles as YAML, in LXD's words.

use crate::definition::{Definition, first_line, scalars};
use crate::failure::Failure;
use lxhost_dbus::Config;
use serde::{Deserialize, Serialize};

/// Everything `init` makes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Preseed {
    /// Settings of LXD's daemon: read so that its preseeds parse, and refused when there are any.
    #[serde(deserialize_with = "scalars", skip_serializing)]
    config: Config,
    pub(crate) storage_pools: Vec<PoolSeed>,
    pub(crate) networks: Vec<NetworkSeed>,
    pub(crate) profiles: Vec<Definition>,
}

/// A pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PoolSeed {
    pub(crate) name: String,
    pub(crate) driver: String,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(deserialize_with = "scalars")]
    pub(crate) config: Config,
}

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NetworkSeed {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(deserialize_with = "scalars")]
    pub(crate) config: Config,
    /// LXD's project of the network; `default` alone.
    #[serde(skip_serializing)]
    pub(crate) project: Option<String>,
}

impl NetworkSeed {
    /// Its type; a bridge when none is named.
    pub(crate) fn kind(&self) -> &str {
        if self.kind.is_empty() { "bridge" } else { &self.kind }
    }
}

impl Preseed {
    /// Reads YAML; what this version cannot make is refused before anything is made.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let bad = |why: &str| Failure::usage(format!("preseed: {why}"));
        if text.trim().is_empty() {
            return Err(bad("standard input is empty"));
        }
        let preseed: Preseed = serde_saphyr::from_str(text).map_err(|e| bad(first_line(&e.to_string())))?;
        if let Some(key) = preseed.config.keys().next() {
            return Err(bad(&format!("this version has no settings of the daemon ({key})")));
        }
        let names = preseed.storage_pools.iter().map(|p| &p.name).chain(preseed.networks.iter().map(|n| &n.name));
        if names.clone().any(String::is_empty) || preseed.profiles.iter().any(|p| p.name.as_ref().is_none_or(String::is_empty)) {
            return Err(bad("a pool, network or profile has no name"));
        }
        if preseed.networks.iter().any(|n| n.project.as_ref().is_some_and(|p| !matches!(p.as_str(), "" | "default"))) {
            return Err(bad("there is only the project default"));
        }
        Ok(preseed)
    }

    /// Adds the default profile with a root disk on `pool` and, if named, a NIC on `network`.
    pub(crate) fn root_and_nic(&mut self, pool: &str, network: Option<&str>) {
        let own = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Config>();
        let mut profile = Definition { name: Some(super::PROFILE.to_owned()), ..Definition::default() };
        profile.devices.insert("root".to_owned(), own(&[("type", "disk"), ("path", "/"), ("pool", pool)]));
        if let Some(network) = network {
            profile.devices.insert("eth0".to_owned(), own(&[("type", "nic"), ("name", "eth0"), ("network", network)]));
        }
        self.profiles.push(profile);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preseed_of_lxd_is_read() {
        let text = "config: {}\nnetworks:\n- config:\n    ipv4.address: auto\n    ipv6.address: none\n  description: \"\"\n  name: lxdbr0\n  type: \"\"\n  project: default\nstorage_pools:\n- config: {}\n  description: \"\"\n  name: default\n  driver: btrfs\nprofiles:\n- config: {}\n  description: \"\"\n  devices:\n    eth0:\n      name: eth0\n      network: lxdbr0\n      type: nic\n  name: default\n";
        let preseed = Preseed::parse(text).unwrap();
        assert_eq!(preseed.networks[0].kind(), "bridge");
        assert_eq!(preseed.networks[0].config["ipv6.address"], "none");
        assert_eq!(preseed.storage_pools[0].driver, "btrfs");
        assert_eq!(preseed.profiles[0].devices["eth0"]["network"], "lxdbr0");
    }

    #[test]
    fn what_cannot_be_made_is_refused_first() {
        for bad in [
            "",
            "cluster: {}",
            "config:\n  core.https_address: '[::]:8443'",
            "networks:\n- type: bridge",
            "profiles:\n- config: {}",
            "networks:\n- name: a\n  project: b",
            "storage_pools: 3",
        ] {
            let failure = Preseed::parse(bad).unwrap_err();
            assert_eq!(failure.code, 2, "{bad}");
            assert!(failure.message.starts_with("preseed: "), "{}", failure.message);
        }
    }

    #[test]
    fn a_dump_is_a_preseed() {
        let mut preseed = Preseed::default();
        preseed.storage_pools.push(PoolSeed { name: "default".into(), driver: "overlay".into(), ..PoolSeed::default() });
        preseed.networks.push(NetworkSeed { name: "lxbr0".into(), kind: "bridge".into(), ..NetworkSeed::default() });
        preseed.root_and_nic("default", Some("lxbr0"));
        let text = crate::render::yaml(&preseed).unwrap();
        assert_eq!(Preseed::parse(&text).unwrap(), preseed, "{text}");
    }
}
