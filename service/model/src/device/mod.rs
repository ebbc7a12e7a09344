//! Devices of an instance or profile: a type and its keys, still as text.
//!
//! What a type means is the business of `drivers/device/<type>.rs`; here are the rules that hold
//! for all of them. A type whose keys mean much has a file beside this, which reads them.

pub mod disk;
pub mod nic;
pub mod proxy;

pub use disk::{Disk, DiskSource, HostPath};
pub use nic::{Nic, NicType};
pub use proxy::Proxy;

use crate::name::DeviceName;
use crate::{Error, Kind};
use std::collections::BTreeMap;

/// Devices by name.
pub type Devices = BTreeMap<DeviceName, Device>;

/// Key-value pairs of one device; `type` is always there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Device(BTreeMap<String, String>);

/// Types a device may have today.
pub const TYPES: &[&str] = &["none", "disk", "nic", "proxy"];

/// Bytes that the root among `devices` may take; `None`: all that there is.
///
/// # Errors
/// `InvalidConfig`, for a record that an older version has written.
pub fn root_quota(devices: &Devices) -> Result<Option<u64>, Error> {
    devices.values().find(|device| device.is_root()).map_or(Ok(None), |root| disk::quota(root.keys()))
}

impl Device {
    /// A device from its keys.
    ///
    /// # Errors
    /// `InvalidConfig` when `type` is missing or unknown, or a key does not belong to the type or is malformed;
    /// `Unsupported` for a key of LXD's that has no effect here.
    pub fn new(name: &DeviceName, keys: BTreeMap<String, String>) -> Result<Self, Error> {
        let bad = |why: String| Error::new(Kind::InvalidConfig, format!("device {name}: {why}"));
        let kind = keys.get("type").ok_or_else(|| bad("it has no type".into()))?;
        let allowed = match kind.as_str() {
            "disk" => return Device::checked(name, keys, |keys| Disk::read(keys).map(drop)),
            "nic" => return Device::checked(name, keys, |keys| Nic::read(keys).map(drop)),
            "proxy" => return Device::checked(name, keys, |keys| Proxy::read(keys).map(drop)),
            "none" => &["type"][..],
            other => return Err(bad(format!("unknown type {}; one of {}", crate::name::quoted(other), TYPES.join(", ")))),
        };
        for (key, value) in &keys {
            if !allowed.contains(&key.as_str()) {
                return Err(bad(format!("a {kind} has no key {}", crate::name::quoted(key))));
            }
            crate::config::check_text(key, value).map_err(|e| e.context(format!("device {name}")))?;
        }
        Ok(Device(keys))
    }

    fn checked(
        name: &DeviceName,
        keys: BTreeMap<String, String>,
        read: impl FnOnce(&BTreeMap<String, String>) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let in_device = |error: Error| error.context(format!("device {name}"));
        keys.iter().try_for_each(|(key, value)| crate::config::check_text(key, value)).map_err(in_device)?;
        read(&keys).map_err(in_device)?;
        Ok(Device(keys))
    }

    /// What a device of type `nic` asks for.
    ///
    /// # Errors
    /// As `new`, for a record that an older version has written.
    pub fn nic(&self) -> Result<Nic, Error> {
        Nic::read(&self.0)
    }

    /// What a device of type `proxy` asks for.
    ///
    /// # Errors
    /// As `new`, for a record that an older version has written.
    pub fn proxy(&self) -> Result<Proxy, Error> {
        Proxy::read(&self.0)
    }

    /// Value of `key`, if set.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The device's type.
    pub fn kind(&self) -> &str {
        self.get("type").unwrap_or("none")
    }

    /// All keys.
    pub fn keys(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Whether it is the root disk.
    pub fn is_root(&self) -> bool {
        self.kind() == "disk" && self.get("path") == Some("/")
    }

    /// The path of the host that it is.
    pub fn host_path(&self) -> Option<String> {
        match Disk::read(&self.0).ok().flatten()?.source {
            DiskSource::Host(host) => Some(host.path),
            _ => None,
        }
    }

    /// Whether it hands part of the host to the guest, so that `configure-privileged` is asked.
    pub fn reaches_host(&self) -> bool {
        // What cannot be read, as an older version has written it, is asked about.
        let of_host = self.kind() == "disk"
            && !self.is_root()
            && Disk::read(&self.0).map_or(true, |disk| disk.is_some_and(|disk| matches!(disk.source, DiskSource::Host(_))));
        // A socket of unix(7) knows who connects by his user id, and here that is whoever the configuration says.
        let socket = || self.proxy().map_or(true, |proxy| matches!(proxy.on_host(), proxy::Endpoint::Unix(_)));
        of_host
            || (self.kind() == "nic" && self.get("nictype") == Some(NicType::Physical.as_str()))
            || (self.kind() == "proxy" && socket())
    }

    /// Whether it reaches beyond the networks that are managed here, or is reached from there, so that
    /// `attach-physical` is asked.
    pub fn reaches_links(&self) -> bool {
        (self.kind() == "nic" && self.get("parent").is_some()) || self.kind() == "proxy"
    }
}
