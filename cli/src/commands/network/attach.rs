//! `network attach` and `detach`, for instances and profiles: devices of type nic, by the network they are in.

use crate::bus::Session;
use crate::commands::device::{Holder, Of, add, no_device};
use crate::failure::Failure;
use lxhost_dbus::{Config, Devices};
use lxhost_model::Kind;
use lxhost_model::name::quoted;

/// A new interface: whose, and what it is called.
pub(super) struct New<'a> {
    pub(super) network: &'a str,
    pub(super) holder: &'a str,
    pub(super) of: Of,
    pub(super) device: Option<&'a str>,
    pub(super) interface: Option<&'a str>,
}

/// Gives an instance or profile an interface in a network.
pub(super) async fn attach(session: &Session, new: New<'_>) -> Result<(), Failure> {
    let network = crate::reference::local(new.network)?;
    // A word about the network is better than one about the device that names it.
    session.network(network).await?;
    let mut read = Holder::read(session, new.holder, new.of).await?;
    let interface = match new.interface {
        Some(name) => name.to_owned(),
        None => free(&read.expanded(session).await?),
    };
    let keys = [("type", "nic"), ("network", network), ("name", interface.as_str())];
    let keys: Config = keys.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    add(read.devices(), new.holder, new.device.unwrap_or(network), keys)?;
    read.write(session, new.holder).await
}

/// The first interface name that no device has.
fn free(devices: &Devices) -> String {
    let taken = |wanted: &str| devices.iter().any(|(name, keys)| keys.get("name").unwrap_or(name) == wanted);
    let mut names = (0..).map(|n: u32| format!("eth{n}"));
    names.find(|name| !taken(name)).unwrap_or_default()
}

/// Takes an interface in a network away.
pub(super) async fn detach(session: &Session, network: &str, holder: &str, of: Of, device: Option<&str>) -> Result<(), Failure> {
    let mut read = Holder::read(session, holder, of).await?;
    let device = the_one(read.devices(), crate::reference::local(network)?, holder, device)?;
    read.devices().remove(&device);
    read.write(session, holder).await
}

/// The device that is meant.
fn the_one(devices: &Devices, network: &str, holder: &str, device: Option<&str>) -> Result<String, Failure> {
    let inside = |keys: &Config| keys.get("network").is_some_and(|name| name == network);
    let found: Vec<&String> = devices.iter().filter(|(_, keys)| inside(keys)).map(|(name, _)| name).collect();
    match (device, found[..].split_first()) {
        (Some(name), _) => match devices.get(name) {
            None => Err(no_device(holder, name)),
            Some(keys) if inside(keys) => Ok(name.to_owned()),
            Some(_) => {
                let why = format!("device {} of {holder} is not in network {network}", quoted(name));
                Err(Failure::of(Kind::InvalidArgs, why))
            }
        },
        (None, Some((only, []))) => Ok((*only).clone()),
        (None, None) => {
            Err(Failure::of(Kind::NoSuchDevice, format!("{holder} has no interface of its own in network {network}")))
        }
        (None, Some(_)) => {
            let names: Vec<&str> = found.iter().map(|name| name.as_str()).collect();
            let many = format!("{holder} has several interfaces in network {network}; name one: {}", names.join(", "));
            Err(Failure::usage(many))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(list: &[(&str, &[(&str, &str)])]) -> Devices {
        let keys = |keys: &[(&str, &str)]| keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        list.iter().map(|(name, list)| ((*name).to_owned(), keys(list))).collect()
    }

    #[test]
    fn a_new_interface_takes_the_first_free_name() {
        let devices = devices(&[("eth0", &[("type", "nic")]), ("lab", &[("name", "eth1")]), ("root", &[("type", "disk")])]);
        assert_eq!(free(&devices), "eth2");
        assert_eq!(free(&Devices::new()), "eth0");
    }

    #[test]
    fn a_device_is_found_by_its_network_unless_several_are_in_it() {
        let devices = devices(&[("a", &[("network", "lab")]), ("b", &[("network", "lab")]), ("c", &[("network", "wan")])]);
        assert_eq!(the_one(&devices, "wan", "c1", None).unwrap(), "c");
        assert_eq!(the_one(&devices, "lab", "c1", Some("b")).unwrap(), "b");
        for (network, device) in [("lab", None), ("wan", Some("a")), ("wan", Some("x")), ("none", None)] {
            assert!(the_one(&devices, network, "c1", device).is_err(), "{network} {device:?}");
        }
    }
}
