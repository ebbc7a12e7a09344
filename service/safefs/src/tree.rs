//! A tree as those look into it who are not in it: by paths of a caller's, on which links lead where they do for a
//! process whose root the tree is. Called by the drivers for files of volumes.

use crate::{CONFINED, Dir, check_name, retry};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RawDir, ResolveFlags, Stat, Uid};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use std::collections::BinaryHeap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// How a caller's path is resolved: links lead within the tree, and nothing leads onto another mount.
const WITHIN: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);
/// The longest way to anything, in components that `make_dirs` makes.
const DEEPEST: usize = 256;

/// A tree.
#[derive(Debug)]
pub struct Tree {
    top: Dir,
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To be read.
    Read,
    /// To be written from its beginning, empty.
    Write,
    /// To be written at its end.
    Append,
}

/// Whose something is, and its permissions; what is `None` stays, or is as for anything new: root's, and 0644 or 0755.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, at most 0o7777.
    pub mode: Option<u32>,
    /// User.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
}

/// Something in a directory.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// What it is; links are not followed.
    pub stat: Stat,
    /// Where a link leads.
    pub target: Option<OsString>,
}

impl Tree {
    /// The directory at `path`, which is ours. It is looked at through a mount that is in no namespace, so whoever gets a
    /// descriptor of a file can execute it, but never as its owner (`mnt_may_suid`, Linux 4.8). Needs `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// As open(2) and open_tree(2).
    pub fn open(path: &Path) -> io::Result<Tree> {
        let dir = Dir::open(path)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        Ok(Tree { top: Dir::from(open_tree(&dir, "", flags)?) })
    }

    /// What `path` is. `follow`: what a link at its end leads to.
    ///
    /// # Errors
    /// As openat2(2).
    pub fn look(&self, path: &str, follow: bool) -> io::Result<Entry> {
        let flags = if follow { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW };
        let found = self.resolve(path, flags)?;
        let stat = rustix::fs::fstat(&found)?;
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        let target = if is_link { Some(target(&found, "")?) } else { None };
        Ok(Entry { name: Path::new(path).file_name().unwrap_or_default().to_owned(), stat, target })
    }

    /// Opens the regular file at `path`; where there is none, a new one when `attributes` are given.
    ///
    /// # Errors
    /// `InvalidInput` for anything but a regular file; as openat2(2).
    pub fn open_file(&self, path: &str, access: Access, attributes: Option<Attributes>) -> io::Result<File> {
        let flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::WRONLY | OFlags::TRUNC,
            Access::Append => OFlags::WRONLY | OFlags::APPEND,
        };
        let found = match (self.resolve(path, OFlags::PATH), attributes) {
            (Err(e), Some(attributes)) if e.kind() == io::ErrorKind::NotFound => return self.new_file(path, flags, attributes),
            (found, _) => found?,
        };
        // A pipe would block on being opened, and a device act.
        if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) != FileType::RegularFile {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let link = format!("/proc/self/fd/{}", found.as_raw_fd());
        let file = rustix::fs::openat(CWD, link, flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        give(&file, attributes.unwrap_or_default())?;
        Ok(File::from(file))
    }

    /// Up to `limit` things in the directory at `path`, in the order of their names, beginning after the name `after`. What
    /// is removed meanwhile may be missing.
    ///
    /// # Errors
    /// As openat2(2) and getdents(2).
    pub fn list(&self, path: &str, after: &OsStr, limit: usize) -> io::Result<Vec<Entry>> {
        let dir = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        // However many there are, no more than asked for are remembered.
        let mut first: BinaryHeap<Vec<u8>> = BinaryHeap::new();
        let mut buffer = [MaybeUninit::<u8>::uninit(); 16 * 1024];
        let mut entries = RawDir::new(&dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || name <= after.as_bytes() {
                continue;
            }
            if first.len() < limit {
                first.push(name.to_vec());
            } else if first.peek().is_some_and(|last| name < last.as_slice()) {
                first.pop();
                first.push(name.to_vec());
            }
        }
        let names = first.into_sorted_vec().into_iter().map(OsString::from_vec);
        let look = |name: OsString| match rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                let target = target(&dir, &name);
                Some(target.map(|target| Entry { name, stat, target: Some(target) }))
            }
            Ok(stat) => Some(Ok(Entry { name, stat, target: None })),
            Err(Errno::NOENT) => None,
            Err(errno) => Some(Err(errno.into())),
        };
        names.filter_map(look).collect()
    }

    /// Makes the directory at `path`; with `parents`, those on the way to it, too, and one that is there is fine.
    ///
    /// # Errors
    /// As mkdirat(2) and openat2(2).
    pub fn make_dir(&self, path: &str, attributes: Attributes, parents: bool) -> io::Result<()> {
        if parents {
            let ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).take(DEEPEST + 1).collect();
            if ends.len() > DEEPEST {
                return Err(Errno::NAMETOOLONG.into());
            }
            for end in ends {
                self.make_one(&path[..end], attributes, true)?;
            }
        }
        self.make_one(path, attributes, parents)
    }

    /// Makes a link at `path` that leads to `target`.
    ///
    /// # Errors
    /// As symlinkat(2) and openat2(2).
    pub fn make_link(&self, path: &str, target: &str, attributes: Attributes) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::symlinkat(target, &parent, name)?;
        let (uid, gid) = owner(attributes);
        rustix::fs::chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        parent.sync()
    }

    /// Removes what is at `path`, itself when it is a link; a directory with what is in it only when it is `recursive`.
    ///
    /// # Errors
    /// `DirectoryNotEmpty`; `NotFound`; as unlinkat(2).
    pub fn remove(&self, path: &str, recursive: bool) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let stat = parent.stat(name)?.ok_or(io::ErrorKind::NotFound)?;
        match FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            true if recursive => parent.remove_tree(name)?,
            true => rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?,
            false => rustix::fs::unlinkat(&parent, name, AtFlags::empty())?,
        }
        parent.sync()
    }

    fn resolve(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        Ok(retry(|| rustix::fs::openat2(&self.top, path, flags | OFlags::CLOEXEC, Mode::empty(), WITHIN))?)
    }

    /// The directory that something is in, and its name there.
    fn parent<'a>(&self, path: &'a str) -> io::Result<(Dir, &'a OsStr)> {
        let path = path.trim_end_matches('/');
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = OsStr::new(name);
        check_name(name)?;
        let parent = if parent.is_empty() { "/" } else { parent };
        Ok((Dir::from(self.resolve(parent, OFlags::PATH | OFlags::DIRECTORY)?), name))
    }

    fn new_file(&self, path: &str, flags: OFlags, attributes: Attributes) -> io::Result<File> {
        let (parent, name) = self.parent(path)?;
        let flags = flags.difference(OFlags::TRUNC) | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = retry(|| rustix::fs::openat2(&parent, name, flags, Mode::RUSR | Mode::WUSR, CONFINED))?;
        give(&file, new(attributes, 0o644))?;
        parent.sync()?;
        Ok(File::from(file))
    }

    fn make_one(&self, path: &str, attributes: Attributes, or_there: bool) -> io::Result<()> {
        if or_there && self.look(path, true).is_ok_and(|found| FileType::from_raw_mode(found.stat.st_mode) == FileType::Directory)
        {
            return Ok(());
        }
        let (parent, name) = self.parent(path)?;
        rustix::fs::mkdirat(&parent, name, Mode::RWXU)?;
        give(&parent.open_dir(name)?.readable()?, new(attributes, 0o755))?;
        parent.sync()
    }
}

/// Attributes of what is new.
fn new(given: Attributes, mode: u32) -> Attributes {
    Attributes { mode: Some(given.mode.unwrap_or(mode)), uid: Some(given.uid.unwrap_or(0)), gid: Some(given.gid.unwrap_or(0)) }
}

fn owner(attributes: Attributes) -> (Option<Uid>, Option<Gid>) {
    (attributes.uid.map(Uid::from_raw), attributes.gid.map(Gid::from_raw))
}

/// Sets what is given. The owner first: a new one takes the set-user-ID bit away.
fn give(fd: &OwnedFd, attributes: Attributes) -> io::Result<()> {
    let (uid, gid) = owner(attributes);
    if uid.is_some() || gid.is_some() {
        rustix::fs::fchown(fd, uid, gid)?;
    }
    if let Some(mode) = attributes.mode {
        rustix::fs::fchmod(fd, Mode::from_raw_mode(mode & 0o7777))?;
    }
    Ok(())
}

fn target(dir: &OwnedFd, name: impl AsRef<OsStr>) -> io::Result<OsString> {
    Ok(OsString::from_vec(rustix::fs::readlinkat(dir, name.as_ref(), Vec::new())?.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::process::Command;

    /// A tree in a directory that is not mounted nosuid; `None` where we may not mount.
    fn tree() -> Option<(tempfile::TempDir, Tree)> {
        let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        match Tree::open(place.path()) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                println!("skipped: looking into a tree needs CAP_SYS_ADMIN");
                None
            }
            tree => Some((place, tree.unwrap())),
        }
    }

    #[test]
    fn links_lead_within_the_tree() {
        let Some((place, tree)) = tree() else { return };
        fs::create_dir(place.path().join("etc")).unwrap();
        fs::write(place.path().join("etc/passwd"), "inside").unwrap();
        symlink("/etc", place.path().join("absolute")).unwrap();
        symlink("../../../../etc", place.path().join("up")).unwrap();
        symlink("/proc/self/root", place.path().join("magic")).unwrap();
        for path in ["etc/passwd", "/etc/passwd", "absolute/passwd", "up/passwd", "../../etc/passwd"] {
            let mut text = String::new();
            tree.open_file(path, Access::Read, None).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "inside", "{path}");
        }
        assert!(tree.look("magic/etc/passwd", true).is_err());
        tree.make_dir("up/below/it", Attributes::default(), true).unwrap();
        assert!(place.path().join("etc/below/it").is_dir());
        tree.remove("up", true).unwrap();
        assert!(place.path().join("etc/below/it").is_dir(), "a link is removed itself");
    }

    #[test]
    fn only_regular_files_are_opened() {
        let Some((place, tree)) = tree() else { return };
        rustix::fs::mknodat(CWD, place.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::create_dir(place.path().join("dir")).unwrap();
        for path in ["pipe", "dir", "/", ""] {
            let refused = tree.open_file(path, Access::Read, None).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
        let missing = tree.open_file("missing", Access::Write, None).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_made_has_the_owner_and_the_mode_that_were_asked_for() {
        let Some((place, tree)) = tree() else { return };
        let mine = Attributes { mode: Some(0o4750), uid: Some(33), gid: Some(34) };
        tree.open_file("file", Access::Write, Some(mine)).unwrap().write_all(b"once").unwrap();
        let made = fs::metadata(place.path().join("file")).unwrap();
        assert_eq!((made.mode() & 0o7777, made.uid(), made.gid()), (0o4750, 33, 34));
        tree.open_file("file", Access::Append, Some(Attributes::default())).unwrap().write_all(b" more").unwrap();
        assert_eq!(fs::read(place.path().join("file")).unwrap(), b"once more");
        tree.open_file("file", Access::Write, None).unwrap();
        assert_eq!(fs::metadata(place.path().join("file")).unwrap().len(), 0);
        tree.open_file("plain", Access::Write, Some(Attributes::default())).unwrap();
        assert_eq!(fs::metadata(place.path().join("plain")).unwrap().permissions().mode() & 0o7777, 0o644);
        tree.make_link("link", "/nowhere", mine).unwrap();
        assert_eq!(fs::symlink_metadata(place.path().join("link")).unwrap().uid(), 33);
        assert!(tree.make_dir("file", Attributes::default(), true).is_err());
    }

    #[test]
    fn a_directory_is_listed_in_pages() {
        let Some((place, tree)) = tree() else { return };
        for n in 0..25 {
            fs::write(place.path().join(format!("{n:02}")), "").unwrap();
        }
        symlink("to", place.path().join("zz")).unwrap();
        let names = |page: &[Entry]| page.iter().map(|entry| entry.name.to_string_lossy().into_owned()).collect::<Vec<_>>();
        let first = tree.list("", OsStr::new(""), 10).unwrap();
        assert_eq!(names(&first), (0..10).map(|n| format!("{n:02}")).collect::<Vec<_>>());
        let last = tree.list("/", OsStr::new("19"), 10).unwrap();
        assert_eq!(names(&last), ["20", "21", "22", "23", "24", "zz"]);
        assert_eq!(last[5].target.as_deref(), Some(OsStr::new("to")));
    }

    #[test]
    fn a_directory_with_something_in_it_is_removed_only_when_that_was_said() {
        let Some((place, tree)) = tree() else { return };
        tree.make_dir("a/b", Attributes::default(), true).unwrap();
        assert_eq!(tree.remove("a", false).unwrap_err().kind(), io::ErrorKind::DirectoryNotEmpty);
        tree.remove("a", true).unwrap();
        assert!(!place.path().join("a").exists());
        assert_eq!(tree.remove("a", true).unwrap_err().kind(), io::ErrorKind::NotFound);
        for top in ["", "/", "..", "x/.."] {
            assert!(tree.remove(top, true).is_err(), "{top}");
        }
    }

    #[test]
    fn a_file_that_was_handed_out_is_nobodys_way_to_its_owner() {
        let Some((place, tree)) = tree() else { return };
        let path = place.path().join("id");
        fs::copy("/usr/bin/id", &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).unwrap();
        // The descriptor goes to a process of nobody, as its standard input.
        let id = |file: File| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--clear-groups", "/proc/self/fd/0", "-u"]).stdin(file);
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        if id(File::open(&path).unwrap()) != "0\n" {
            println!("skipped: the mount of the sources does not let programs run as their owner");
            return;
        }
        assert_eq!(id(tree.open_file("id", Access::Read, None).unwrap()), "65534\n");
    }
}
