//! lxhost-unpack: reads images that nobody has vouched for, inside a sandbox that the daemon sets up.
//!
//! `lxhost-unpack check meta|rootfs|unified` reads standard input to its end and prints what its
//! metadata.yaml says, as JSON (`null` for a rootfs).
//! `lxhost-unpack unpack [--unified] [--max-bytes N] [--max-entries N] -- DIRECTORY` unpacks standard
//! input into the empty DIRECTORY and prints counts as JSON. Lines `progress FRACTION` and a last line
//! with the error go to standard error. Status: 0 done, 2 the image is bad, 3 the disk is full.
//!
//! A library so that fuzz targets reach its parsers (`hostile`); main.rs does nothing but call it.

mod archive;
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

fn run(arguments: Vec<OsString>) -> Result<()> {
    let usage = || {
        Error::Usage(
            "usage: lxhost-unpack check meta|rootfs|unified | unpack [--unified] [--max-bytes N] [--max-entries N] -- DIRECTORY"
                .into(),
        )
    };
    let mut arguments = arguments.into_iter();
    let mut limits = Limits::default();
    match arguments.next().as_deref().and_then(|verb| verb.to_str()) {
        Some("check") => {
            let part = arguments.next().and_then(|word| check::Part::parse(word.to_str()?)).ok_or_else(usage)?;
            print(&check::run(input()?, part, limits, report)?)
        }
        Some("unpack") => {
            let mut unified = false;
            loop {
                let option = arguments.next().ok_or_else(usage)?;
                match option.to_str() {
                    Some("--unified") => unified = true,
                    Some("--max-bytes") => limits.bytes = number(arguments.next()).ok_or_else(usage)?,
                    Some("--max-entries") => limits.entries = number(arguments.next()).ok_or_else(usage)?,
                    Some("--") => break,
                    _ => return Err(usage()),
                }
            }
            let target = arguments.next().ok_or_else(usage)?;
            if arguments.next().is_some() {
                return Err(usage());
            }
            // Modes in the archive are meant as they stand.
            rustix::process::umask(rustix::fs::Mode::empty());
            print(&unpack::run(input()?, unified, &target, limits, report)?)
        }
        _ => Err(usage()),
    }
}

/// Tells the daemon how far it is.
fn report(fraction: f64) {
    let _ = writeln!(std::io::stderr(), "progress {fraction:.3}");
}

fn number(argument: Option<OsString>) -> Option<u64> {
    argument?.to_str()?.parse().ok()
}

/// Standard input as a file.
fn input() -> Result<File> {
    let fd = std::io::stdin().as_fd().try_clone_to_owned().map_err(|e| Error::io("standard input", e))?;
    Ok(File::from(fd))
}

fn print(answer: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string(answer).map_err(|e| Error::io("standard output", std::io::Error::from(e)))?;
    writeln!(std::io::stdout(), "{text}").map_err(|e| Error::io("standard output", e))
}
