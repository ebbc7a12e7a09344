//! `config device` and `profile device`: read all devices, change one, write all, by generation.

use crate::args::Device as Args;
use crate::bus::Session;
use crate::failure::Failure;
use crate::pairs;
use crate::paths::Shown;
use crate::progress::{self, OnInterrupt};
use crate::render::{self, Table};
use lxhost_dbus::proxy::{InstanceProxy, ProfileProxy};
use lxhost_dbus::{Config, Devices, Options};
use lxhost_model::Kind;
use lxhost_model::name::quoted;
use std::collections::BTreeMap;

/// Whose devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Instance,
    Profile,
}

/// Something that has devices, as it was read.
pub(crate) enum Holder {
    Instance {
        proxy: InstanceProxy<'static>,
        config: Config,
        devices: Devices,
        /// Those that it has, before any of them is changed.
        before: Devices,
        profiles: Vec<String>,
        generation: u64,
    },
    Profile {
        proxy: ProfileProxy<'static>,
        config: Config,
        devices: Devices,
        before: Devices,
        generation: u64,
    },
}

impl Holder {
    pub(crate) async fn read(session: &Session, name: &str, of: Of) -> Result<Self, Failure> {
        let none = Options::new();
        Ok(match of {
            Of::Instance => {
                let proxy: InstanceProxy<'static> = session.object(&session.instance(name).await?).await?;
                let (config, devices, profiles, generation) = session.allowed(|| proxy.get_config(&none)).await?;
                Holder::Instance { proxy, config, before: devices.clone(), devices, profiles, generation }
            }
            Of::Profile => {
                let proxy = session.profile(name).await?;
                let (config, devices, generation) = session.allowed(|| proxy.get_config(&none)).await?;
                Holder::Profile { proxy, config, before: devices.clone(), devices, generation }
            }
        })
    }

    pub(crate) fn devices(&mut self) -> &mut Devices {
        match self {
            Holder::Instance { devices, .. } | Holder::Profile { devices, .. } => devices,
        }
    }

    pub(crate) async fn write(&mut self, session: &Session, name: &str) -> Result<(), Failure> {
        let mut options = Options::new();
        let (Holder::Instance { devices, before, .. } | Holder::Profile { devices, before, .. }) = self;
        let shown = Shown::of(devices, before)?;
        shown.add_to(&mut options);
        match self {
            Holder::Instance { proxy, config, devices, profiles, generation, .. } => {
                let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
                let call = || proxy.replace_config(config, devices, &profiles, *generation, &options);
                let (_, job) = session.allowed(call).await?;
                progress::wait(session, &job, &format!("Configuring {name}"), OnInterrupt::Leave).await.map(drop)
            }
            Holder::Profile { proxy, config, devices, generation, .. } => {
                session.allowed(|| proxy.replace_config(config, devices, *generation, &options)).await.map(drop)
            }
        }
    }

    /// All devices it has, those of its profiles too.
    pub(crate) async fn expanded(&mut self, session: &Session) -> Result<Devices, Failure> {
        match self {
            Holder::Profile { devices, .. } => Ok(devices.clone()),
            Holder::Instance { proxy, .. } => {
                let expanded = Options::from([("expanded", true.into())]);
                let (_, all, _, _) = session.allowed(|| proxy.get_config(&expanded)).await?;
                Ok(all)
            }
        }
    }

    /// The device, with the profiles' one copied in when the instance only inherits it.
    async fn own(&mut self, session: &Session, name: &str, device: &str) -> Result<&mut Config, Failure> {
        if !self.devices().contains_key(device) {
            let inherited = self.expanded(session).await?.remove(device).ok_or_else(|| no_device(name, device))?;
            // Its path of the host is there already, by way of a profile.
            let (Holder::Instance { before, .. } | Holder::Profile { before, .. }) = self;
            before.insert(device.to_owned(), inherited.clone());
            self.devices().insert(device.to_owned(), inherited);
        }
        self.devices().get_mut(device).ok_or_else(|| no_device(name, device))
    }
}

pub(crate) fn no_device(holder: &str, device: &str) -> Failure {
    Failure::of(Kind::NoSuchDevice, format!("{holder} has no device {}", quoted(device)))
}

/// Runs a verb of `config device` or `profile device`.
pub(crate) async fn run(session: &Session, args: &Args, of: Of) -> Result<(), Failure> {
    match args {
        Args::List { holder, format } => {
            let mut read = Holder::read(session, holder, of).await?;
            let mut table = Table::new(["NAME", "TYPE"]);
            for (name, keys) in read.devices().iter() {
                table.push([name.as_str(), keys.get("type").map_or("", String::as_str)]);
            }
            render::show(format.format, session.quiet, &table, read.devices())
        }
        Args::Show { holder, format } => render::document(format.format, Holder::read(session, holder, of).await?.devices()),
        Args::Get { holder, device, key } => {
            let mut read = Holder::read(session, holder, of).await?;
            let keys = read.devices().get(device).ok_or_else(|| no_device(holder, device))?;
            render::print(&format!("{}\n", keys.get(key).map_or("", String::as_str)))
        }
        Args::Override { .. } if of == Of::Profile => {
            Err(Failure::usage("a profile inherits no devices: use profile device set"))
        }
        _ => change(session, args, of).await,
    }
}

async fn change(session: &Session, args: &Args, of: Of) -> Result<(), Failure> {
    let holder = match args {
        Args::Add { holder, .. }
        | Args::Remove { holder, .. }
        | Args::Set { holder, .. }
        | Args::Unset { holder, .. }
        | Args::Override { holder, .. }
        | Args::List { holder, .. }
        | Args::Show { holder, .. }
        | Args::Get { holder, .. } => holder,
    };
    let mut read = Holder::read(session, holder, of).await?;
    match args {
        Args::Add { device, kind, keys, .. } => {
            let mut new = pairs::config(keys);
            new.insert("type".to_owned(), kind.clone());
            add(read.devices(), holder, device, new)?;
        }
        Args::Remove { devices, .. } => {
            for device in devices {
                read.devices().remove(device).ok_or_else(|| no_device(holder, device))?;
            }
        }
        Args::Set { device, keys, .. } => {
            let keys = pairs::from_words(keys, &mut std::io::stdin())?;
            read.own(session, holder, device).await?.extend(keys);
        }
        Args::Unset { device, key, .. } => {
            let keys = read.devices().get_mut(device).ok_or_else(|| no_device(holder, device))?;
            if keys.remove(key).is_none() {
                return Ok(());
            }
        }
        Args::Override { device, keys, .. } => {
            if read.devices().contains_key(device) {
                let taken = format!("{holder} has its own device {} already", quoted(device));
                return Err(Failure::of(Kind::AlreadyExists, taken).hint("config device set changes it"));
            }
            read.own(session, holder, device).await?.extend(pairs::config(keys));
        }
        Args::List { .. } | Args::Show { .. } | Args::Get { .. } => return Ok(()),
    }
    read.write(session, holder).await
}

pub(crate) fn add(devices: &mut Devices, holder: &str, device: &str, keys: BTreeMap<String, String>) -> Result<(), Failure> {
    if devices.contains_key(device) {
        return Err(Failure::of(Kind::AlreadyExists, format!("{holder} has a device {} already", quoted(device))));
    }
    devices.insert(device.to_owned(), keys);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_not_added_twice() {
        let mut devices = Devices::new();
        add(&mut devices, "c1", "eth1", Config::from([("type".into(), "nic".into())])).unwrap();
        assert_eq!(add(&mut devices, "c1", "eth1", Config::new()).unwrap_err().code, 4);
        assert_eq!(devices["eth1"]["type"], "nic");
    }
}
