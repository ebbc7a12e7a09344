//! Doors for the fuzz targets: every parser of this crate, from bytes to what came of them, within caps
//! small enough for thousands of runs a second. Called by nobody else.

use crate::backup;
use crate::check::{self, Part};
use crate::codec;
use crate::error::Error;
use crate::limits::Limits;
use crate::{metadata, squash, tree, unpack};
use lxhost_model::backup::About;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

/// Caps of these runs.
fn limits() -> Limits {
    Limits { bytes: 4 << 20, entries: 500, pieces: 1000, ..Limits::default() }
}

/// What was refused: the line for people, and whether the input is to blame and not this machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The line.
    pub line: String,
    /// Whether the input is to blame.
    pub untrusted: bool,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused { line: error.to_string(), untrusted: error.status() == 2 }
    }
}

/// Reads metadata.yaml: architecture, time, properties.
///
/// # Errors
/// `Refused`.
pub fn metadata(text: &[u8]) -> Result<(String, u64, BTreeMap<String, String>), Refused> {
    let read = metadata::parse(text)?;
    Ok((read.architecture, read.created, read.properties))
}

/// Checks a tar stream as `meta`, `rootfs` or `unified`; says whether it had metadata.
///
/// # Errors
/// `Refused`; also for another word.
pub fn check(tar: &[u8], part: &str) -> Result<bool, Refused> {
    let part = Part::parse(part).ok_or_else(|| Error::Usage("no such part".into()))?;
    Ok(check::stream(tar, part, limits(), || ())?.is_some())
}

/// Reads a backup's index as YAML; says how many snapshots it names.
///
/// # Errors
/// `Refused`.
pub fn backup_index(text: &[u8]) -> Result<usize, Refused> {
    Ok(match backup::index::parse(text)? {
        About::Backup(backup) => backup.snapshots.len(),
        About::Volume(backup) => backup.snapshots.len(),
        About::Image(_) => 0,
    })
}

/// Reads a backup as a tar stream to its end.
///
/// # Errors
/// `Refused`.
pub fn verify(tar: &[u8]) -> Result<(), Refused> {
    backup::verify::stream(tar, limits(), || ())?;
    Ok(())
}

/// Unpacks the root in a backup into the empty directory `target`.
///
/// # Errors
/// `Refused`.
pub fn restore(tar: &[u8], target: &Path) -> Result<u64, Refused> {
    let name = lxhost_model::backup::ROOT.to_owned();
    let targets = vec![backup::restore::Target { name, directory: target.to_owned(), shifts: Default::default() }];
    Ok(backup::restore::stream(tar, targets, limits(), || ())?.entries)
}

/// Unpacks a tar stream into the empty directory `target`.
///
/// # Errors
/// `Refused`.
pub fn unpack(tar: &[u8], unified: bool, target: &Path) -> Result<u64, Refused> {
    Ok(unpack::stream(tar, unified, target, limits(), || ())?.entries)
}

/// Decompresses an image's file to its end; says how many bytes came.
///
/// # Errors
/// `Refused`, also over the cap on bytes.
pub fn decompress(file: &[u8]) -> Result<u64, Refused> {
    let input = codec::look(Cursor::new(file.to_vec()), file.len() as u64)?;
    let mut stream = input.tar(limits().bytes)?;
    let (mut buffer, mut sum) = ([0; 32 << 10], 0);
    loop {
        match stream.read(&mut buffer).map_err(|e| Error::Archive(e.to_string()))? {
            0 => return Ok(sum),
            n => sum += n as u64,
        }
    }
}

/// Adds up a listing of unsquashfs: entries and bytes.
///
/// # Errors
/// `Refused`.
pub fn listing(text: &[u8]) -> Result<(u64, u64), Refused> {
    let counts = squash::count(text, &limits())?;
    Ok((counts.entries, counts.bytes))
}

/// The kernel's form of an ACL in text.
pub fn acl(text: &[u8]) -> Option<Vec<u8>> {
    tree::acl::from_text(text)
}
