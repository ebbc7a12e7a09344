//! Instances as backups say them, and back: the daemon's own facts stand among the keys, as LXD has them. Pure; called
//! by `instance.export` and `instance.import`.

use lxhost_model::backup::{Described, Shift, Words};
use lxhost_model::config::{Config, INSTANCE};
use lxhost_model::device::{Device, Devices};
use lxhost_model::instance::Expanded;
use lxhost_model::name::quoted;
use lxhost_model::{Error, Instance, Kind, Result};
use std::collections::BTreeMap;

/// Before keys that a daemon keeps for itself.
const VOLATILE: &str = "volatile.";
/// How a root was shifted, among these.
const SHIFTS: &str = "last_state.idmap";
/// The kernel takes no more (user_namespaces(7)).
const MOST_SHIFTS: usize = 340;
/// Before what an image said about itself.
const IMAGE: &str = "image.";

/// An instance as a backup says it, with what its profiles make of it.
pub(crate) fn described(instance: &Instance, expanded: &Expanded) -> Described {
    let below = |top: &'static str, words: &Config| -> Words {
        words.iter().map(|(key, value)| (format!("{top}{key}"), value.clone())).collect()
    };
    let mut config = instance.config.clone();
    config.extend(below(VOLATILE, &instance.volatile));
    config.extend(below(IMAGE, &instance.image_properties));
    let out = |devices: &Devices| -> BTreeMap<String, Words> {
        devices.iter().map(|(name, device)| (name.to_string(), device.keys().clone())).collect()
    };
    let mut expanded_devices = out(&expanded.devices);
    if !expanded.devices.values().any(Device::is_root) {
        // LXD has no instance without one.
        let root = [("type", "disk"), ("path", "/"), ("pool", instance.pool.as_str())];
        expanded_devices.insert("root".into(), root.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }
    Described {
        description: instance.description.clone(),
        architecture: instance.architecture.clone(),
        ephemeral: instance.ephemeral,
        profiles: instance.profiles.iter().map(ToString::to_string).collect(),
        expanded_config: expanded.config.clone().into_iter().chain(config.clone()).collect(),
        expanded_devices,
        config,
        devices: out(&instance.devices),
        created: instance.created,
    }
}

/// What a backup says, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sorted {
    /// Keys that may be set here.
    pub(crate) config: Config,
    /// Devices that may be had here.
    pub(crate) devices: Devices,
    /// How the ids of files in its root were shifted.
    pub(crate) shifts: Vec<Shift>,
    /// Hardware addresses, by key.
    pub(crate) addresses: Config,
    /// What the image said about itself.
    pub(crate) image: Config,
    /// What has no meaning here, a line each.
    pub(crate) left_out: Vec<String>,
}

/// Sorts what a backup says. What this version does not know is left out, and said.
///
/// # Errors
/// `InvalidConfig` for a known key with a malformed value, `InvalidName` for a device with a malformed name.
pub(crate) fn sorted(said: &Described) -> Result<Sorted> {
    let mut all = Sorted::default();
    for (key, value) in &said.config {
        if let Some(key) = key.strip_prefix(VOLATILE) {
            // Everything else of these is about the host that it was on.
            if key == SHIFTS {
                all.shifts = shifts_of(&format!("{VOLATILE}{SHIFTS}"), value)?;
            } else if key.ends_with(".hwaddr") {
                all.addresses.insert(key.to_owned(), value.clone());
            }
        } else if let Some(key) = key.strip_prefix(IMAGE) {
            lxhost_model::config::check_text(key, value)?;
            all.image.insert(key.to_owned(), value.clone());
        } else if is_known(key) {
            lxhost_model::config::check_instance(key, value)?;
            all.config.insert(key.clone(), value.clone());
        } else {
            all.left_out.push(format!("configuration key {} has no meaning here and was left out", quoted(key)));
        }
    }
    for (name, keys) in &said.devices {
        let name = name.parse()?;
        match Device::new(&name, keys.clone()) {
            Ok(device) => drop(all.devices.insert(name, device)),
            Err(error) => all.left_out.push(format!("left out: {error}")),
        }
    }
    Ok(all)
}

/// A range of LXD's, as it notes how it has shifted a root.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Range {
    isuid: bool,
    isgid: bool,
    hostid: u32,
    nsid: u32,
    maprange: u32,
}

/// How the ids of files were shifted, as the key says in LXD's words.
///
/// # Errors
/// `InvalidConfig`.
pub(crate) fn shifts_of(key: &str, text: &str) -> Result<Vec<Shift>> {
    let bad = || Error::new(Kind::InvalidConfig, format!("configuration key {key} is malformed"));
    if text.is_empty() {
        return Ok(vec![]);
    }
    let ranges: Vec<Range> = serde_json::from_str(text).map_err(|_| bad())?;
    if ranges.len() > MOST_SHIFTS {
        return Err(bad());
    }
    let shift = |r: Range| Shift { uid: r.isuid, gid: r.isgid, host: r.hostid, inside: r.nsid, count: r.maprange };
    Ok(ranges.into_iter().map(shift).collect())
}

fn is_known(key: &str) -> bool {
    key.starts_with("user.") || key.starts_with("environment.") || INSTANCE.iter().any(|known| known.name == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(config: &[(&str, &str)]) -> Described {
        Described { config: config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(), ..Described::default() }
    }

    #[test]
    fn keys_are_sorted_by_whose_they_are() {
        let sorted = sorted(&said(&[
            ("limits.memory", "1GiB"),
            ("user.note", "x"),
            ("image.os", "Debian"),
            ("volatile.eth0.hwaddr", "02:00:00:00:00:01"),
            ("volatile.idmap.base", "100000"),
            ("security.syscalls.intercept.mknod", "true"),
        ]))
        .unwrap();
        assert_eq!(sorted.config.keys().collect::<Vec<_>>(), ["limits.memory", "user.note"]);
        assert_eq!(sorted.image["os"], "Debian");
        assert_eq!(sorted.addresses.keys().collect::<Vec<_>>(), ["eth0.hwaddr"]);
        assert_eq!(sorted.left_out.len(), 1, "{:?}", sorted.left_out);
    }

    #[test]
    fn a_known_key_with_a_malformed_value_is_refused() {
        for (key, value) in [("limits.memory", "a lot"), ("user.note", "a\0b"), ("user.", "x"), ("image.os", "a\0b")] {
            assert!(sorted(&said(&[(key, value)])).is_err(), "{key}");
        }
        let mut devices = said(&[]);
        devices.devices.insert("../x".into(), Words::from([("type".into(), "none".into())]));
        assert!(sorted(&devices).is_err());
    }

    #[test]
    fn shifts_are_those_that_lxd_notes() {
        let text = r#"[{"Isuid":true,"Isgid":false,"Hostid":1000000,"Nsid":0,"Maprange":65536}]"#;
        let shift = Shift { uid: true, gid: false, host: 1_000_000, inside: 0, count: 65_536 };
        assert_eq!(sorted(&said(&[("volatile.last_state.idmap", text)])).unwrap().shifts, [shift]);
        assert_eq!(sorted(&said(&[("volatile.last_state.idmap", "[]")])).unwrap().shifts, []);
        let many = format!("[{}]", vec![&text[1..text.len() - 1]; 341].join(","));
        for bad in ["{}", "[1]", r#"[{"Isuid":true,"Isgid":false,"Hostid":-1,"Nsid":0,"Maprange":1}]"#, &many] {
            assert!(sorted(&said(&[("volatile.last_state.idmap", bad)])).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_device_that_is_not_known_here_is_left_out() {
        let mut devices = said(&[]);
        devices.devices.insert("gpu0".into(), Words::from([("type".into(), "gpu".into())]));
        let root = [("type", "disk"), ("path", "/"), ("size", "10GiB")].map(|(key, value)| (key.into(), value.into()));
        devices.devices.insert("root".into(), Words::from(root));
        let sorted = sorted(&devices).unwrap();
        assert_eq!((sorted.devices.len(), sorted.left_out.len()), (1, 1));
        assert_eq!(lxhost_model::device::root_quota(&sorted.devices).unwrap(), Some(10 << 30));
    }
}
