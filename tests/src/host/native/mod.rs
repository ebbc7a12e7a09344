//! The native host: systemd-nspawn over a read-only tree, booted in about two seconds, at the speed of
//! the machine and on its kernel. Everything it makes lives in namespaces of its own. Depends on
//! systemd-nspawn, unshare and nsenter. Called by `Host::boot`, and by the lab, which keeps one.

mod boot;
mod cgroup;
mod leader;
mod power;
mod start;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Mutex;

pub(super) use boot::sweep;
pub(super) use leader::children;
pub use leader::find as leader_below;
pub use start::enter;

use crate::relay::Relay;

/// A host of systemd-nspawn. Dropping it kills everything in it and removes everything of it.
#[derive(Debug)]
pub struct Native {
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

impl Native {
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
