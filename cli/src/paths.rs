//! Paths of the host among devices: found through links that the caller or root has made, and opened with the caller's
//! rights, which is what the daemon wants to see of everybody but root.

use crate::failure::Failure;
use lxhost_dbus::{Config, Devices, Options};
use lxhost_model::Kind;
use lxhost_model::name::quoted;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use zbus::wire::{Fd, Variant};

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

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
                Err(Unfit::Errno(Errno::NOENT)) if optional => {}
                Err(unfit) => {
                    let denied = matches!(unfit, Unfit::Errno(Errno::ACCESS));
                    let kind = if denied { Kind::AccessDenied } else { Kind::InvalidConfig };
                    return Err(Failure::of(kind, format!("device {name}: source {}: {unfit}", quoted(&path))));
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

/// Why a path is not brought.
#[derive(Debug)]
enum Unfit {
    /// The kernel says no.
    Errno(Errno),
    /// Whoever made the link decides where it leads.
    Link { path: PathBuf, owner: u32 },
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unfit::Errno(errno) => errno.fmt(f),
            Unfit::Link { path, owner } => {
                write!(f, "{} is a symbolic link of user {owner}", quoted(&path.to_string_lossy()))
            }
        }
    }
}

impl From<Errno> for Unfit {
    fn from(errno: Errno) -> Self {
        Unfit::Errno(errno)
    }
}

/// Where a path really leads, and what is there, open for reading. Sockets and the like are not opened: root alone
/// brings them.
fn open(path: &str) -> Result<(String, Option<OwnedFd>), Unfit> {
    let real = resolve(Path::new(path), &[0, rustix::process::geteuid().as_raw()])?;
    // Whoever puts a link there by now is too late.
    let links = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let found = openat2(CWD, &real, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), links)?;
    let real = real.into_os_string().into_string().map_err(|_| Errno::ILSEQ)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
    if !matches!(kind, FileType::Directory | FileType::RegularFile) {
        return Ok((real, None));
    }
    let own = format!("/proc/self/fd/{}", found.as_fd().as_raw_fd());
    let file = rustix::fs::open(&own, OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    Ok((real, Some(file)))
}

/// The path without links, all of which belong to `owners`.
fn resolve(path: &Path, owners: &[u32]) -> Result<PathBuf, Unfit> {
    let (mut real, mut links) = (PathBuf::from("/"), 0);
    let parts = |path: &Path| path.components().map(|part| part.as_os_str().to_owned()).collect::<VecDeque<_>>();
    let mut left = parts(path);
    while let Some(part) = left.pop_front() {
        match part.as_encoded_bytes() {
            b"/" => real = PathBuf::from("/"),
            b"." => {}
            b".." => drop(real.pop()),
            _ => {
                let next = real.join(&part);
                let stat = rustix::fs::lstat(&next)?;
                if !FileType::from_raw_mode(stat.st_mode).is_symlink() {
                    real = next;
                    continue;
                }
                if !owners.contains(&stat.st_uid) {
                    return Err(Unfit::Link { path: next, owner: stat.st_uid });
                }
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP.into());
                }
                let to = rustix::fs::readlink(&next, Vec::new())?;
                let mut ahead = parts(Path::new(OsStr::from_bytes(to.as_bytes())));
                ahead.append(&mut left);
                left = ahead;
            }
        }
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(pairs: &[(&str, &str)]) -> Devices {
        let keys = [("type", "disk"), ("path", "/mnt")].iter().chain(pairs);
        [("d".to_owned(), keys.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())].into()
    }

    #[test]
    fn links_of_the_caller_are_followed_and_those_of_others_are_not() {
        let place = std::env::temp_dir().join(format!("lxctl-paths-{}", std::process::id()));
        std::fs::create_dir_all(place.join("real/dir")).unwrap();
        let place = place.canonicalize().unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, place.join(name)).unwrap();
        link("real/../real", "link");
        link("round", "round");
        link("/", "up");
        let own = rustix::process::geteuid().as_raw();
        let found = |path: &str, owners: &[u32]| resolve(&place.join(path), owners);
        assert_eq!(found("link/dir", &[own]).unwrap(), place.join("real/dir"));
        assert_eq!(found("up/../..", &[own]).unwrap(), Path::new("/"));
        assert!(matches!(found("round", &[own]), Err(Unfit::Errno(Errno::LOOP))));
        assert!(matches!(found("link/dir", &[own + 1]), Err(Unfit::Link { owner, .. }) if owner == own));
        assert!(matches!(found("real/none", &[own]), Err(Unfit::Errno(Errno::NOENT))));
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn a_path_is_written_as_it_really_is() {
        let mut devices = disk(&[("source", "/proc/../..//tmp")]);
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
