//! Unpacks an image's root: a tar archive through our own reader into a confined tree, a squashfs file
//! by its tool. The archive is decompressed in a thread of its own. Called by main.

use crate::archive::Archive;
use crate::codec::{self, Format};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::pipeline;
use crate::squash;
use crate::tree::{self, Counts, Tree};
use lxhost_safefs::Dir;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_millis(100);

/// Unpacks `file` into the empty directory `target`; of a unified image only `rootfs/`. `report` is
/// told how much of the file has been read.
///
/// # Errors
/// `Archive`, `Entry`, `Limit`, `Io`. What was written stays: the caller throws the directory away.
pub(crate) fn run(file: File, unified: bool, target: &OsStr, limits: Limits, report: impl Fn(f64)) -> Result<Counts> {
    let input = codec::open(file)?;
    if input.format == Format::Squashfs {
        return squash::run(target, &limits);
    }
    let mut meter = Meter::new(&input, report);
    stream(pipeline::ahead(input.tar(limits.stream())?)?, unified, Path::new(target), limits, || meter.tick())
}

/// Unpacks a tar stream; `tick` is called for each entry made.
///
/// # Errors
/// As `run`.
pub(crate) fn stream(tar: impl Read, unified: bool, target: &Path, limits: Limits, mut tick: impl FnMut()) -> Result<Counts> {
    let root = Dir::open(target).map_err(|e| Error::io("open the target", e))?;
    let mut tree = Tree::new(root, limits);
    let mut archive = Archive::new(tar, limits);
    let mut found = false;
    while let Some(entry) = archive.next()? {
        let Some(name) = tree::parse(&entry.name, unified, &limits).map_err(|why| Error::entry(&entry.name, why))? else {
            continue;
        };
        tree.make(&name, &entry, &mut archive)?;
        found = true;
        tick();
    }
    archive.finish()?;
    match (found, unified) {
        (true, _) => tree.finish(),
        (false, true) => Err(Error::Archive("it has no rootfs directory".into())),
        (false, false) => Err(Error::Archive("it has no entries".into())),
    }
}

/// Tells every now and then how much of a file has been read.
pub(crate) struct Meter<F> {
    count: Arc<AtomicU64>,
    size: u64,
    told: Instant,
    report: F,
}

impl<F: Fn(f64)> Meter<F> {
    /// Measures `input`.
    pub(crate) fn new<R>(input: &codec::Input<R>, report: F) -> Self {
        Meter { count: input.count.clone(), size: input.size, told: Instant::now(), report }
    }

    /// Tells, when it is time.
    pub(crate) fn tick(&mut self) {
        if self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            let read = self.count.load(Ordering::Relaxed) as f64;
            (self.report)(if self.size > 0 { read / self.size as f64 } else { -1.0 });
        }
    }
}

#[cfg(test)]
mod tests;
