//! Requests to a monitor whose container runs.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use lxhost_contract::{
    CONTRACT_MAJOR, CONTRACT_MINOR, ConsoleAttach, ConsoleLog, ConsoleResize, DiskAttach, DiskDetach, Exec, ExecAck, ExecResize,
    ExecSignal, ExecStarted, Freeze, Hello, Kill, Mount, Reply, Request, RouteSocket, SOCKET_NAME, Signal, Thaw, Welcome,
};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::MonitorError;
use super::link::{Events, Link};

/// The init of a container that has just been let go.
#[derive(Debug)]
pub struct Started {
    /// Its process id on the host.
    pub pid: u32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
}

/// A monitor found again.
#[derive(Debug)]
pub struct Adopted {
    /// For requests.
    pub monitor: Monitor,
    /// What it says from now on.
    pub events: Events,
    /// What it said of itself.
    pub welcome: Welcome,
    /// The init's pidfd.
    pub pidfd: OwnedFd,
}

/// A connection to the monitor of a running container. Dropping it changes nothing for the container.
#[derive(Debug)]
pub struct Monitor {
    link: Link,
}

impl Monitor {
    pub(super) fn new(link: Link) -> Self {
        Self { link }
    }

    /// Connects to the monitor of `runtime_dir`; `None` when none listens there.
    ///
    /// # Errors
    /// `Contract` for a monitor of a later generation; `Io`, `Gone`.
    pub async fn adopt(runtime_dir: &Path) -> Result<Option<Adopted>, MonitorError> {
        let path = runtime_dir.join(SOCKET_NAME);
        let what = format!("connect {}", path.display());
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|errno| MonitorError::io(what.clone())(errno.into()))?;
        match SocketAddrUnix::new(&path).and_then(|address| connect(&socket, &address)) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(None),
            Err(errno) => return Err(MonitorError::io(what)(errno.into())),
        }
        let (link, events) = Link::new(socket)?;
        let hello = Request::Hello(Hello { major: CONTRACT_MAJOR, minor: CONTRACT_MINOR });
        let (Reply::Welcome(welcome), descriptors) = link.ask(&hello, &[]).await? else {
            return Err(MonitorError::Unexpected { request: "hello" });
        };
        if welcome.major != CONTRACT_MAJOR {
            return Err(MonitorError::Contract { major: welcome.major });
        }
        let pidfd = descriptors.into_iter().next().ok_or(MonitorError::Unexpected { request: "hello" })?;
        Ok(Some(Adopted { monitor: Self { link }, events, welcome, pidfd }))
    }

    /// Sends a signal to the init alone; real-time signals by glibc's numbers.
    ///
    /// # Errors
    /// `Refused`, `Gone`: so for every request below.
    pub async fn signal(&self, signal: u32) -> Result<(), MonitorError> {
        self.done(Request::Signal(Signal { signal }), "signal").await
    }

    /// Kills every process of the payload.
    pub async fn kill(&self) -> Result<(), MonitorError> {
        self.done(Request::Kill(Kill {}), "kill").await
    }

    /// Stops every process of the payload and waits until they have stopped.
    pub async fn freeze(&self) -> Result<(), MonitorError> {
        self.done(Request::Freeze(Freeze {}), "freeze").await
    }

    /// Lets them run again.
    pub async fn thaw(&self) -> Result<(), MonitorError> {
        self.done(Request::Thaw(Thaw {}), "thaw").await
    }

    /// Runs a program; with a terminal, its master is beside the answer.
    pub async fn exec(&self, exec: Exec, streams: &[OwnedFd]) -> Result<(ExecStarted, Option<OwnedFd>), MonitorError> {
        let streams: Vec<BorrowedFd<'_>> = streams.iter().map(AsFd::as_fd).collect();
        match self.link.ask(&Request::Exec(exec), &streams).await? {
            (Reply::ExecStarted(started), descriptors) => Ok((started, descriptors.into_iter().next())),
            _ => Err(MonitorError::Unexpected { request: "exec" }),
        }
    }

    /// Sends a signal to a session.
    pub async fn exec_signal(&self, id: u64, signal: u32) -> Result<(), MonitorError> {
        self.done(Request::ExecSignal(ExecSignal { id, signal }), "exec-signal").await
    }

    /// Tells a session's terminal its size.
    pub async fn exec_resize(&self, id: u64, rows: u16, columns: u16) -> Result<(), MonitorError> {
        self.done(Request::ExecResize(ExecResize { id, rows, columns }), "exec-resize").await
    }

    /// Says that the end of a session was recorded.
    pub async fn exec_acknowledge(&self, id: u64) -> Result<(), MonitorError> {
        self.done(Request::ExecAck(ExecAck { id }), "exec-ack").await
    }

    /// Attaches a stream socket to the console, beginning with what the ring buffer has if `replay`.
    pub async fn console_attach(&self, stream: &OwnedFd, replay: bool) -> Result<u32, MonitorError> {
        let attach = Request::ConsoleAttach(ConsoleAttach { replay, ..ConsoleAttach::default() });
        match self.link.ask(&attach, &[stream.as_fd()]).await? {
            (Reply::ConsoleAttached(attached), _) => Ok(attached.id),
            _ => Err(MonitorError::Unexpected { request: "console-attach" }),
        }
    }

    /// Tells the console its size.
    pub async fn console_resize(&self, rows: u16, columns: u16) -> Result<(), MonitorError> {
        self.done(Request::ConsoleResize(ConsoleResize { rows, columns }), "console-resize").await
    }

    /// What the ring buffer has, as a file.
    pub async fn console_log(&self) -> Result<OwnedFd, MonitorError> {
        let (_, descriptors) = self.link.ask(&Request::ConsoleLog(ConsoleLog {}), &[]).await?;
        descriptors.into_iter().next().ok_or(MonitorError::Unexpected { request: "console-log" })
    }

    /// A route socket in the container's network namespace.
    pub async fn route_socket(&self) -> Result<OwnedFd, MonitorError> {
        let (_, descriptors) = self.link.ask(&Request::RouteSocket(RouteSocket {}), &[]).await?;
        descriptors.into_iter().next().ok_or(MonitorError::Unexpected { request: "route-socket" })
    }

    /// Mounts a disk inside.
    pub async fn attach(&self, disk: Mount) -> Result<(), MonitorError> {
        self.done(Request::DiskAttach(DiskAttach { disk }), "disk-attach").await
    }

    /// Takes the disk at `target` away.
    pub async fn detach(&self, target: &str) -> Result<(), MonitorError> {
        self.done(Request::DiskDetach(DiskDetach { target: target.into() }), "disk-detach").await
    }

    async fn done(&self, request: Request, name: &'static str) -> Result<(), MonitorError> {
        match self.link.ask(&request, &[]).await? {
            (Reply::Done(_), _) => Ok(()),
            _ => Err(MonitorError::Unexpected { request: name }),
        }
    }
}
