//! Devices of type `disk` beside the root: a volume of a pool, a path of the host, or memory. Names are LXD's and
//! Incus'.
//!
//! Pure. What the root may say is checked here too; its pool is read by others.

use crate::config::parse_bool;
use crate::name::{PoolName, VolumeName, quoted};
use crate::{Error, Kind};
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// Longest path inside or on the host, in bytes.
const MAX_PATH: usize = 1024;
/// Places of the kernel and of the monitor, where nothing else is mounted.
const TAKEN: &[&str] = &["/proc", "/sys", "/dev", "/run/host"];
/// The source of a disk in memory, as Incus writes it.
const MEMORY: &str = "tmpfs:";

const KEYS: &[&str] = &["type", "path", "pool", "size", "source", "readonly", "recursive", "propagation", "required", "shift"];
/// Keys that LXD or Incus have for disks and that have no effect here, each with the reason.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("attached", "it is for virtual machines"),
    ("boot.priority", "it is for virtual machines"),
    ("ceph.cluster_name", "there is no Ceph here"),
    ("ceph.user_name", "there is no Ceph here"),
    ("dependent", "a volume goes by its own name"),
    ("io.bus", "it is for virtual machines"),
    ("io.cache", "it is for virtual machines"),
    ("io.threads", "it is for virtual machines"),
    ("limits.max", "disks have no limits yet"),
    ("limits.read", "disks have no limits yet"),
    ("limits.write", "disks have no limits yet"),
    ("raw.mount.options", "file systems are not mounted for guests; mount it on the host and give its path"),
    ("size.state", "it is for virtual machines"),
    ("wwn", "it is for virtual machines"),
];
/// Sources that LXD or Incus know and that are not to be had here.
const NO_SOURCES: &[(&str, &str)] = &[
    ("agent:", "it is for virtual machines"),
    ("ceph:", "there is no Ceph here"),
    ("cephfs:", "there is no Ceph here"),
    ("cloud-init:", "it is for virtual machines"),
    ("tmpfs-overlay:", "use tmpfs:, or copy the instance"),
];
/// Keys that mean something for one kind of source.
const OF_HOST: &[&str] = &["recursive", "propagation", "required", "shift"];

/// A disk as an instance sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Disk {
    /// What is on it.
    pub source: DiskSource,
    /// Absolute path inside.
    pub path: String,
    /// Whether it can only be read.
    pub read_only: bool,
}

/// What is on a disk.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum DiskSource {
    /// A volume.
    Volume {
        /// The pool.
        pool: PoolName,
        /// The volume.
        volume: VolumeName,
    },
    /// A directory, file or socket of the host.
    Host(HostPath),
    /// Memory, gone when the instance stops.
    Memory {
        /// Bytes; `None`: as the kernel has it, half of the machine's.
        size: Option<u64>,
    },
}

/// A path of the host in an instance.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostPath {
    /// The path.
    pub path: String,
    /// With everything mounted below it.
    pub recursive: bool,
    /// Whether the instance does not start without it.
    pub required: bool,
    /// Whether what the host mounts below it later appears inside.
    pub follows: bool,
    /// Whether its ids are the same inside; else they belong to nobody there.
    pub mapped: bool,
}

impl Disk {
    /// Reads the keys of a device; `None` for one that is the root, or no disk.
    ///
    /// # Errors
    /// `InvalidConfig`, `InvalidName`; `Unsupported` for what has no effect here.
    pub fn read(keys: &BTreeMap<String, String>) -> Result<Option<Disk>, Error> {
        let get = |key: &str| keys.get(key).map(String::as_str).filter(|value| !value.is_empty());
        if get("type") != Some("disk") {
            return Ok(None);
        }
        check_keys(keys)?;
        let path = get("path").ok_or_else(|| bad("path: it is missing; for example path=/srv"))?;
        if path == "/" {
            return check_root(keys).map(|()| None);
        }
        let path = plain(path, "path")?;
        if path == "/" {
            return Err(bad("path: the root is written as a single /"));
        }
        if let Some(taken) = TAKEN.iter().find(|taken| Path::new(&path).starts_with(taken)) {
            return Err(bad(format!("path: nothing can be mounted in {taken}")));
        }
        let example = "source: it is missing; a volume beside pool=, a path of the host, or tmpfs:";
        let name = get("source").ok_or_else(|| bad(example))?;
        let source = match get("pool") {
            Some(pool) => DiskSource::Volume { pool: pool.parse()?, volume: name.parse()? },
            None if name == MEMORY => DiskSource::Memory { size: get("size").map(crate::size::parse_bytes).transpose()? },
            None => DiskSource::Host(HostPath::read(keys, name)?),
        };
        check_kind(keys, &source)?;
        Ok(Some(Disk { source, path, read_only: switch(keys, "readonly", false)? }))
    }
}

impl HostPath {
    fn read(keys: &BTreeMap<String, String>, path: &str) -> Result<HostPath, Error> {
        if let Some((name, why)) = NO_SOURCES.iter().find(|(name, _)| path.starts_with(name)) {
            return Err(Error::new(Kind::Unsupported, format!("source {name} is not supported: {why}")));
        }
        if !path.starts_with('/') {
            let what = format!("source: {} is no absolute path of the host; a volume needs pool= beside it", quoted(path));
            return Err(bad(what));
        }
        let path = plain(path, "source")?;
        let follows = match keys.get("propagation").map(String::as_str) {
            None | Some("" | "private" | "rprivate") => false,
            Some("slave" | "rslave") => true,
            Some(word @ ("shared" | "rshared")) => {
                let why = "what a guest mounts never appears on the host; slave brings what the host mounts";
                return Err(Error::new(Kind::Unsupported, format!("propagation={word} is not supported: {why}")));
            }
            Some(word @ ("unbindable" | "runbindable")) => {
                let why = "a guest could not have it in name spaces of its own";
                return Err(Error::new(Kind::Unsupported, format!("propagation={word} is not supported: {why}")));
            }
            Some(_) => return Err(bad("propagation: expected private, slave, rprivate or rslave")),
        };
        let (recursive, required) = (switch(keys, "recursive", false)?, switch(keys, "required", true)?);
        Ok(HostPath { path, recursive, required, follows, mapped: switch(keys, "shift", true)? })
    }
}

fn bad(why: impl Into<String>) -> Error {
    Error::new(Kind::InvalidConfig, why)
}

fn check_keys(keys: &BTreeMap<String, String>) -> Result<(), Error> {
    let Some(key) = keys.keys().find(|key| !KEYS.contains(&key.as_str())) else { return Ok(()) };
    let known = WITHOUT_EFFECT.iter().find(|(name, _)| name == key).map(|(_, why)| *why);
    match known.or_else(|| key.starts_with("initial.").then_some("set it when the volume is made")) {
        Some(why) => Err(Error::new(Kind::Unsupported, format!("key {key} is not supported: {why}"))),
        None => Err(bad(format!("a disk has no key {}", quoted(key)))),
    }
}

/// Bytes that a root with these keys may take; `None`: all that there is.
pub(super) fn quota(keys: &BTreeMap<String, String>) -> Result<Option<u64>, Error> {
    keys.get("size").map_or(Ok(None), |text| crate::size::parse_quota(text))
}

/// The root is what its pool makes of it.
fn check_root(keys: &BTreeMap<String, String>) -> Result<(), Error> {
    let set = |key: &&&str| keys.get(**key).is_some_and(|value| !value.is_empty());
    match OF_HOST.iter().chain(&["source"]).find(set) {
        Some(key) => Err(bad(format!("{key}: the root disk has none"))),
        None if switch(keys, "readonly", false)? => Err(bad("readonly: the root disk is written to")),
        None => quota(keys).map(drop),
    }
}

/// Keys of another kind of disk would have no effect.
fn check_kind(keys: &BTreeMap<String, String>, source: &DiskSource) -> Result<(), Error> {
    let set = |key: &str| keys.get(key).is_some_and(|value| !value.is_empty());
    if set("size") && !matches!(source, DiskSource::Memory { .. }) {
        return Err(bad("size: it is for source=tmpfs: and for the root; a volume has its own"));
    }
    if !matches!(source, DiskSource::Host(_))
        && let Some(key) = OF_HOST.iter().find(|key| set(key))
    {
        return Err(bad(format!("{key}: it is for a path of the host")));
    }
    Ok(())
}

/// An absolute path without `..` and line breaks, with single slashes.
fn plain(path: &str, key: &str) -> Result<String, Error> {
    let mut whole = String::new();
    let plain = Path::new(path).components().skip(1).all(|part| match part {
        Component::Normal(name) => {
            whole.push('/');
            whole.push_str(&name.to_string_lossy());
            true
        }
        _ => false,
    });
    if !path.starts_with('/') || path.len() > MAX_PATH || !plain || path.contains(['\n', '\0']) {
        return Err(bad(format!("{key}: {} is not a plain absolute path", quoted(path))));
    }
    Ok(if whole.is_empty() { "/".to_owned() } else { whole })
}

fn switch(keys: &BTreeMap<String, String>, key: &str, default: bool) -> Result<bool, Error> {
    match keys.get(key).filter(|value| !value.is_empty()) {
        None => Ok(default),
        Some(value) => parse_bool(value).ok_or_else(|| bad(format!("{key}: expected true or false"))),
    }
}

#[cfg(test)]
mod tests;
