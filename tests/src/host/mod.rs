//! A throw-away Debian host: its own systemd, D-Bus and Polkit over a read-only tree, with a network
//! that reaches nothing but the mirror relay. One interface, `Host`, over the kinds of machine that
//! carry one; everything a host makes goes with the value, or with the process that had it, however
//! that ends. Used by suites, bench and lab.

mod command;
mod files;
mod full;
pub mod keeper;
mod layer;
mod machine;
mod native;
mod need;
mod network;
mod running;
mod spec;
mod stream;
mod watch;
mod zfs;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Result;
use machine::Machine;

pub use command::{Cmd, Output};
pub use full::Full;
pub use layer::layer;
pub use native::{Native, enter, leader_below};
pub use need::Need;
pub use network::Network;
pub use running::{Input, Running};
pub use spec::{HostSpec, Kind, State, Upper};

use crate::cache::Cache;

/// A booted host. Dropping it kills everything in it and removes everything of it.
#[derive(Debug)]
pub struct Host {
    machine: Box<dyn Machine>,
    kind: Kind,
}

impl Host {
    /// Boots a host and waits until its systemd has started everything.
    ///
    /// # Errors
    /// When the machine lacks a tool or a right, or the host does not come up; the message has the end
    /// of its console.
    pub fn boot(cache: &Cache, spec: &HostSpec) -> Result<Self> {
        let machine: Box<dyn Machine> = match spec.kind {
            Kind::Native => Box::new(Native::boot(cache, spec)?),
            Kind::Full => Box::new(Full::boot(cache, spec)?),
        };
        Ok(Self { machine, kind: spec.kind })
    }

    /// What carries it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A time that is fair on the machine itself, as it is fair in this host.
    #[must_use]
    pub fn patience(&self, time: Duration) -> Duration {
        time * self.kind.slowness()
    }

    /// Reboots in an orderly way and waits until everything is up again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn reboot(&self) -> Result<()> {
        self.machine.reboot()
    }

    /// Powers off in an orderly way and waits until it is off.
    ///
    /// # Errors
    /// When it was off, or ends in another way.
    pub fn power_off(&self) -> Result<()> {
        self.machine.power_off()
    }

    /// Ends everything in it at once, as a power cut does (what was written stays written).
    ///
    /// # Errors
    /// When it was off.
    pub fn crash(&self) -> Result<()> {
        self.machine.crash()
    }

    /// Has it hang: a full one does nothing any more, the PID 1 of a native one neither. Only a crash ends that.
    ///
    /// # Errors
    /// When it was off.
    pub fn hang(&self) -> Result<()> {
        self.machine.hang()
    }

    /// Boots it again after `power_off` or `crash`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn power_on(&self) -> Result<()> {
        self.machine.power_on()
    }

    /// A directory shared with the host, where it is `/lab`.
    #[must_use]
    pub fn share(&self) -> PathBuf {
        self.machine.share()
    }

    /// The directory of everything of this host.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.machine.directory()
    }
}

/// A name and a directory for a new host.
fn directory(cache: &Cache) -> Result<(String, PathBuf)> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let id = format!("lxhost-lab-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let directory = cache.directory("hosts")?.join(&id);
    Ok((id, directory))
}

/// Removes what hosts of killed programs left in the cache and in cgroupfs. Hosts that live are kept.
///
/// # Errors
/// When something of theirs cannot be removed.
pub fn sweep(cache: &Cache) -> Result<()> {
    native::sweep(cache)
}
