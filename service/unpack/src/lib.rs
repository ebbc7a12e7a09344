//! lxhost-unpack: reads images and backups that nobody has vouched for, inside a sandbox that the daemon sets up.
//!
//! `lxhost-unpack check meta|rootfs|unified` reads standard input to its end and prints what its
//! metadata.yaml says, as JSON (`null` for a rootfs).
//! `lxhost-unpack unpack [--unified] [--max-bytes N] [--max-entries N] -- DIRECTORY` unpacks standard
//! input into the empty DIRECTORY and prints counts as JSON.
//! `lxhost-unpack index` reads a backup as far as its index and prints it as JSON; `lxhost-unpack restore [--max-bytes N]
//! [--max-entries N] -- TREE...` unpacks trees of a backup, each NAME DIRECTORY SHIFTS; `lxhost-unpack pack` reads a request as JSON and
//! writes the backup to standard output; `lxhost-unpack verify` reads a backup to its end and prints what is in it.
//! Lines `progress FRACTION` and a last line
//! with the error go to standard error. Status: 0 done, 2 the image is bad, 3 the disk is full.
//!
//! A library so that fuzz targets reach its parsers (`hostile`); main.rs does nothing but call it.

mod archive;
mod backup;
mod check;
mod codec;
mod error;
pub mod hostile;
mod limits;
mod metadata;
mod pipeline;
mod squash;
mod tree;
mod unpack;

use error::{Error, Result};
use limits::Limits;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;

/// The program.
pub fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be listening any more.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(error.status())
        }
    }
}

const USAGE: &str = "usage: lxhost-unpack check meta|rootfs|unified | unpack [--unified] [LIMITS] -- DIRECTORY | index | \
                     restore [LIMITS] -- TREE... | pack | verify; LIMITS: --max-bytes N, --max-entries N; \
                     TREE: NAME DIRECTORY SHIFTS";

fn usage() -> Error {
    Error::Usage(USAGE.into())
}

fn run(arguments: Vec<OsString>) -> Result<()> {
    let (verb, mut rest) = arguments.split_first().ok_or_else(usage)?;
    match (verb.to_str(), rest) {
        (Some("check"), [part]) => {
            let part = part.to_str().and_then(check::Part::parse).ok_or_else(usage)?;
            print(&check::run(input()?, part, Limits::default(), report)?)
        }
        (Some("unpack"), _) => {
            let unified = rest.first().is_some_and(|word| word == "--unified");
            rest = &rest[usize::from(unified)..];
            let (limits, [target]) = limited(rest)? else { return Err(usage()) };
            as_it_stands();
            print(&unpack::run(input()?, unified, target, limits, report)?)
        }
        (Some("index"), []) => print(&backup::index::run(input()?, Limits::default())?),
        (Some("restore"), _) => {
            let (limits, targets) = limited(rest)?;
            let (trees, []) = targets.as_chunks::<3>() else { return Err(usage()) };
            let target = |[name, directory, shifts]: &[OsString; 3]| {
                let shifts = shifts.to_str().and_then(backup::ids::Shifts::parse).ok_or_else(usage)?;
                let name = name.to_str().ok_or_else(usage)?.to_owned();
                Ok(backup::restore::Target { name, directory: directory.into(), shifts })
            };
            let targets = trees.iter().map(target).collect::<Result<Vec<_>>>()?;
            as_it_stands();
            print(&backup::restore::run(input()?, targets, limits, report)?)
        }
        (Some("pack"), []) => backup::pack::run(std::io::stdin().lock(), output()?, |bytes| {
            let _ = writeln!(std::io::stderr(), "progress {bytes}");
        }),
        (Some("verify"), []) => print(&backup::verify::run(input()?, Limits::default(), report)?),
        _ => Err(usage()),
    }
}

/// Limits, and what follows the two dashes.
fn limited(arguments: &[OsString]) -> Result<(Limits, &[OsString])> {
    let (mut limits, mut rest) = (Limits::default(), arguments);
    loop {
        let (option, value);
        (option, rest) = rest.split_first().ok_or_else(usage)?;
        let limit = match option.to_str() {
            Some("--") => return Ok((limits, rest)),
            Some("--max-bytes") => &mut limits.bytes,
            Some("--max-entries") => &mut limits.entries,
            _ => return Err(usage()),
        };
        (value, rest) = rest.split_first().ok_or_else(usage)?;
        *limit = value.to_str().and_then(|value| value.parse().ok()).ok_or_else(usage)?;
    }
}

/// Modes in the archive are meant as they stand.
fn as_it_stands() {
    rustix::process::umask(rustix::fs::Mode::empty());
}

/// Tells the daemon how far it is.
fn report(fraction: f64) {
    let _ = writeln!(std::io::stderr(), "progress {fraction:.3}");
}

/// Standard input as a file.
fn input() -> Result<File> {
    let fd = std::io::stdin().as_fd().try_clone_to_owned().map_err(|e| Error::io("standard input", e))?;
    Ok(File::from(fd))
}

/// Standard output as a file.
fn output() -> Result<File> {
    let fd = std::io::stdout().as_fd().try_clone_to_owned().map_err(|e| Error::io("standard output", e))?;
    Ok(File::from(fd))
}

fn print(answer: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string(answer).map_err(|e| Error::io("standard output", std::io::Error::from(e)))?;
    writeln!(std::io::stdout(), "{text}").map_err(|e| Error::io("standard output", e))
}
