//! Paths of the host among devices: found as whoever calls finds them, through links or not, and opened with his rights,
//! which is what the daemon wants to see of everybody but root.

use crate::failure::Failure;
use lxhost_dbus::{Config, Devices, Options};
use lxhost_model::Kind;
use lxhost_model::name::quoted;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use zbus::wire::{Fd, Variant};

/// Files that show what a call brings.
pub(crate) struct Shown(Vec<OwnedFd>);

impl Shown {
    /// Opens paths of the host in `devices` that are not in `before`, and writes down where they really are.
    pub(crate) fn of(devices: &mut Devices, before: &Devices) -> Result<Shown, Failure> {
        let known: BTreeSet<&str> = before.values().filter_map(host_path).collect();
        let mut files = Vec::new();
        for (name, keys) in devices {
            let Some(path) = host_path(keys).filter(|path| !known.contains(path)).map(str::to_owned) else { continue };
            let optional = keys.get("required").is_some_and(|value| lxhost_model::config::parse_bool(value) == Some(false));
            match open(&path) {
                Ok((real, file)) => {
                    keys.insert("source".to_owned(), real);
                    files.extend(file);
                }
                Err(Errno::NOENT) if optional => {}
                Err(errno) => {
                    let kind = if errno == Errno::ACCESS { Kind::AccessDenied } else { Kind::InvalidConfig };
                    return Err(Failure::of(kind, format!("device {name}: source {}: {errno}", quoted(&path))));
                }
            }
        }
        Ok(Shown(files))
    }

    /// Adds them to the options of the call.
    pub(crate) fn add_to<'a>(&'a self, options: &mut Options<'a>) {
        if !self.0.is_empty() {
            let files: Vec<Fd<'a>> = self.0.iter().map(|file| Fd::from(file.as_fd())).collect();
            options.insert("paths", Variant::from(files));
        }
    }
}

/// The path of the host that a device is.
fn host_path(keys: &Config) -> Option<&str> {
    let get = |key: &str| keys.get(key).map(String::as_str).unwrap_or_default();
    let is_disk = get("type") == "disk" && get("pool").is_empty() && get("path") != "/";
    Some(get("source")).filter(|source| is_disk && source.starts_with('/'))
}

/// Where a path really leads, and what is there, open for reading. Sockets and the like are not opened: root alone
/// brings them.
fn open(path: &str) -> Result<(String, Option<OwnedFd>), Errno> {
    let found = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let own = format!("/proc/self/fd/{}", found.as_fd().as_raw_fd());
    let real = rustix::fs::readlink(&own, Vec::new())?.into_string().map_err(|_| Errno::ILSEQ)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
    if !matches!(kind, FileType::Directory | FileType::RegularFile) {
        return Ok((real, None));
    }
    let file = rustix::fs::open(&own, OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    Ok((real, Some(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(pairs: &[(&str, &str)]) -> Devices {
        let keys = [("type", "disk"), ("path", "/mnt")].iter().chain(pairs);
        [("d".to_owned(), keys.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())].into()
    }

    #[test]
    fn a_path_is_written_as_it_really_is() {
        let mut devices = disk(&[("source", "/proc/self/../..//tmp")]);
        let shown = Shown::of(&mut devices, &Devices::new()).unwrap();
        assert_eq!((devices["d"]["source"].as_str(), shown.0.len()), ("/tmp", 1));
        let mut options = Options::new();
        shown.add_to(&mut options);
        assert!(options.contains_key("paths"));
    }

    #[test]
    fn only_new_paths_of_the_host_are_opened() {
        for other in [
            disk(&[("source", "data"), ("pool", "default")]),
            disk(&[("source", "tmpfs:")]),
            disk(&[("source", "/nowhere"), ("required", "false")]),
        ] {
            let mut devices = other.clone();
            assert!(Shown::of(&mut devices, &Devices::new()).unwrap().0.is_empty());
            assert_eq!(devices, other);
        }
        let mut known = disk(&[("source", "/nowhere")]);
        assert!(Shown::of(&mut known.clone(), &known).is_ok());
        let error = Shown::of(&mut known, &Devices::new()).err().unwrap();
        assert!(error.code == 2 && error.message.contains("/nowhere"), "{}", error.message);
    }
}
