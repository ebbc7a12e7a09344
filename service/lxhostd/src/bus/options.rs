//! Option dictionaries (`a{sv}`): typed reads, and an error for every key that nobody read.

use super::invalid;
use lxhost_dbus::wire::Values;
use lxhost_engine::{Error, Kind, Result};
use lxhost_model::checkpoint::Trial;
use lxhost_model::name::quoted;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use zbus::wire::{Fd, OwnedVariant, Variant};

/// Options of one call.
pub(super) struct Options {
    left: Values,
}

impl Options {
    pub(super) fn new(values: Values) -> Self {
        Options { left: values }
    }

    /// Takes the value of `key`, if it is there.
    pub(super) fn take<T: TryFrom<OwnedVariant>>(&mut self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.left.remove(key) else { return Ok(None) };
        let signature = value.value_signature().to_string();
        T::try_from(value).map(Some).map_err(|_| invalid(format!("option {key} may not be of type {signature}")))
    }

    /// Takes a switch; absent is off.
    pub(super) fn flag(&mut self, key: &str) -> Result<bool> {
        Ok(self.take::<bool>(key)?.unwrap_or(false))
    }

    /// Takes a text; absent is empty.
    pub(super) fn text(&mut self, key: &str) -> Result<String> {
        Ok(self.take::<String>(key)?.unwrap_or_default())
    }

    /// Takes a text and parses it.
    pub(super) fn parsed<T: std::str::FromStr<Err = Error>>(&mut self, key: &str) -> Result<Option<T>> {
        self.take::<String>(key)?.map(|text| text.parse()).transpose()
    }

    /// Takes a list of texts and parses each.
    pub(super) fn parsed_list<T: std::str::FromStr<Err = Error>>(&mut self, key: &str) -> Result<Option<Vec<T>>> {
        let list: Option<Vec<String>> = self.take(key)?;
        list.map(|texts| texts.iter().map(|text| text.parse()).collect()).transpose()
    }

    /// Takes how long a change of a network waits to be confirmed, in microseconds.
    pub(super) fn trial(&mut self) -> Result<Option<Trial>> {
        self.take::<u64>("rollback-usec")?.map(Trial::of_usec).transpose()
    }

    /// Takes a file descriptor.
    pub(super) fn fd(&mut self, key: &str) -> Result<Option<OwnedFd>> {
        let bad = || invalid(format!("option {key} has to be a file descriptor"));
        match self.left.remove(key).map(Variant::from) {
            None => Ok(None),
            Some(Variant::Fd(fd)) => OwnedFd::try_from(fd).map(Some).map_err(|_| bad()),
            Some(_) => Err(bad()),
        }
    }

    /// Takes a list of file descriptors; absent is empty.
    pub(super) fn fds(&mut self, key: &str) -> Result<Vec<OwnedFd>> {
        let bad = || invalid(format!("option {key} has to be an array of file descriptors"));
        match self.left.remove(key).map(Variant::from) {
            None => Ok(vec![]),
            Some(Variant::Array(array)) => {
                let fds = Vec::<Fd<'_>>::try_from(array).map_err(|_| bad())?;
                fds.into_iter().map(|fd| OwnedFd::try_from(fd).map_err(|_| bad())).collect()
            }
            Some(_) => Err(bad()),
        }
    }

    /// Takes configuration (`a{ss}`).
    pub(super) fn config(&mut self, key: &str) -> Result<BTreeMap<String, String>> {
        Ok(self.take(key)?.unwrap_or_default())
    }

    /// Refuses what nobody took.
    pub(super) fn done(self) -> Result<()> {
        match self.left.keys().min() {
            None => Ok(()),
            Some(key) => Err(Error::new(Kind::UnknownOption, format!("unknown option {}", quoted(key)))),
        }
    }
}

/// For calls that have no options of their own yet.
pub(super) fn none(values: Values) -> Result<()> {
    Options::new(values).done()
}

/// Devices from the wire, checked.
pub(super) fn devices(wire: lxhost_dbus::Devices) -> Result<lxhost_model::device::Devices> {
    let parse = |(name, keys): (String, BTreeMap<String, String>)| {
        let name: lxhost_model::name::DeviceName = name.parse()?;
        let device = lxhost_model::device::Device::new(&name, keys)?;
        Ok((name, device))
    };
    wire.into_iter().map(parse).collect()
}

/// Devices for the wire.
pub(super) fn devices_out(devices: &lxhost_model::device::Devices) -> lxhost_dbus::Devices {
    devices.iter().map(|(name, device)| (name.to_string(), device.keys().clone())).collect()
}
