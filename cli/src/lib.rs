//! lxctl: the command line of lxhost. Parses, calls the daemon over D-Bus, prints.
//!
//! `args/` says what a command line looks like, `commands/` has one call and one print per verb,
//! `render/` prints. Depends on the published API and the model alone.
//! A library so that fuzz targets reach its parsers (`hostile`); main.rs does nothing but call it.

mod agent;
mod args;
mod attach;
mod bus;
mod commands;
mod complete;
mod definition;
mod editor;
mod failure;
pub mod hostile;
mod pages;
mod pairs;
mod paths;
mod progress;
mod pump;
mod reference;
mod remote;
mod render;

mod terminal;
mod values;

use args::Cli;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use failure::Failure;
use std::process::ExitCode;

/// The program.
pub fn main() -> ExitCode {
    if std::env::var_os("COMPLETE").is_some() {
        clap_complete::CompleteEnv::with_factory(Cli::command).complete();
    }
    let end = match Cli::try_parse() {
        Ok(Cli { global: args::Global { host: Some(host), far_end: false, .. }, .. }) => Err(remote::run(&host)),
        Ok(cli) => run(cli),
        Err(error) => refused(&error),
    };
    match end {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.code)
        }
    }
}

/// Help and version are errors to clap; the rest becomes one line.
fn refused(error: &clap::Error) -> Result<u8, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader of the help that left is no error.
            let _ = error.print();
            Ok(0)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Ok(2)
        }
        _ => {
            let words: Vec<String> = std::env::args_os().skip(1).map(|w| w.to_string_lossy().into_owned()).collect();
            Err(args::explain(error, &words))
        }
    }
}

fn run(cli: Cli) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| Failure::io("start", &e))?;
    let end = runtime.block_on(commands::run(cli));
    // A read of standard input that nobody waits for any more must not hold the end up.
    runtime.shutdown_background();
    end
}
