//! Reads an image to its end without writing anything, so that a bad one is refused when it comes and
//! not when it is first used. The rules are those of the tree that `unpack` makes. Called by main.

use crate::archive::{Archive, Entry, Kind};
use crate::codec::{self, Format};
use crate::error::{Error, Result, shown};
use crate::limits::Limits;
use crate::metadata::{self, Metadata};
use crate::pipeline;
use crate::squash;
use crate::tree::{self, Name};
use crate::unpack::Meter;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

/// Which file of an image it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The metadata tarball of a split image.
    Meta,
    /// The root filesystem of a split image.
    Rootfs,
    /// The one tarball of a unified image.
    Unified,
}

impl Part {
    /// By the word on the command line.
    pub(crate) fn parse(word: &str) -> Option<Part> {
        match word {
            "meta" => Some(Part::Meta),
            "rootfs" => Some(Part::Rootfs),
            "unified" => Some(Part::Unified),
            _ => None,
        }
    }
}

/// Checks `file`; returns its metadata unless it is a root filesystem.
///
/// # Errors
/// `Archive`, `Entry`, `Metadata`, `Limit`, `Io`.
pub(crate) fn run(file: File, part: Part, limits: Limits, report: impl Fn(f64)) -> Result<Option<Metadata>> {
    let input = codec::open(file)?;
    if input.format == Format::Squashfs && part == Part::Rootfs {
        return squash::list(&limits).map(|_| None);
    }
    let mut meter = Meter::new(&input, report);
    stream(pipeline::ahead(input.tar(limits.stream())?)?, part, limits, || meter.tick())
}

/// Checks a tar stream; `tick` is called for each entry.
///
/// # Errors
/// As `run`.
pub(crate) fn stream(tar: impl Read, part: Part, limits: Limits, mut tick: impl FnMut()) -> Result<Option<Metadata>> {
    let mut archive = Archive::new(tar, limits);
    let (mut plan, mut found) = (Plan::new(limits), None);
    while let Some(entry) = archive.next()? {
        tick();
        let bad = |why| Error::entry(&entry.name, why);
        if let Some(name) = tree::parse(&entry.name, part == Part::Unified, &limits).map_err(bad)?
            && part != Part::Meta
        {
            plan.make(&name, &entry)?;
        }
        if part != Part::Rootfs && found.is_none() && metadata::is_it(&entry.name) {
            found = Some(metadata::read(&entry, &mut archive, &limits)?);
        }
    }
    archive.finish()?;
    match part {
        Part::Meta => {}
        _ if plan.is_empty() && part == Part::Unified => return Err(Error::Archive("it has no rootfs directory".into())),
        _ if plan.is_empty() => return Err(Error::Archive("it has no entries".into())),
        _ => {}
    }
    if found.is_none() && part != Part::Rootfs {
        return Err(Error::Metadata("metadata.yaml: the archive has none".into()));
    }
    Ok(found)
}

/// What a tree would hold.
pub(crate) struct Plan {
    seen: HashMap<Box<[u8]>, Kind>,
    /// The directory last looked at.
    recent: Vec<u8>,
    bytes: u64,
    limits: Limits,
}

impl Plan {
    pub(crate) fn new(limits: Limits) -> Plan {
        Plan { seen: HashMap::new(), recent: Vec::new(), bytes: 0, limits }
    }

    /// Whether nothing belongs to it.
    pub(crate) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// How many names it would have.
    pub(crate) fn entries(&self) -> u64 {
        self.seen.len() as u64
    }

    /// How many bytes its files would have.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Notes an entry.
    ///
    /// # Errors
    /// `Entry`, `Limit`.
    pub(crate) fn make(&mut self, name: &Name, entry: &Entry) -> Result<()> {
        let bad = |why: &str| Err(Error::entry(&entry.name, why));
        let Some((parent, _)) = name.split() else {
            self.seen.insert(Box::default(), Kind::Directory);
            return if entry.kind == Kind::Directory { Ok(()) } else { bad("the root is not a directory") };
        };
        if self.recent != parent {
            self.parents(parent, entry)?;
            self.recent = parent.to_vec();
        }
        match (self.seen.get(name.bytes()), entry.kind) {
            (Some(Kind::Directory), Kind::Directory) | (None, _) => {}
            (Some(Kind::Directory), _) => return bad("it would replace a directory"),
            (Some(Kind::Symlink), Kind::Directory) => return bad("its path goes through a symbolic link"),
            (Some(_), Kind::Directory) => return bad("its path goes through what is no directory"),
            _ => {}
        }
        let mut kind = entry.kind;
        match entry.kind {
            Kind::Symlink if entry.link.is_empty() || entry.link.contains(&0) || entry.link.len() > self.limits.path => {
                return bad("a malformed link target");
            }
            Kind::HardLink => kind = self.target(name, entry)?,
            _ => {}
        }
        self.bytes = self.bytes.saturating_add(entry.size);
        if self.bytes > self.limits.bytes {
            return Err(Error::Limit(format!("the image has more than {} bytes", self.limits.bytes)));
        }
        self.insert(name.bytes(), kind)
    }

    fn insert(&mut self, path: &[u8], kind: Kind) -> Result<()> {
        self.seen.insert(path.into(), kind);
        if self.seen.len() as u64 > self.limits.entries {
            return Err(Error::Limit(format!("more than {} entries", self.limits.entries)));
        }
        Ok(())
    }

    /// Every directory above an entry is one, or will be made.
    fn parents(&mut self, parent: &[u8], entry: &Entry) -> Result<()> {
        let ends = parent.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([parent.len()]);
        for end in ends.filter(|end| *end > 0) {
            match self.seen.get(&parent[..end]) {
                Some(Kind::Directory) => {}
                Some(Kind::Symlink) => return Err(Error::entry(&entry.name, "its path goes through a symbolic link")),
                Some(_) => return Err(Error::entry(&entry.name, "its path goes through what is no directory")),
                None => self.insert(&parent[..end], Kind::Directory)?,
            }
        }
        Ok(())
    }

    /// What a hard link would be another name of.
    fn target(&self, name: &Name, entry: &Entry) -> Result<Kind> {
        let target =
            name.sibling(&entry.link, &self.limits).map_err(|why| Error::entry(&entry.name, format!("hard link: {why}")))?;
        let bad = |why: &str| Err(Error::entry(&entry.name, format!("hard link to {}: {why}", shown(&entry.link))));
        match self.seen.get(target.bytes()) {
            _ if target.split().is_none() => bad("it is no file"),
            _ if target.bytes() == name.bytes() => bad("it is the file itself"),
            Some(kind @ (Kind::File | Kind::Device)) => Ok(*kind),
            Some(_) => bad("it is no regular file"),
            None => bad("it is not in the archive before it"),
        }
    }
}
