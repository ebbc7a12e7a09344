//! A throw-away Debian host: its own systemd, D-Bus and Polkit over a read-only tree, booted in about
//! two seconds by systemd-nspawn, with a network that reaches nothing but the mirror relay. Everything
//! it makes lives in namespaces of its own and goes with the value, or with the process that had it,
//! however that ends. Depends on systemd-nspawn, unshare and nsenter. Used by suites, bench and lab.

mod boot;
mod cgroup;
mod command;
mod files;
pub mod keeper;
mod layer;
mod leader;
mod power;
mod spec;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Mutex;

pub use boot::sweep;
pub use command::{Cmd, Output, Running, enter};
pub use layer::layer;
pub use leader::find as leader_below;
pub use spec::{HostSpec, State, Upper};

use crate::relay::Relay;

/// A booted host. Dropping it kills everything in it and removes everything of it.
#[derive(Debug)]
pub struct Host {
    directory: PathBuf,
    keeper: Mutex<Keeper>,
    cgroup: cgroup::Cgroup,
    _relay: Relay,
}

/// The process around the host; see `keeper`.
#[derive(Debug)]
struct Keeper {
    process: Child,
    orders: Option<std::process::ChildStdin>,
    reports: std::io::BufReader<std::process::ChildStdout>,
    /// The host's PID 1, as the machine counts; none while the host is off.
    leader: Option<i32>,
}

impl Host {
    /// A directory shared with the host, where it is `/lab`.
    #[must_use]
    pub fn share(&self) -> PathBuf {
        self.directory.join("lab")
    }

    /// What the host has as its state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The process that everything of this host is below of, as the machine counts.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.keeper().process.id()
    }

    /// The directory of everything of this host.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}
