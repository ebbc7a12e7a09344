//! Devices of type `disk` that are a volume of a pool. Names are LXD's.
//!
//! Pure. Root disks, and disks with a path of the host, are not read here.

use crate::config::parse_bool;
use crate::name::{PoolName, VolumeName, quoted};
use crate::{Error, Kind};
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// Longest path inside, in bytes.
const MAX_PATH: usize = 1024;
/// Places of the kernel and of the monitor, where nothing else is mounted.
const TAKEN: &[&str] = &["/proc", "/sys", "/dev", "/run/host"];

/// A volume as an instance sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The pool.
    pub pool: PoolName,
    /// The volume.
    pub volume: VolumeName,
    /// Absolute path inside.
    pub path: String,
    /// Whether it can only be read.
    pub read_only: bool,
}

impl Disk {
    /// Reads the keys of a device; `None` for one that is no volume.
    ///
    /// # Errors
    /// `InvalidConfig`, `InvalidName`.
    pub fn read(keys: &BTreeMap<String, String>) -> Result<Option<Disk>, Error> {
        let bad = |why: String| Error::new(Kind::InvalidConfig, why);
        let get = |key: &str| keys.get(key).map(String::as_str);
        let (Some("disk"), Some(pool), Some(source)) = (get("type"), get("pool"), get("source")) else { return Ok(None) };
        let path = get("path").ok_or_else(|| bad("path: it is missing; for example path=/srv".into()))?;
        let plain = Path::new(path).components().skip(1).all(|part| matches!(part, Component::Normal(_)));
        if !path.starts_with('/') || path.len() > MAX_PATH || !plain || path.contains('\n') {
            return Err(bad(format!("path: {} is not a plain absolute path", quoted(path))));
        }
        if path.trim_matches('/').is_empty() {
            return Err(bad("path: a volume cannot be the root".into()));
        }
        if let Some(taken) = TAKEN.iter().find(|taken| Path::new(path).starts_with(taken)) {
            return Err(bad(format!("path: nothing can be mounted in {taken}")));
        }
        if keys.contains_key("size") {
            return Err(bad("size: it is for the root disk".into()));
        }
        let read_only = match get("readonly").filter(|value| !value.is_empty()) {
            None => false,
            Some(value) => parse_bool(value).ok_or_else(|| bad("readonly: expected true or false".into()))?,
        };
        Ok(Some(Disk { pool: pool.parse()?, volume: source.parse()?, path: path.to_owned(), read_only }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<Disk>, Error> {
        let usual = [("type", "disk"), ("pool", "default"), ("source", "data"), ("path", "/srv/data")];
        let keys = usual.iter().chain(pairs).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Disk::read(&keys.filter(|(_, value)| value != "-").collect())
    }

    #[test]
    fn a_volume_is_mounted_where_the_keys_say() {
        let disk = read(&[("readonly", "true")]).unwrap().unwrap();
        assert_eq!((disk.volume.as_str(), disk.path.as_str(), disk.read_only), ("data", "/srv/data", true));
        assert!(
            Disk::read(&[("type".to_owned(), "disk".to_owned()), ("path".to_owned(), "/".to_owned())].into()).unwrap().is_none()
        );
    }

    #[test]
    fn places_that_are_no_mans_or_the_kernels_are_refused() {
        for path in ["srv", "", "/", "//", "/srv/../etc", "/proc/x", "/sys", "/dev/shm", "/run/host/x", "/a\nb"] {
            assert_eq!(read(&[("path", path)]).unwrap_err().kind, Kind::InvalidConfig, "{path}");
        }
        for (key, value) in [("readonly", "perhaps"), ("size", "1GiB")] {
            assert_eq!(read(&[(key, value)]).unwrap_err().kind, Kind::InvalidConfig, "{key}={value}");
        }
        assert_eq!(read(&[("source", "../x")]).unwrap_err().kind, Kind::InvalidName);
    }
}
