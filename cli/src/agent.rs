//! The Polkit agent on the terminal (pkttyagent), started only after Polkit found nobody to ask.
//!
//! It lives for the one call that needs it, so it never shares the terminal with a raw session.

use crate::failure::Failure;
use lxhost_model::Kind;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::FdFlags;
use std::io::IsTerminal;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

/// A running agent; ends with this value.
pub(crate) struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        // SIGTERM, not kill(): the agent restores the terminal's echo.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// Whether an agent on this terminal could turn `error` into a yes.
pub(crate) fn would_help(error: &zbus::Error) -> bool {
    let kind = lxhost_dbus::error_kind(error).kind;
    kind == Kind::InteractiveAuthorizationRequired && !rustix::process::geteuid().is_root() && std::io::stdin().is_terminal()
}

/// Starts pkttyagent for this process and waits until it is registered. Without pkttyagent on
/// this host the next call fails as the one before did.
pub(crate) fn start() -> Result<Option<Agent>, Failure> {
    let io = |e: std::io::Error| Failure::io("start pkttyagent", &e);
    let (reader, writer) = std::io::pipe().map_err(io)?;
    // The one descriptor the agent inherits: closing it says that the agent is registered.
    rustix::io::fcntl_setfd(&writer, FdFlags::empty()).map_err(|e| io(e.into()))?;
    let child = Command::new("pkttyagent")
        .args(["--notify-fd", &writer.as_raw_fd().to_string(), "--fallback"])
        .stdin(Stdio::inherit())
        .spawn();
    drop(writer);
    let agent = match child {
        Ok(child) => Agent(child),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    let limit = Timespec { tv_sec: 5, tv_nsec: 0 };
    poll(&mut [PollFd::new(&reader, PollFlags::IN)], Some(&limit)).map_err(|e| io(e.into()))?;
    Ok(Some(agent))
}
