//! The stages of a launch. Whoever drops this value before `go` has returned has called the launch off.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use lxhost_contract::{Event, Go, Launch, LaunchFailed, Request, ScopeReady};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::process::{Child, Command};

use super::MonitorError;
use super::link::{Events, Incoming, Link};
use super::running::{Monitor, Started};

/// How long the last words of a monitor that is gone may be under way.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A monitor that has been started.
#[derive(Debug)]
pub struct Launching {
    link: Link,
    events: Events,
    /// Kept so that tokio reaps it: it ends as soon as it has continued in the scope.
    _first: Child,
    pid: u32,
}

/// The payload exists and waits.
#[derive(Debug)]
pub struct Created {
    /// Process id of the monitor inside the scope.
    pub monitor_pid: u32,
    /// Process id of the payload: its network namespace is there.
    pub pid: u32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
}

impl Launching {
    /// Starts `program` and tells it what to launch. Its messages go to the journal of the daemon.
    ///
    /// # Errors
    /// `Spawn`, `Io`.
    pub async fn begin(program: &Path, launch: Launch) -> Result<Self, MonitorError> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|errno| MonitorError::io("socketpair")(errno.into()))?;
        let first = Command::new(program)
            .stdin(Stdio::from(theirs))
            .env_clear()
            .spawn()
            .map_err(|source| MonitorError::Spawn { program: program.to_owned(), source })?;
        let (link, events) = Link::new(ours)?;
        let pid = first.id().unwrap_or(0);
        let launching = Self { link, events, _first: first, pid };
        launching.link.tell(&Request::Launch(launch), &[]).await?;
        Ok(launching)
    }

    /// Process id for PID 1 to put into the scope.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Says that the process is in the scope whose directory is `cgroup`, and waits for the payload.
    ///
    /// # Errors
    /// `Launch` names the step that failed; `Gone`.
    pub async fn scope_ready(&mut self, cgroup: &Path) -> Result<Created, MonitorError> {
        self.tell(Request::ScopeReady(ScopeReady { cgroup: cgroup.to_owned() })).await?;
        let mut monitor_pid = 0;
        loop {
            let incoming = self.next().await?;
            match incoming.event {
                Event::ScopeEntered(entered) => monitor_pid = entered.monitor_pid,
                Event::PayloadCreated(created) => {
                    let pidfd = incoming.descriptors.into_iter().next();
                    let pidfd = pidfd.ok_or(MonitorError::Unexpected { request: "scope-ready" })?;
                    return Ok(Created { monitor_pid, pid: created.pid, pidfd });
                }
                _ => return Err(MonitorError::Unexpected { request: "scope-ready" }),
            }
        }
    }

    /// Lets the init run.
    ///
    /// # Errors
    /// As `scope_ready`.
    pub async fn go(mut self) -> Result<(Monitor, Events, Started), MonitorError> {
        self.tell(Request::Go(Go {})).await?;
        let incoming = self.next().await?;
        let (Event::Started(started), Some(pidfd)) = (incoming.event, incoming.descriptors.into_iter().next()) else {
            return Err(MonitorError::Unexpected { request: "go" });
        };
        Ok((Monitor::new(self.link), self.events, Started { pid: started.pid, pidfd }))
    }

    /// Why the monitor has ended, for whoever was told by others that it is gone.
    pub async fn failure(&mut self) -> Option<MonitorError> {
        match tokio::time::timeout(LAST_WORDS, self.next()).await {
            Ok(Err(error @ MonitorError::Launch { .. })) => Some(error),
            _ => None,
        }
    }

    /// A monitor that has failed meanwhile has said why before it closed: that comes with the next event.
    async fn tell(&self, request: Request) -> Result<(), MonitorError> {
        match self.link.tell(&request, &[]).await {
            Err(MonitorError::Gone) => Ok(()),
            other => other,
        }
    }

    async fn next(&mut self) -> Result<Incoming, MonitorError> {
        match self.events.next().await {
            None => Err(MonitorError::Gone),
            Some(Incoming { event: Event::LaunchFailed(LaunchFailed { step, errno }), .. }) => {
                Err(MonitorError::Launch { step, errno: Errno::from_raw_os_error(errno.clamp(0, 4095)) })
            }
            Some(incoming) => Ok(incoming),
        }
    }
}
