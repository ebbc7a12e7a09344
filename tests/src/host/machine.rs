//! What a kind of host has to be able to do; everything else is made of that. Implemented by `native`
//! and `full`, called by `Host`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::command::{Output, within};
use super::running::{Process, Running};

/// A kind of host.
pub(super) trait Machine: std::fmt::Debug + Send + Sync {
    /// Starts the program `argv[0]` as root, in a process group of its own.
    ///
    /// # Errors
    /// When the host is off or does not start it.
    fn start(&self, argv: &[String]) -> Result<Process>;

    /// Reboots in an orderly way and waits until everything is up again.
    ///
    /// # Errors
    /// When it does not come up.
    fn reboot(&self) -> Result<()>;

    /// Powers off in an orderly way and waits until it is off.
    ///
    /// # Errors
    /// When it was off, or ends in another way.
    fn power_off(&self) -> Result<()>;

    /// Ends everything in it at once, as a power cut does (what was written stays written).
    ///
    /// # Errors
    /// When it was off.
    fn crash(&self) -> Result<()>;

    /// Has it hang: it does nothing any more, and is not off.
    ///
    /// # Errors
    /// When it was off.
    fn hang(&self) -> Result<()>;

    /// Boots it again after `power_off` or `crash`.
    ///
    /// # Errors
    /// When it does not come up.
    fn power_on(&self) -> Result<()>;

    /// A directory shared with the host, where it is `/lab`.
    fn share(&self) -> PathBuf;

    /// The directory of everything of this host; `console.log` is in it.
    fn directory(&self) -> &Path;
}

/// Runs a command in a machine to its end.
pub(super) fn say(machine: &dyn Machine, argv: &[&str], limit: Duration) -> Result<Output> {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let mut process = machine.start(&within(None, &[], &argv))?;
    process.stdin = None;
    Running::new(process, std::time::Instant::now(), limit, argv.join(" ")).wait()
}
