//! Makes an image's files below one directory and nowhere else: every name is resolved from the
//! directory's descriptor, through no link. Directories once made stay directories, so that a parent
//! looked up before is still the same. Called by `unpack`; depends on safefs.

pub(crate) mod acl;
mod attributes;
mod name;

pub(crate) use name::{Name, below, parse};

use crate::archive::{Archive, Entry, Kind};
use crate::error::{Error, Result};
use crate::limits::Limits;
use lxhost_safefs::Dir;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

/// What was made and what was left out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Counts {
    /// Entries made.
    pub(crate) entries: u64,
    /// Bytes written into files.
    pub(crate) bytes: u64,
    /// Device nodes left out: a container cannot open them.
    pub(crate) devices: u64,
    /// Extended attributes left out: not portable, or not for images to set.
    pub(crate) attributes: u64,
}

impl Counts {
    /// Adds what was made of another tree.
    pub(crate) fn add(&mut self, more: Counts) {
        self.entries += more.entries;
        self.bytes += more.bytes;
        self.devices += more.devices;
        self.attributes += more.attributes;
    }
}

/// What is set on a directory when nothing more is put into it.
#[derive(Debug, Clone, Copy)]
struct Late {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, u32),
}

/// A tree being filled.
pub(crate) struct Tree {
    root: Dir,
    limits: Limits,
    /// Whether files may be given to other users; not when an ordinary user runs this.
    own: bool,
    /// The directory that was last put into.
    recent: Option<(Vec<u8>, Dir)>,
    late: HashMap<Vec<u8>, Late>,
    /// Names of device nodes left out, to leave out their further names too.
    devices: HashSet<Vec<u8>>,
    counts: Counts,
    buffer: Vec<u8>,
}

impl Tree {
    /// A tree in the empty directory `root`.
    pub(crate) fn new(root: Dir, limits: Limits) -> Tree {
        Tree {
            root,
            limits,
            own: rustix::process::geteuid().is_root(),
            recent: None,
            late: HashMap::new(),
            devices: HashSet::new(),
            counts: Counts::default(),
            buffer: vec![0; 256 << 10],
        }
    }

    /// Makes one entry under `name`; its data comes from `archive`.
    ///
    /// # Errors
    /// `Entry` for what would leave the tree or change the type of what is there, `Limit`, `Io`.
    pub(crate) fn make<R: Read>(&mut self, name: &Name, entry: &Entry, archive: &mut Archive<R>) -> Result<()> {
        self.counts.entries += 1;
        let Some((parent, base)) = name.split() else {
            return self.root_entry(entry);
        };
        let dir = self.parent(parent, &entry.name)?;
        let base = OsStr::from_bytes(base);
        match entry.kind {
            Kind::Device => {
                self.counts.devices += 1;
                self.devices.insert(name.bytes().to_vec());
            }
            Kind::Directory => self.directory(&dir, base, name, entry)?,
            Kind::File => self.file(&dir, base, entry, archive)?,
            Kind::Symlink => {
                if entry.link.is_empty() || entry.link.contains(&0) || entry.link.len() > self.limits.path {
                    return Err(Error::entry(&entry.name, "a malformed link target"));
                }
                let target = OsStr::from_bytes(&entry.link);
                place(&dir, base, entry, || rustix::fs::symlinkat(target, &dir, base))?;
                self.finish_other(&dir, base, entry)?;
            }
            Kind::Fifo => {
                let mode = Mode::from_raw_mode(entry.mode & 0o777);
                place(&dir, base, entry, || rustix::fs::mknodat(&dir, base, FileType::Fifo, mode, 0))?;
                self.finish_other(&dir, base, entry)?;
            }
            Kind::HardLink => self.hard_link(&dir, base, name, entry)?,
        }
        self.recent = Some((parent.to_vec(), dir));
        Ok(())
    }

    /// The entry that describes the top itself.
    fn root_entry(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Directory {
            return Err(Error::entry(&entry.name, "the root is not a directory"));
        }
        self.counts.attributes +=
            attributes::set(&self.root.readable().map_err(|e| Error::at(&entry.name, e))?, entry, self.own)?;
        self.defer(Vec::new(), entry);
        Ok(())
    }

    fn defer(&mut self, path: Vec<u8>, entry: &Entry) {
        self.late.insert(path, Late { mode: entry.mode, owner: (entry.uid, entry.gid), mtime: entry.mtime });
    }

    /// The directory called `path`, made where it is missing.
    fn parent(&mut self, path: &[u8], entry: &[u8]) -> Result<Dir> {
        if let Some((recent, dir)) = self.recent.take()
            && recent == path
        {
            return Ok(dir);
        }
        if path.is_empty() {
            return self.root.open_dir(".").map_err(|e| Error::at(entry, e));
        }
        match self.root.open_dir(OsStr::from_bytes(path)) {
            Ok(dir) => Ok(dir),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => self.make_parents(path, entry),
            Err(e) => Err(in_the_way(entry, e)),
        }
    }

    fn make_parents(&mut self, path: &[u8], entry: &[u8]) -> Result<Dir> {
        let mut dir = self.root.open_dir(".").map_err(|e| Error::at(entry, e))?;
        for component in path.split(|b| *b == b'/') {
            let component = OsStr::from_bytes(component);
            dir = match dir.open_dir(component) {
                Ok(next) => next,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    self.counts.entries += 1;
                    if self.counts.entries > self.limits.entries {
                        return Err(Error::Limit(format!("more than {} entries", self.limits.entries)));
                    }
                    dir.make_dir(component, 0o755).map_err(|e| Error::at(entry, e))?
                }
                Err(e) => return Err(in_the_way(entry, e)),
            };
        }
        Ok(dir)
    }

    fn directory(&mut self, dir: &Dir, base: &OsStr, name: &Name, entry: &Entry) -> Result<()> {
        match rustix::fs::mkdirat(dir, base, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::at(&entry.name, errno)),
        }
        // Also tells whether what is there is a directory and not a link to one.
        let made = dir.open_dir(base).and_then(|made| made.readable()).map_err(|e| in_the_way(&entry.name, e))?;
        self.counts.attributes += attributes::set(&made, entry, self.own)?;
        self.defer(name.bytes().to_vec(), entry);
        Ok(())
    }

    fn file<R: Read>(&mut self, dir: &Dir, base: &OsStr, entry: &Entry, archive: &mut Archive<R>) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = place(dir, base, entry, || rustix::fs::openat(dir, base, flags, Mode::RUSR | Mode::WUSR))?;
        let file = File::from(fd);
        match &entry.sparse {
            None => self.copy(&file, 0, entry.size, entry, archive)?,
            Some(map) => {
                rustix::fs::ftruncate(&file, map.size).map_err(|e| Error::at(&entry.name, e))?;
                for (offset, length) in &map.pieces {
                    self.copy(&file, *offset, *length, entry, archive)?;
                }
            }
        }
        let failed = |errno| Error::at(&entry.name, errno);
        if self.own {
            rustix::fs::fchown(&file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid))).map_err(failed)?;
        }
        // After the change of owner, which takes setuid and capabilities away.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode)).map_err(failed)?;
        self.counts.attributes += attributes::set(&file, entry, self.own)?;
        rustix::fs::futimens(&file, &times(entry.mtime)).map_err(failed)
    }

    fn copy<R: Read>(&mut self, file: &File, mut at: u64, mut left: u64, entry: &Entry, archive: &mut Archive<R>) -> Result<()> {
        self.counts.bytes = self.counts.bytes.saturating_add(left);
        if self.counts.bytes > self.limits.bytes {
            return Err(Error::Limit(format!("the image has more than {} bytes", self.limits.bytes)));
        }
        while left > 0 {
            let want = left.min(self.buffer.len() as u64) as usize;
            let n = archive.read_data(&mut self.buffer[..want])?;
            if n == 0 {
                return Err(Error::entry(&entry.name, "it has less data than it says"));
            }
            file.write_all_at(&self.buffer[..n], at).map_err(|e| Error::at(&entry.name, e))?;
            at += n as u64;
            left -= n as u64;
        }
        Ok(())
    }

    fn hard_link(&mut self, dir: &Dir, base: &OsStr, name: &Name, entry: &Entry) -> Result<()> {
        let target =
            name.sibling(&entry.link, &self.limits).map_err(|why| Error::entry(&entry.name, format!("hard link: {why}")))?;
        if self.devices.contains(target.bytes()) {
            self.counts.devices += 1;
            self.devices.insert(name.bytes().to_vec());
            return Ok(());
        }
        let bad = |why: &str| Error::entry(&entry.name, format!("hard link to {}: {why}", crate::error::shown(&entry.link)));
        let Some((parent, target_base)) = target.split() else {
            return Err(bad("it is no file"));
        };
        let from = self.root.open_dir(if parent.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(parent) });
        let from = from.map_err(|_| bad("it is not in the archive before it"))?;
        let target_base = OsStr::from_bytes(target_base);
        match from.stat(target_base).map_err(|e| Error::at(&entry.name, e))? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {}
            Some(_) => return Err(bad("it is no regular file")),
            None => return Err(bad("it is not in the archive before it")),
        }
        if target.bytes() == name.bytes() {
            return Err(bad("it is the file itself"));
        }
        place(dir, base, entry, || rustix::fs::linkat(&from, target_base, dir, base, AtFlags::empty()))
    }

    /// Owner, mode and time of what is no file and no directory.
    fn finish_other(&mut self, dir: &Dir, base: &OsStr, entry: &Entry) -> Result<()> {
        let failed = |errno| Error::at(&entry.name, errno);
        if self.own {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            rustix::fs::chownat(dir, base, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        }
        if entry.kind == Kind::Fifo {
            // It was made a moment ago and nobody else writes here: it is no link.
            rustix::fs::chmodat(dir, base, Mode::from_raw_mode(entry.mode), AtFlags::empty()).map_err(failed)?;
        }
        self.counts.attributes += entry.xattrs.len() as u64;
        rustix::fs::utimensat(dir, base, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)
    }

    /// Sets what waits for the end: owners, modes and times of directories.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn finish(self) -> Result<Counts> {
        let mut late: Vec<_> = self.late.into_iter().collect();
        // The deepest first: without privileges, a directory may close itself.
        late.sort_unstable_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        for (path, late) in late {
            let below = if path.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(&path) };
            let dir = self.root.open_dir(below).and_then(|dir| dir.readable()).map_err(|e| Error::at(&path, e))?;
            let failed = |errno| Error::at(&path, errno);
            if self.own {
                let (uid, gid) = late.owner;
                rustix::fs::fchown(&dir, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(failed)?;
            }
            rustix::fs::fchmod(&dir, Mode::from_raw_mode(late.mode)).map_err(failed)?;
            rustix::fs::futimens(dir.as_fd(), &times(late.mtime)).map_err(failed)?;
        }
        Ok(self.counts)
    }
}

/// Makes something called `base`; what is there and is no directory goes first, as in GNU tar.
fn place<T>(dir: &Dir, base: &OsStr, entry: &Entry, make: impl Fn() -> rustix::io::Result<T>) -> Result<T> {
    match make() {
        Err(Errno::EXIST) => {}
        other => return other.map_err(|errno| Error::at(&entry.name, errno)),
    }
    match rustix::fs::unlinkat(dir, base, AtFlags::empty()) {
        Ok(()) => make().map_err(|errno| Error::at(&entry.name, errno)),
        Err(Errno::ISDIR | Errno::PERM) => Err(Error::entry(&entry.name, "it would replace a directory")),
        Err(errno) => Err(Error::at(&entry.name, errno)),
    }
}

/// What a failed lookup of a directory means.
fn in_the_way(entry: &[u8], error: std::io::Error) -> Error {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::LOOP) => Error::entry(entry, "its path goes through a symbolic link"),
        Some(Errno::NOTDIR) => Error::entry(entry, "its path goes through what is no directory"),
        _ => Error::at(entry, error),
    }
}

fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}
