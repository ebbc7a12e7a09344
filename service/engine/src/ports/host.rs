//! Facts about this machine that plans depend on, and the two things plans may not invent: time
//! and chance.

use async_trait::async_trait;
use lxhost_model::schedule::Minute;
use lxhost_model::{IdRange, Result, Timestamp};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// One finding of `lxctl doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, in a word or two.
    pub name: String,
    /// `ok`, `warn` or `fail`.
    pub state: &'static str,
    /// What was found.
    pub message: String,
    /// What to do about it; empty when nothing.
    pub hint: String,
}

impl Check {
    /// What is as it has to be.
    pub fn ok(name: &str, message: impl Into<String>) -> Self {
        Check { name: name.to_owned(), state: "ok", message: message.into(), hint: String::new() }
    }

    /// What some will miss.
    pub fn warn(name: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Check { name: name.to_owned(), state: "warn", message: message.into(), hint: hint.into() }
    }

    /// What is broken.
    pub fn fail(name: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Check { state: "fail", ..Check::warn(name, message, hint) }
    }
}

/// This machine.
#[async_trait]
pub trait Host: Send + Sync {
    /// Microseconds since the epoch.
    fn now(&self) -> Timestamp;

    /// The minute of the local calendar at that time.
    fn minute(&self, at: Timestamp) -> Minute;

    /// Has a timer of the host call `Manager.Tend` once a minute, or not any more.
    async fn call_every_minute(&self, on: bool) -> Result<()>;

    /// Sixteen random bytes.
    fn random(&self) -> [u8; 16];

    /// Architecture, as `uname -m` says it.
    fn architecture(&self) -> String;

    /// Kernel release.
    fn kernel(&self) -> String;

    /// Bytes of memory of the machine.
    fn memory(&self) -> u64;

    /// Identifier of this boot.
    fn boot_id(&self) -> String;

    /// The state directory, `/var/lib/lxhost`.
    fn state_dir(&self) -> PathBuf;

    /// Ids that somebody else on this machine uses or may use: /etc/subuid, /etc/subgid, users and groups.
    async fn taken_ids(&self) -> Result<Vec<IdRange>>;

    /// The path by which a directory or file is reached that somebody holds open for reading.
    ///
    /// # Errors
    /// `InvalidArgs` for what was not opened for reading, is neither, or is not at its path any more.
    async fn path_of(&self, file: OwnedFd) -> Result<String>;

    /// Examines the machine for `lxctl doctor`: kernel features, tools, PID 1, Polkit, forwarding, limits.
    async fn checks(&self) -> Vec<Check>;
}
