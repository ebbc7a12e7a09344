//! The record of a network.

use crate::config::Config;
use crate::name::{NetworkName, ProjectName};
use crate::{ObjectId, Timestamp};

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
    /// When it was made.
    pub created: Timestamp,
    /// Grows with every change of the record.
    pub generation: u64,
}

impl Network {
    /// ACLs it carries, in the key `security.acls`.
    pub fn acls(&self) -> impl Iterator<Item = &str> {
        let names = self.config.get("security.acls").map(String::as_str).unwrap_or_default();
        names.split(',').map(str::trim).filter(|name| !name.is_empty())
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
            created: 0,
            generation: 0,
        };
        assert_eq!(network.interface(), "lxbr0");
        network.name = "a-very-long-network-name".parse().unwrap();
        assert!(network.interface().len() <= 15);
    }
}
