//! The daemon's side of one `lxhost-runtime`: start it, follow a launch through its stages, talk to it while the
//! container runs, find it again after a restart of the daemon.
//!
//! Depends on the contract and tokio. No unsafe, no fork, no setns: those are the monitor's. Called by `launcher`.

mod launching;
mod link;
pub(crate) mod record;
mod running;

use std::io;
use std::path::PathBuf;

use lxhost_contract::{ChannelError, Refusal, WireError};
use rustix::io::Errno;

pub use launching::{Created, Launching};
pub use link::{Events, Incoming};
pub use record::{ExitRecord, read_exit_record};
pub use running::{Adopted, Monitor, Started};

/// Why something asked of a monitor was not done.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The program could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Spawn {
        /// Its path.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The launch failed; the monitor has undone it.
    #[error("launch failed at {step}: {errno}")]
    Launch {
        /// What was being done.
        step: String,
        /// The kernel's reason.
        errno: Errno,
    },
    /// The monitor is gone.
    #[error("the monitor has ended")]
    Gone,
    /// It refused a request.
    #[error("{reason:?}: {subject} ({errno})")]
    Refused {
        /// Why, for programs.
        reason: Refusal,
        /// What it is about.
        subject: String,
        /// The kernel's reason, if it had one.
        errno: Errno,
    },
    /// It speaks a contract of a later generation.
    #[error("the monitor speaks contract {major}, this daemon 1")]
    Contract {
        /// Its generation.
        major: u16,
    },
    /// It answered with something that is no answer to the question.
    #[error("unexpected answer to {request}")]
    Unexpected {
        /// The question.
        request: &'static str,
    },
    /// What it sent is no message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A socket or file failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why not.
        source: io::Error,
    },
}

impl From<ChannelError> for MonitorError {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Wire(wire) => Self::Wire(wire),
            ChannelError::Socket(errno) => Self::Io { what: "monitor socket".to_owned(), source: errno.into() },
            ChannelError::TooManyDescriptors => Self::Unexpected { request: "descriptors" },
            ChannelError::Closed | ChannelError::WouldBlock => Self::Gone,
        }
    }
}

impl MonitorError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { what: what.into(), source }
    }
}
