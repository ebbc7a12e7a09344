//! Reads a backup to its end without writing anything: whether it is whole, and what is in it. The rules are those by
//! which it would be unpacked. Called by main.

use super::{INDEX, OPTIMIZED, index};
use crate::archive::Archive;
use crate::check::Plan;
use crate::codec;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::metadata::read_text;
use crate::pipeline;
use crate::tree::below;
use crate::unpack::Meter;
use lxhost_model::backup::{About, ROOT, VOLUME, snapshot_root, volume_snapshot};
use std::fs::File;
use std::io::Read;

/// What is in a backup.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Verified {
    /// What it says about itself: `backup` for an instance, `volume` for a custom volume.
    #[serde(flatten)]
    about: About,
    /// Entries of its trees.
    entries: u64,
    /// Bytes of their files.
    bytes: u64,
}

/// Reads `file` to its end. `report` is told how much of it has been read.
///
/// # Errors
/// `Archive`, `Entry`, `Metadata`, `Limit`, `Io`.
pub(crate) fn run(file: File, limits: Limits, report: impl Fn(f64)) -> Result<Verified> {
    let input = codec::open(file)?;
    let mut meter = Meter::new(&input, report);
    stream(pipeline::ahead(input.tar(limits.stream())?)?, limits, || meter.tick())
}

/// Reads a tar stream to its end; `tick` is called for each entry.
///
/// # Errors
/// As `run`.
pub(crate) fn stream(tar: impl Read, limits: Limits, mut tick: impl FnMut()) -> Result<Verified> {
    let mut archive = Archive::new(tar, limits);
    let mut about = None;
    let mut trees: Vec<(String, Plan)> = Vec::new();
    while let Some(entry) = archive.next()? {
        tick();
        let plain = entry.name.strip_prefix(b"./").unwrap_or(&entry.name);
        if plain == INDEX.as_bytes() && about.is_none() {
            let read = index::parse(&read_text(&entry, &mut archive, index::BYTES)?)?;
            trees = names(&read).into_iter().map(|name| (name, Plan::new(limits))).collect();
            about = Some(read);
            continue;
        }
        if OPTIMIZED.iter().any(|name| name.as_bytes() == plain) {
            return Err(Error::entry(&entry.name, "it holds a storage driver's own data"));
        }
        for (top, plan) in &mut trees {
            if let Some(name) = below(&entry.name, top.as_bytes(), &limits).map_err(|why| Error::entry(&entry.name, why))? {
                plan.make(&name, &entry)?;
                break;
            }
        }
    }
    archive.finish()?;
    let about = about.ok_or_else(|| Error::Archive(format!("it is no backup: {INDEX} is not in it")))?;
    if let Some((name, _)) = trees.iter().find(|(_, plan)| plan.is_empty()) {
        return Err(Error::Archive(format!("{name} is not in it")));
    }
    let sum = |count: fn(&Plan) -> u64| trees.iter().map(|(_, plan)| count(plan)).sum();
    Ok(Verified { about, entries: sum(Plan::entries), bytes: sum(Plan::bytes) })
}

/// Names of the trees that have to be in it.
fn names(about: &About) -> Vec<String> {
    match about {
        About::Backup(backup) => {
            let past = backup.snapshots.iter().map(|past| snapshot_root(&past.name));
            std::iter::once(ROOT.to_owned()).chain(past).collect()
        }
        About::Volume(backup) => {
            let past = backup.snapshots.iter().map(|past| volume_snapshot(&past.name));
            std::iter::once(VOLUME.to_owned()).chain(past).collect()
        }
        About::Image(_) => vec![],
    }
}
