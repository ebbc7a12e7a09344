//! Writes what the daemon wants to have in a root before a start: host name, hosts, machine id. Only
//! once per name, so that what the guest changes later stays. The tree is the guest's: everything is
//! beneath its descriptor, and what is in the way is left alone. Called by the drivers.

use super::layout::PREPARED as DONE;
use crate::blocking::blocking;
use lxhost_model::{Error, ObjectId, Result};
use lxhost_safefs::{Dir, Durability};
use rustix::fs::{FileType, Gid, Mode, Uid};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// Files below `/etc` that are written.
const WRITTEN: [&str; 3] = ["hostname", "hosts", "machine-id"];
/// Most bytes of a file that is changed in place.
const CAP: u64 = 64 << 10;

/// A root: where changes go, and what lies under it.
pub(super) struct Root<'a> {
    /// The instance's own tree or upper layer.
    pub(super) top: &'a Path,
    /// The trees under it, for an overlay, the topmost first.
    pub(super) below: &'a [PathBuf],
}

/// Prepares `root` for the instance kept in `beside`.
///
/// # Errors
/// `NoSpace`, `Failed`. A guest that has made `/etc` something else is no error: it is left so.
pub(super) fn run(beside: &Path, root: &Root<'_>, instance: ObjectId, hostname: &str) -> Result<()> {
    let failed = |e: io::Error| Error::io("prepare its root", &e);
    let done = done(beside).map_err(failed)?;
    if done.as_deref() == Some(hostname.as_bytes()) {
        return Ok(());
    }
    if let Some(etc) = Etc::open(root).map_err(failed)? {
        etc.write("hostname", &format!("{hostname}\n"), 0o644).map_err(failed)?;
        let hosts = etc.read("hosts").map_err(failed)?;
        if let Some(hosts) = hosts_with(hosts.as_deref(), hostname) {
            etc.write("hosts", &hosts, 0o644).map_err(failed)?;
        }
        // An image's machine id would be every container's. A renamed instance keeps its own.
        if done.is_none() && etc.read("machine-id").map_err(failed)?.is_some() {
            etc.write("machine-id", &format!("{instance}\n"), 0o444).map_err(failed)?;
        }
    }
    Ok(())
}

/// Makes durable what `run` has written into the tree `top`, and only then says that it is done: when the
/// power is cut before, the next start writes it again.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) async fn keep(beside: PathBuf, top: PathBuf, hostname: &str) -> Result<()> {
    let hostname = hostname.to_owned();
    let what = format!("keep the root of {hostname}");
    if done(&beside).map_err(|e| Error::io(&what, &e))?.as_deref() == Some(hostname.as_bytes()) {
        return Ok(());
    }
    blocking("keep the root", move || keep_now(&beside, &top, &hostname).map_err(|e| Error::io(&what, &e))).await
}

fn keep_now(beside: &Path, top: &Path, hostname: &str) -> io::Result<()> {
    let top = Dir::open(top)?;
    // What the guest has made of it meanwhile is the guest's.
    if let Ok(etc) = top.open_dir("etc") {
        WRITTEN.iter().try_for_each(|name| etc.sync_file(OsStr::new(name)))?;
        etc.sync()?;
        top.sync()?;
    }
    note_done(beside, hostname)
}

fn note_done(beside: &Path, hostname: &str) -> io::Result<()> {
    Dir::open(beside)?.replace_file(OsStr::new(DONE), hostname.as_bytes(), 0o600, Durability::Memory)
}

/// The host name last written and kept.
///
/// # Errors
/// `Failed`.
pub(super) fn prepared_for(beside: &Path) -> Result<Option<String>> {
    let name = done(beside).map_err(|e| Error::io("look at its root", &e))?;
    Ok(name.and_then(|name| String::from_utf8(name).ok()))
}

/// Notes that the root beside came with all that is written into one.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) fn note(beside: &Path, hostname: &str) -> Result<()> {
    note_done(beside, hostname).map_err(|e| Error::io("keep its root", &e))
}

/// The host name last written and kept.
fn done(beside: &Path) -> io::Result<Option<Vec<u8>>> {
    Dir::open(beside)?.read_file(OsStr::new(DONE), 256)
}

/// `/etc` of a root.
struct Etc {
    top: Dir,
    /// Those of the layers under it that show through, the topmost first.
    below: Vec<Dir>,
}

impl Etc {
    /// Opens it; makes it in the upper layer with the image's owner and mode. `None`: it is no directory.
    fn open(root: &Root<'_>) -> io::Result<Option<Etc>> {
        let name = OsStr::new("etc");
        let top = Dir::open(root.top)?;
        let found = match top.stat(name)? {
            Some(stat) if is_directory(&stat) => Some(top.open_dir(name)?),
            Some(_) => return Ok(None),
            None => None,
        };
        let mut below = vec![];
        let mut covered = found.as_ref().map(is_opaque).transpose()?.unwrap_or_default();
        for layer in root.below {
            let layer = Dir::open(layer)?;
            match layer.stat(name)? {
                _ if covered => break,
                None => {}
                Some(stat) if is_directory(&stat) => {
                    let etc = layer.open_dir(name)?;
                    covered = is_opaque(&etc)?;
                    below.push(etc);
                }
                // Something else that shows through, such as a link, must not be covered.
                Some(stat) if found.is_none() && below.is_empty() && !is_whiteout(&stat) => return Ok(None),
                Some(_) => covered = true,
            }
        }
        match found {
            Some(etc) => Ok(Some(Etc { top: etc, below })),
            None => {
                let etc = top.make_dir(name, 0o755)?;
                if let Some(below) = below.first() {
                    let (stat, etc) = (rustix::fs::fstat(below)?, etc.readable()?);
                    rustix::fs::fchown(&etc, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
                    rustix::fs::fchmod(&etc, Mode::from_raw_mode(stat.st_mode))?;
                }
                Ok(Some(Etc { top: etc, below }))
            }
        }
    }

    /// A small regular file, as the guest sees it; `None` for anything else.
    fn read(&self, name: &str) -> io::Result<Option<String>> {
        let name = OsStr::new(name);
        let mut from = &self.top;
        for layer in &self.below {
            if from.stat(name)?.is_some() {
                break;
            }
            from = layer;
        }
        match from.read_file(name, CAP) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok())),
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes a file; a directory of that name stays.
    fn write(&self, name: &str, contents: &str, mode: u32) -> io::Result<()> {
        match self.top.replace_file(OsStr::new(name), contents.as_bytes(), mode, Durability::Memory) {
            Err(e) if e.kind() == io::ErrorKind::IsADirectory => Ok(()),
            written => written,
        }
    }
}

fn is_directory(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Whether it is overlayfs' mark of something that was deleted.
fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether the guest has emptied the directory before filling it again (overlayfs' mark).
fn is_opaque(dir: &Dir) -> io::Result<bool> {
    let mut value = [0u8; 8];
    let read = rustix::fs::fgetxattr(dir.readable()?, "trusted.overlay.opaque", &mut value);
    Ok(read.is_ok_and(|n| value[..n] == *b"y"))
}

/// `/etc/hosts` with this host name; `None` when it has it already.
pub(crate) fn hosts_with(hosts: Option<&str>, hostname: &str) -> Option<String> {
    const OURS: &str = "127.0.1.1";
    let Some(hosts) = hosts else {
        return Some(format!("127.0.0.1\tlocalhost\n{OURS}\t{hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n"));
    };
    let words = |line: &str| line.split('#').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if hosts.lines().any(|line| words(line).iter().skip(1).any(|word| word == hostname)) {
        return None;
    }
    let ours = |line: &str| words(line).first().is_some_and(|word| word == OURS);
    let mut kept: Vec<&str> = hosts.lines().filter(|line| !ours(line)).collect();
    let line = format!("{OURS}\t{hostname}");
    let place = kept.iter().position(|line| words(line).first().is_some_and(|word| word == "127.0.0.1")).map_or(0, |n| n + 1);
    kept.insert(place, &line);
    Some(kept.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn id() -> ObjectId {
        ObjectId::from_random([7; 16])
    }

    /// An image with /etc, an upper layer, the directory beside, and a canary.
    fn place() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for dir in ["image/etc", "beside", "upper", "outside"] {
            fs::create_dir_all(place.path().join(dir)).unwrap();
        }
        fs::set_permissions(place.path().join("image/etc"), fs::Permissions::from_mode(0o751)).unwrap();
        fs::write(place.path().join("image/etc/hosts"), "127.0.0.1 localhost\n").unwrap();
        fs::write(place.path().join("image/etc/machine-id"), "").unwrap();
        fs::write(place.path().join("outside/hostname"), "canary").unwrap();
        place
    }

    fn prepare(place: &Path, hostname: &str) -> Result<()> {
        let (top, below) = (place.join("upper"), place.join("image"));
        run(&place.join("beside"), &Root { top: &top, below: &[below] }, id(), hostname)
    }

    fn keep(place: &Path, hostname: &str) {
        keep_now(&place.join("beside"), &place.join("upper"), hostname).unwrap();
    }

    #[test]
    fn an_upper_layer_gets_its_files_and_the_image_s_directory_mode() {
        let place = place();
        prepare(place.path(), "c1").unwrap();
        let read = |name: &str| fs::read_to_string(place.path().join("upper/etc").join(name)).unwrap();
        assert_eq!(read("hostname"), "c1\n");
        assert_eq!(read("hosts"), "127.0.0.1 localhost\n127.0.1.1\tc1\n");
        assert_eq!(read("machine-id"), format!("{}\n", id()));
        assert_eq!(fs::metadata(place.path().join("upper/etc")).unwrap().mode() & 0o7777, 0o751);
        assert_eq!(fs::read_to_string(place.path().join("image/etc/hosts")).unwrap(), "127.0.0.1 localhost\n");
    }

    #[test]
    fn what_the_guest_changes_stays_until_the_instance_is_renamed() {
        let place = place();
        prepare(place.path(), "c1").unwrap();
        keep(place.path(), "c1");
        let hostname = place.path().join("upper/etc/hostname");
        fs::write(&hostname, "mine\n").unwrap();
        prepare(place.path(), "c1").unwrap();
        assert_eq!(fs::read_to_string(&hostname).unwrap(), "mine\n");
        prepare(place.path(), "c2").unwrap();
        assert_eq!(fs::read_to_string(&hostname).unwrap(), "c2\n");
        let hosts = fs::read_to_string(place.path().join("upper/etc/hosts")).unwrap();
        assert_eq!(hosts, "127.0.0.1 localhost\n127.0.1.1\tc2\n");
    }

    #[test]
    fn what_may_not_have_reached_the_disk_is_written_again() {
        let place = place();
        prepare(place.path(), "c1").unwrap();
        // What a power cut leaves of a file that was not synced.
        let hostname = place.path().join("upper/etc/hostname");
        fs::write(&hostname, "").unwrap();
        prepare(place.path(), "c1").unwrap();
        assert_eq!(fs::read_to_string(&hostname).unwrap(), "c1\n");
    }

    #[test]
    fn links_pipes_and_directories_that_a_guest_planted_lead_nowhere() {
        type Plant = fn(&Path);
        let plant: [(&str, Plant); 4] = [
            ("etc is a link out", |p| symlink("../outside", p.join("upper/etc")).unwrap()),
            ("hostname is a link out", |p| {
                fs::create_dir(p.join("upper/etc")).unwrap();
                symlink("../../outside/hostname", p.join("upper/etc/hostname")).unwrap();
            }),
            ("hostname is a directory", |p| fs::create_dir_all(p.join("upper/etc/hostname")).unwrap()),
            ("hosts is a pipe", |p| {
                fs::create_dir(p.join("upper/etc")).unwrap();
                let pipe = p.join("upper/etc/hosts");
                rustix::fs::mknodat(rustix::fs::CWD, pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
            }),
        ];
        for (what, plant) in plant {
            let place = place();
            plant(place.path());
            prepare(place.path(), "c1").unwrap();
            assert_eq!(fs::read_to_string(place.path().join("outside/hostname")).unwrap(), "canary", "{what}");
            assert_eq!(fs::read_dir(place.path().join("outside")).unwrap().count(), 1, "{what}");
        }
    }

    #[test]
    fn an_image_whose_etc_is_a_link_is_not_covered() {
        let place = place();
        fs::remove_dir_all(place.path().join("image/etc")).unwrap();
        symlink("usr/etc", place.path().join("image/etc")).unwrap();
        prepare(place.path(), "c1").unwrap();
        assert_eq!(fs::read_dir(place.path().join("upper")).unwrap().count(), 0);
    }
}
