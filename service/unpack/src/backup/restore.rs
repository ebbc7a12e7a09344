//! Unpacks the trees of a backup, each to a directory of its own, in one go through the archive; what belongs to none
//! of them is left aside. The rules are those of images. Depends on `tree` of images. Called by main.

use super::OPTIMIZED;
use super::ids::Shifts;
use crate::archive::Archive;
use crate::codec;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::pipeline;
use crate::tree::{Counts, Tree, below};
use crate::unpack::Meter;
use lxhost_safefs::Dir;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// A tree to unpack: its name in the archive and an empty directory.
#[derive(Debug)]
pub(crate) struct Target {
    /// Such as `backup/container/rootfs`.
    pub(crate) name: String,
    /// Where it goes.
    pub(crate) directory: PathBuf,
    /// How the ids of its files were shifted.
    pub(crate) shifts: Shifts,
}

/// A tree on its way.
struct Filled {
    name: Vec<u8>,
    shifts: Shifts,
    tree: Tree,
    found: bool,
}

/// Unpacks `file` into `targets`. `report` is told how much of the file has been read.
///
/// # Errors
/// `Archive` when a tree is missing; `Entry`, `Limit`, `Io`. What was written stays: the caller throws it away.
pub(crate) fn run(file: File, targets: Vec<Target>, limits: Limits, report: impl Fn(f64)) -> Result<Counts> {
    let input = codec::open(file)?;
    let mut meter = Meter::new(&input, report);
    stream(pipeline::ahead(input.tar(limits.stream())?)?, targets, limits, || meter.tick())
}

/// Unpacks a tar stream; `tick` is called for each entry made.
///
/// # Errors
/// As `run`.
pub(crate) fn stream(tar: impl Read, targets: Vec<Target>, limits: Limits, mut tick: impl FnMut()) -> Result<Counts> {
    let open = |target: Target| {
        let root = Dir::open(&target.directory).map_err(|e| Error::io("open the target", e))?;
        Ok(Filled { name: target.name.into_bytes(), shifts: target.shifts, tree: Tree::new(root, limits), found: false })
    };
    let mut trees = targets.into_iter().map(open).collect::<Result<Vec<Filled>>>()?;
    // A name that goes on below another's is looked for first.
    trees.sort_by_key(|tree| std::cmp::Reverse(tree.name.len()));
    let mut archive = Archive::new(tar, limits);
    while let Some(mut entry) = archive.next()? {
        let plain = entry.name.strip_prefix(b"./").unwrap_or(&entry.name);
        if OPTIMIZED.iter().any(|name| name.as_bytes() == plain) {
            return Err(Error::entry(&entry.name, "it holds a storage driver's own data"));
        }
        for filled in &mut trees {
            let Some(name) = below(&entry.name, &filled.name, &limits).map_err(|why| Error::entry(&entry.name, why))? else {
                continue;
            };
            filled.shifts.apply(&mut entry);
            filled.tree.make(&name, &entry, &mut archive)?;
            filled.found = true;
            tick();
            break;
        }
    }
    archive.finish()?;
    let mut all = Counts::default();
    for filled in trees {
        if !filled.found {
            let name = String::from_utf8_lossy(&filled.name).into_owned();
            return Err(Error::Archive(format!("{name} is not in it")));
        }
        all.add(filled.tree.finish()?);
        if all.bytes > limits.bytes {
            return Err(Error::Limit(format!("the backup has more than {} bytes", limits.bytes)));
        }
    }
    Ok(all)
}
