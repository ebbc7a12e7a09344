//! Whether the directories of a pool are as this daemon makes them: root's alone, with no link where it makes none. The
//! trees within are guests' and are opened by other means; everything around them is reached by path, so whoever could
//! put a link there would be followed as root. Asked where a pool is taken in. Blocking code. Called by the drivers.

use super::below::BELOW;
use super::layout::{DEFINITION, IMAGE, Layout, PREPARED, QUOTA, SNAPSHOT, TREE, VOLUMES};
use super::overlay::PLAIN;
use lxhost_model::{Error, Kind, Result};
use lxhost_safefs::Dir;
use rustix::fs::{FileType, Stat};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Directories of a pool that nobody else may look into.
const PRIVATE: [&str; 5] = ["images", "instances", "snapshots", ".trash", VOLUMES];
/// What is a link, and what is no use as one: neither is ever followed.
const LINKS: [&str; 7] = [IMAGE, BELOW, DEFINITION, SNAPSHOT, PREPARED, QUOTA, TREE];
/// Others may write.
const WRITABLE: u32 = 0o022;
/// Files may be removed by their owners alone (S_ISVTX).
const STICKY: u32 = 0o1000;

/// Checks the pool at a place, with its volumes.
///
/// # Errors
/// `Untrusted` with the path that is not as it was made; `Failed` when one cannot be read.
pub(super) fn check(layout: &Layout) -> Result<()> {
    let top = Place::open(&layout.source)?;
    top.is_ours(WRITABLE)?;
    check_pool(&top)?;
    match top.entry(OsStr::new(VOLUMES))? {
        Some(_) => check_pool(&top.below(OsStr::new(VOLUMES))?),
        None => Ok(()),
    }
}

/// Checks that nobody but root, and whom the daemon runs as, can put something else in the place of `source`, be it there
/// yet or not.
///
/// # Errors
/// `Untrusted` with the directory that belongs to somebody else.
pub(super) fn check_way(source: &Path) -> Result<()> {
    let resolved = source.ancestors().find_map(|there| there.canonicalize().ok()).unwrap_or_default();
    for way in [source, &resolved] {
        for above in way.ancestors() {
            let stat = match rustix::fs::lstat(above) {
                Ok(stat) => stat,
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => continue,
                Err(errno) => return Err(Error::io(above.display(), &errno.into())),
            };
            let kept = FileType::from_raw_mode(stat.st_mode).is_symlink() || stat.st_mode & STICKY != 0;
            if !is_own(&stat) || (stat.st_mode & WRITABLE != 0 && !kept) {
                let whose = whose(&stat);
                let what = format!("{} {whose}, who could put something else in the place of the pool", above.display());
                return Err(Error::new(Kind::Untrusted, what));
            }
        }
    }
    Ok(())
}

fn check_pool(top: &Place) -> Result<()> {
    for name in PRIVATE.map(OsStr::new) {
        if top.entry(name)?.is_some() {
            top.below(name)?.is_ours(0o077)?;
        }
    }
    for name in ["instances", "snapshots"].map(OsStr::new) {
        if top.entry(name)?.is_some() {
            let place = top.below(name)?;
            place.names()?.iter().try_for_each(|name| check_holder(&place.below(name)?))?;
        }
    }
    let images = OsStr::new("images");
    if top.entry(images)?.is_none() {
        return Ok(());
    }
    let images = top.below(images)?;
    for name in images.names()? {
        // What has been removed and is used still has a file for a mark.
        if !images.is_file(&name)? {
            let image = images.below(&name)?;
            if image.entry(OsStr::new(TREE))?.is_some() {
                check_holder(&image)?;
            }
        }
    }
    Ok(())
}

/// The directory of an instance, a snapshot or a volume: what lies beside the tree is ours.
fn check_holder(holder: &Place) -> Result<()> {
    holder.is_ours(WRITABLE)?;
    for name in holder.names()? {
        let is_link = LINKS.iter().any(|link| name == *link) && holder.kind(&name)? == Some(FileType::Symlink);
        if is_link || holder.is_file(&name)? {
            continue;
        }
        let within = holder.below(&name)?;
        if name == PLAIN {
            within.is_ours(WRITABLE)?;
            within.names()?.iter().try_for_each(|name| within.below(name).map(drop))?;
        }
    }
    Ok(())
}

/// An open directory, with its path for messages.
struct Place {
    path: PathBuf,
    dir: Dir,
}

impl Place {
    fn open(path: &Path) -> Result<Place> {
        let dir = Dir::open(path).map_err(|e| odd(path, &e))?;
        Ok(Place { path: path.to_owned(), dir })
    }

    fn below(&self, name: &OsStr) -> Result<Place> {
        let path = self.path.join(name);
        let dir = self.dir.open_dir(name).map_err(|e| odd(&path, &e))?;
        Ok(Place { path, dir })
    }

    fn entry(&self, name: &OsStr) -> Result<Option<Stat>> {
        self.dir.stat(name).map_err(|e| odd(&self.path, &e))
    }

    fn kind(&self, name: &OsStr) -> Result<Option<FileType>> {
        Ok(self.entry(name)?.map(|stat| FileType::from_raw_mode(stat.st_mode)))
    }

    /// Whether it is a regular file, which has to be ours then.
    fn is_file(&self, name: &OsStr) -> Result<bool> {
        match self.entry(name)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode).is_file() => {
                keep(&self.path.join(name), &stat, WRITABLE).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// Refuses a directory of somebody else's, and one with any of these bits.
    fn is_ours(&self, bits: u32) -> Result<()> {
        let stat = rustix::fs::fstat(&self.dir).map_err(|errno| odd(&self.path, &errno.into()))?;
        keep(&self.path, &stat, bits)
    }

    fn names(&self) -> Result<Vec<OsString>> {
        let failed = |e: io::Error| odd(&self.path, &e);
        let entries = rustix::fs::Dir::new(self.dir.readable().map_err(failed)?).map_err(|errno| failed(errno.into()))?;
        let mut names = vec![];
        for entry in entries {
            let entry = entry.map_err(|errno| failed(errno.into()))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }
}

fn keep(path: &Path, stat: &Stat, bits: u32) -> Result<()> {
    match is_own(stat) && stat.st_mode & bits == 0 {
        true => Ok(()),
        false => Err(Error::new(Kind::Untrusted, format!("{} {}; it has to be root's alone", path.display(), whose(stat)))),
    }
}

/// Root's, or whose the daemon is.
fn is_own(stat: &Stat) -> bool {
    stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw()
}

fn whose(stat: &Stat) -> String {
    match is_own(stat) {
        true => format!("is open to others (mode {:o})", stat.st_mode & 0o7777),
        false => format!("belongs to uid {}", stat.st_uid),
    }
}

/// What cannot be opened as what it has to be.
fn odd(path: &Path, error: &io::Error) -> Error {
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => {
            Error::new(Kind::Untrusted, format!("{} is no directory, as this daemon makes one there", path.display()))
        }
        _ => Error::io(path.display(), error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A pool with an instance, a snapshot, an image and a volume.
    fn pool() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { source: dir.path().join("pool"), id: lxhost_model::ObjectId::from_random([1; 16]) };
        for below in [
            "instances/1/upper",
            "instances/1/work",
            "instances/1/plain/var-lib-docker",
            "instances/2/root/etc",
            "snapshots/.retired-3/upper",
            "images/f/root",
            "images/g/root",
            ".trash",
            "volumes/instances/4/root",
            "volumes/snapshots",
        ] {
            fs::create_dir_all(layout.source.join(below)).unwrap();
        }
        for private in ["", "images", "instances", "snapshots", ".trash", "volumes", "volumes/instances", "volumes/snapshots"] {
            fs::set_permissions(layout.source.join(private), fs::Permissions::from_mode(0o700)).unwrap();
        }
        for file in ["instances/1/instance.yaml", "instances/1/prepared", "images/.retired-f", "images/g/tree"] {
            fs::write(layout.source.join(file), "").unwrap();
        }
        symlink("../3", layout.source.join("instances/1/below")).unwrap();
        symlink("/etc", layout.source.join("instances/2/root/etc/what-a-guest-makes")).unwrap();
        symlink("/etc", layout.source.join("images/f/what-an-image-has")).unwrap();
        (dir, layout)
    }

    #[test]
    fn a_pool_as_it_is_made_is_taken_in() {
        let (_dir, layout) = pool();
        check(&layout).unwrap();
    }

    #[test]
    fn a_link_in_place_of_any_directory_is_refused() {
        for place in [
            "instances",
            "snapshots",
            "images",
            ".trash",
            "volumes",
            "volumes/instances",
            "instances/1",
            "instances/1/upper",
            "instances/1/work",
            "instances/1/plain",
            "instances/1/plain/var-lib-docker",
            "instances/2/root",
            "snapshots/.retired-3",
            "snapshots/.retired-3/upper",
            "images/f",
            "images/g/root",
            "volumes/instances/4",
            "volumes/instances/4/root",
        ] {
            let (dir, layout) = pool();
            let (place, aside) = (layout.source.join(place), dir.path().join("aside"));
            fs::rename(&place, &aside).unwrap();
            symlink(&aside, &place).unwrap();
            let error = check(&layout).unwrap_err();
            assert_eq!(error.kind, Kind::Untrusted, "{}: {error}", place.display());
            assert!(error.to_string().contains(place.to_str().unwrap()), "{}: {error}", place.display());
        }
    }

    #[test]
    fn what_others_may_change_or_look_into_is_refused() {
        for (place, mode) in [
            ("", 0o770),
            ("instances", 0o755),
            ("snapshots", 0o711),
            ("images", 0o750),
            ("volumes/instances", 0o755),
            ("instances/1", 0o777),
            ("instances/1/plain", 0o775),
            ("instances/1/instance.yaml", 0o666),
            ("images/g/tree", 0o620),
        ] {
            let (_dir, layout) = pool();
            fs::set_permissions(layout.source.join(place), fs::Permissions::from_mode(mode)).unwrap();
            let error = check(&layout).unwrap_err();
            assert!(error.kind == Kind::Untrusted && error.to_string().contains("open to others"), "{place}: {error}");
        }
    }

    #[test]
    fn a_pipe_among_what_is_ours_is_refused() {
        let (_dir, layout) = pool();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            layout.source.join("instances/1/root"),
            FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(check(&layout).unwrap_err().kind, Kind::Untrusted);
    }

    #[test]
    fn the_way_to_a_pool_is_roots_alone() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        check_way(&open.join("not/there/yet")).unwrap();
        symlink(&open, dir.path().join("link")).unwrap();
        check_way(&dir.path().join("link/pool")).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        for way in ["open", "open/pool", "open/not/there/yet", "link/pool"] {
            let error = check_way(&dir.path().join(way)).unwrap_err();
            assert!(error.kind == Kind::Untrusted && error.to_string().contains("open to others"), "{way}: {error}");
        }
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        check_way(&open.join("pool")).unwrap();
    }
}
