//! Trees into an archive, as they are: owners by number, links, extended attributes that a backup may set again.
//! What cannot be made again in a container (devices, sockets) is left out. No link is followed, however
//! deep a tree is. Depends on safefs and the tar crate for writing. Called by `pack`.

use crate::error::{Error, Result};
use crate::limits::Limits;
use lxhost_safefs::Dir;
use rustix::fs::{FileType, Stat};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, Instant};
use tar::{Builder, EntryType, Header};

/// Bytes of names and values of one file's attributes.
const ATTRIBUTES: usize = 64 << 10;
/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_millis(100);
/// Longest name that a header of tar holds.
const NAME: usize = 100;

/// An archive that trees are put into.
pub(crate) struct Trees<W: Write, F: Fn(u64)> {
    builder: Builder<W>,
    /// Bytes of files so far.
    bytes: u64,
    limits: Limits,
    told: Instant,
    report: F,
}

/// A directory on the way down.
struct Level {
    dir: Dir,
    path: Vec<u8>,
    left: std::vec::IntoIter<OsString>,
}

impl<W: Write, F: Fn(u64)> Trees<W, F> {
    /// Writes to `to`; `report` is told now and then how many bytes of files have been packed.
    pub(crate) fn new(to: W, report: F) -> Self {
        let mut builder = Builder::new(to);
        builder.sparse(false);
        Trees { builder, bytes: 0, limits: Limits::default(), told: Instant::now(), report }
    }

    /// Adds a file of root's with this text.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn text(&mut self, name: &str, text: &str) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o400);
        header.set_size(text.len() as u64);
        self.append(&mut header, name.as_bytes(), None, vec![], text.as_bytes())
    }

    /// Adds everything in `root` under `name`.
    ///
    /// # Errors
    /// `Entry` for a name no archive can hold, `Io`.
    pub(crate) fn tree(&mut self, root: Dir, name: &str) -> Result<()> {
        let mut links: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
        let mut levels = vec![self.enter(root, name.as_bytes().to_vec())?];
        while let Some(level) = levels.last_mut() {
            let Some(base) = level.left.next() else {
                levels.pop();
                continue;
            };
            let path = [&level.path, &b"/"[..], base.as_bytes()].concat();
            let Some(stat) = level.dir.stat(&base).map_err(|e| Error::at(&path, e))? else { continue };
            if path.len() > self.limits.path || levels.len() > self.limits.depth {
                return Err(Error::entry(&path, "it lies too deep to be put into a backup"));
            }
            let dir = &levels[levels.len() - 1].dir;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    let below = dir.open_dir(&base).map_err(|e| Error::at(&path, e))?;
                    levels.push(self.enter(below, path)?);
                }
                FileType::RegularFile => match links.get(&(stat.st_dev, stat.st_ino)) {
                    Some(first) => self.other(&stat, EntryType::Link, &path, Some(first))?,
                    None => {
                        self.file(dir, &base, &stat, &path)?;
                        if stat.st_nlink > 1 {
                            links.insert((stat.st_dev, stat.st_ino), path);
                        }
                    }
                },
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(dir, &*base, Vec::new()).map_err(|e| Error::at(&path, e))?;
                    self.other(&stat, EntryType::Symlink, &path, Some(target.as_bytes()))?;
                }
                FileType::Fifo => self.other(&stat, EntryType::Fifo, &path, None)?,
                // Devices and sockets.
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds a directory and lists it.
    fn enter(&mut self, dir: Dir, path: Vec<u8>) -> Result<Level> {
        let failed = |e: io::Error| Error::at(&path, e);
        let open = dir.readable().map_err(failed)?;
        let stat = rustix::fs::fstat(&open).map_err(|e| failed(e.into()))?;
        let attributes = attributes(&open).map_err(failed)?;
        let mut header = header(&stat, EntryType::Directory);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(open).map_err(|e| failed(e.into()))? {
            let name = entry.map_err(|e| failed(e.into()))?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort_unstable();
        self.append(&mut header, &[&path, &b"/"[..]].concat(), None, attributes, io::empty())?;
        Ok(Level { dir, path, left: names.into_iter() })
    }

    fn file(&mut self, dir: &Dir, base: &OsStr, stat: &Stat, path: &[u8]) -> Result<()> {
        let Some(file) = dir.open_file(base).map_err(|e| Error::at(path, e))? else { return Ok(()) };
        let size = stat.st_size.cast_unsigned();
        let mut header = header(stat, EntryType::Regular);
        header.set_size(size);
        let attributes = attributes(&file).map_err(|e| Error::at(path, e))?;
        // Neither more nor less than the header says, whatever becomes of the file meanwhile.
        self.append(&mut header, path, None, attributes, file.chain(io::repeat(0)).take(size))?;
        self.bytes += size;
        if self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            (self.report)(self.bytes);
        }
        Ok(())
    }

    fn other(&mut self, stat: &Stat, kind: EntryType, path: &[u8], target: Option<&[u8]>) -> Result<()> {
        self.append(&mut header(stat, kind), path, target, vec![], io::empty())
    }

    /// Adds an entry. What its header cannot hold goes into a pax header before it.
    fn append(
        &mut self,
        header: &mut Header,
        path: &[u8],
        target: Option<&[u8]>,
        attributes: Vec<(String, Vec<u8>)>,
        data: impl Read,
    ) -> Result<()> {
        let failed = |e: io::Error| Error::at(path, e);
        let mut records: Vec<(String, Vec<u8>)> = attributes;
        for (key, text) in [("path", Some(path)), ("linkpath", target)] {
            let Some(text) = text else { continue };
            if text.len() > NAME {
                records.push((key.to_owned(), text.to_vec()));
            }
            let kept = &text[..text.len().min(NAME)];
            let field = match key {
                "path" => &mut header.as_old_mut().name,
                _ => &mut header.as_old_mut().linkname,
            };
            field.fill(0);
            field[..kept.len()].copy_from_slice(kept);
        }
        if !records.is_empty() {
            let records = records.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            self.builder.append_pax_extensions(records).map_err(failed)?;
        }
        header.set_cksum();
        self.builder.append(header, data).map_err(failed)
    }

    /// Writes the end mark.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn finish(self) -> Result<W> {
        self.builder.into_inner().map_err(|e| Error::io("write the archive", e))
    }
}

fn header(stat: &Stat, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    // Before 1970 is where clocks without a battery begin.
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header.set_size(0);
    header
}

/// Attributes that a backup may set again, as records of a pax header.
fn attributes(file: &impl AsFd) -> io::Result<Vec<(String, Vec<u8>)>> {
    // Most files have none, or few.
    let mut names = vec![0u8; 256];
    let length = match rustix::fs::flistxattr(file, &mut names) {
        Err(rustix::io::Errno::NOTSUP) => return Ok(vec![]),
        Err(rustix::io::Errno::RANGE) => {
            names.resize(ATTRIBUTES, 0);
            rustix::fs::flistxattr(file, &mut names)?
        }
        listed => listed?,
    };
    let mut all = Vec::new();
    for name in names[..length].split(|byte| *byte == 0) {
        let Ok(name) = str::from_utf8(name) else { continue };
        let known = ["security.capability", "system.posix_acl_access", "system.posix_acl_default"].contains(&name);
        if !known && !name.starts_with("user.") {
            continue;
        }
        let mut value = vec![0u8; ATTRIBUTES];
        match rustix::fs::fgetxattr(file, name, &mut value) {
            Ok(size) => value.truncate(size),
            // Gone since it was listed.
            Err(rustix::io::Errno::NODATA) => continue,
            Err(errno) => return Err(errno.into()),
        }
        all.push((format!("SCHILY.xattr.{name}"), value));
    }
    Ok(all)
}
