//! Sessions: programs run in the container on request, from the request until the daemon has seen the end.
//!
//! Nothing here waits: a session that is being entered reports over a socket of its own, which the loop polls.

mod enter;
pub(crate) mod users;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxhost_contract::{Channel, Exec, ExecExited, ExecStarted, Launch, Record, Refusal, Refused, Reply, Session as Row, Value};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitStatus, pidfd_open};

use self::enter::{BORN, Entry, REFUSED};
use crate::launch::Cgroup;
use crate::sys::birth::{Birth, child};
use crate::terminal;

const MOST_SESSIONS: usize = 1024;
/// Ends of processes not yet known to be sessions: bounded, as entering is short.
const MOST_STRAYS: usize = 64;

/// Who asked, to be answered later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) connection: u64,
    pub(crate) serial: u32,
}

#[derive(Debug)]
struct Starting {
    report: Channel,
    asker: Asker,
    master: Option<OwnedFd>,
}

#[derive(Debug)]
struct Session {
    id: u64,
    starting: Option<Starting>,
    pid: Option<Pid>,
    pidfd: Option<OwnedFd>,
    terminal: Option<u32>,
    exited: Option<ExecExited>,
}

/// What the server needs to run a program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) launch: &'a Launch,
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) init: BorrowedFd<'a>,
    pub(crate) pts: BorrowedFd<'a>,
    /// Host ids of the container's root.
    pub(crate) root: (u32, u32),
}

/// An answer that is due.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) asker: Asker,
    pub(crate) reply: Reply,
    pub(crate) descriptor: Option<OwnedFd>,
}

/// All sessions of a container.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    list: Vec<Session>,
    strays: VecDeque<(Pid, WaitStatus)>,
}

impl Sessions {
    /// Starts a program; the answer comes with `on_report`, or now when it is refused.
    pub(crate) fn start(&mut self, place: Place<'_>, exec: &Exec, streams: Vec<OwnedFd>, asker: Asker) -> Result<(), Refused> {
        if self.list.len() >= MOST_SESSIONS {
            return Err(refuse(Refusal::TooMany, Errno::MFILE, "sessions"));
        }
        if self.list.iter().any(|session| session.id == exec.id) {
            return Err(refuse(Refusal::Duplicate, Errno::EXIST, &exec.id.to_string()));
        }
        if streams.len() > 3 || (exec.pty && !streams.is_empty()) {
            return Err(refuse(Refusal::Invalid, Errno::INVAL, "descriptors"));
        }
        if place.cgroup.is_frozen() {
            return Err(refuse(Refusal::Frozen, Errno::AGAIN, "payload"));
        }
        let session = begin(place, exec, &streams, asker)?;
        self.list.push(session);
        Ok(())
    }

    /// Reports to poll, in the order of `on_report`'s index.
    pub(crate) fn reports(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let starting = self.list.iter().enumerate();
        starting.filter_map(|(n, session)| Some((n, session.starting.as_ref()?.report.as_fd())))
    }

    /// Something came, or the end, on the report of a session. The answer, and the session's end if it is already known.
    pub(crate) fn on_report(&mut self, index: usize) -> Option<(Answer, Option<ExecExited>)> {
        let session = self.list.get_mut(index)?;
        let starting = session.starting.as_ref()?;
        let received = starting.report.receive();
        if let Ok(received) = &received
            && let Some((&BORN, pid)) = received.bytes.split_first()
        {
            let number = pid.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
            session.pid = Pid::from_raw(number);
            session.pidfd = session.pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
            let stray = self.strays.iter().position(|(pid, _)| Some(*pid) == session.pid);
            if let Some((_, status)) = stray.and_then(|n| self.strays.remove(n)) {
                session.exited = Some(exited(session.id, status));
            }
            return None;
        }
        let Starting { asker, master, .. } = session.starting.take()?;
        let refused = match received {
            Ok(received) => Some(refusal(&received.bytes)),
            // The end without a word: the program runs, if there is one.
            Err(_) if session.pid.is_some() => None,
            Err(_) => Some(refuse(Refusal::NotRunning, Errno::SRCH, "enter the container")),
        };
        if let Some(refused) = refused {
            self.list.remove(index);
            return Some((Answer { asker, reply: refused.into(), descriptor: None }, None));
        }
        let pid = session.pid.map_or(0, |pid| pid.as_raw_nonzero().get() as u32);
        let reply = ExecStarted { id: session.id, pid, terminal: session.terminal }.into();
        Some((Answer { asker, reply, descriptor: master }, session.exited.clone()))
    }

    /// A child has ended. The event, if it was a session that had begun.
    pub(crate) fn on_exit(&mut self, pid: Pid, status: WaitStatus) -> Option<ExecExited> {
        let Some(session) = self.list.iter_mut().find(|session| session.pid == Some(pid)) else {
            if self.list.iter().any(|session| session.starting.is_some()) {
                self.strays.truncate(MOST_STRAYS - 1);
                self.strays.push_front((pid, status));
            } else {
                self.strays.clear();
            }
            return None;
        };
        session.pidfd = None;
        let event = exited(session.id, status);
        session.exited = Some(event.clone());
        session.starting.is_none().then_some(event)
    }

    /// The daemon has seen the end.
    pub(crate) fn acknowledge(&mut self, id: u64) -> bool {
        let before = self.list.len();
        self.list.retain(|session| session.id != id || session.exited.is_none());
        before != self.list.len()
    }

    /// Sends a signal to the leader, or with a terminal to its process group.
    pub(crate) fn signal(&self, id: u64, signal: u32) -> Result<(), Refused> {
        let session = self.running(id)?;
        let (Some(pidfd), Some(pid)) = (&session.pidfd, session.pid) else {
            return Err(refuse(Refusal::NotRunning, Errno::SRCH, "session"));
        };
        if session.terminal.is_some() && crate::sys::signals::send_group(pid, signal).is_ok() {
            return Ok(());
        }
        crate::sys::signals::send(pidfd, signal).map_err(|errno| refuse(Refusal::Failed, errno, "signal"))
    }

    /// Tells a session's terminal its size.
    pub(crate) fn resize(&self, pts: BorrowedFd<'_>, id: u64, rows: u16, columns: u16) -> Result<(), Refused> {
        use rustix::fs::{Mode, OFlags, openat};
        let Some(number) = self.running(id)?.terminal else {
            return Err(refuse(Refusal::Invalid, Errno::NOTTY, "session without a terminal"));
        };
        // Opened for the moment: a slave kept open would hide the hangup from who reads the master.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(pts, number.to_string(), flags, Mode::empty())
            .and_then(|slave| terminal::resize(slave, rows, columns))
            .map_err(|errno| refuse(Refusal::Failed, errno, "terminal"))
    }

    fn running(&self, id: u64) -> Result<&Session, Refused> {
        let found = self.list.iter().find(|session| session.id == id && session.exited.is_none());
        found.ok_or_else(|| refuse(Refusal::NoSuchSession, Errno::SRCH, &id.to_string()))
    }

    /// What a `Welcome` says of the sessions.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let begun = self.list.iter().filter(|session| session.starting.is_none());
        begun
            .map(|session| Row {
                id: session.id,
                pid: session.pid.map_or(0, |pid| pid.as_raw_nonzero().get() as u32),
                exited: session.exited.clone(),
            })
            .collect()
    }

    /// Ends that nobody has acknowledged; sessions that still seem to run were killed with their container.
    pub(crate) fn ends(&self) -> impl Iterator<Item = ExecExited> {
        self.list.iter().filter(|session| session.starting.is_none()).map(|session| {
            let killed = || ExecExited { id: session.id, signal: libc::SIGKILL as u32, ..ExecExited::default() };
            session.exited.clone().unwrap_or_else(killed)
        })
    }
}

fn begin(place: Place<'_>, exec: &Exec, streams: &[OwnedFd], asker: Asker) -> Result<Session, Refused> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let fail = |step: &'static str| move |errno| refuse(Refusal::Failed, errno, step);
    let (report, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map(|(a, b)| (Channel::new(a), Channel::new(b)))
        .map_err(fail("report"))?;
    let pty = if exec.pty { Some(new_terminal(place, exec).map_err(fail("terminal"))?) } else { None };
    let null = enter::null().map_err(fail("/dev/null"))?;
    let slave = pty.as_ref().map(|pty| pty.slave.as_fd());
    let stream = |n: usize| slave.or_else(|| streams.get(n).map(AsFd::as_fd)).unwrap_or(null.as_fd());
    let cgroup = place.cgroup.sessions().map_err(fail("cgroup"))?;
    let entry =
        Entry { exec, launch: place.launch, init: place.init, report: &theirs, streams: [stream(0), stream(1), stream(2)] };
    let birth = Birth { cgroup: Some(cgroup.as_fd()), ..Birth::default() };
    child(birth, || entry.enter()).map_err(fail("clone"))?;
    let (master, terminal) = pty.map_or((None, None), |pty| (Some(pty.master), Some(pty.number)));
    let starting = Some(Starting { report, asker, master });
    Ok(Session { id: exec.id, starting, pid: None, pidfd: None, terminal, exited: None })
}

struct Pty {
    master: OwnedFd,
    slave: OwnedFd,
    number: u32,
}

fn new_terminal(place: Place<'_>, exec: &Exec) -> Result<Pty, Errno> {
    let (uid, gid) = place.root;
    // devpts gives a slave to the file-system user that opens its master.
    let (master, slave) = crate::sys::identity::with_fs_ids(uid, gid, || terminal::open(place.pts))??;
    let number = crate::sys::terminal::pty_number(&master)?;
    if exec.rows > 0 && exec.columns > 0 {
        terminal::resize(&master, exec.rows, exec.columns)?;
    }
    Ok(Pty { master, slave, number })
}

fn refusal(report: &[u8]) -> Refused {
    let body = report.split_first().filter(|(first, _)| **first == REFUSED).map(|(_, body)| body);
    let sound = body.filter(|body| Record::parse(body).is_ok()).and_then(|body| Refused::decode(body).ok());
    sound.unwrap_or_else(|| refuse(Refusal::Failed, Errno::PROTO, "report"))
}

fn exited(id: u64, status: WaitStatus) -> ExecExited {
    let signal = status.terminating_signal().unwrap_or(0) as u32;
    ExecExited { id, code: status.exit_status().unwrap_or(0), signal, core: status.as_raw() & 0x80 != 0 && signal != 0 }
}

/// A refusal in words of the contract.
pub(crate) fn refuse(reason: Refusal, errno: Errno, subject: &str) -> Refused {
    Refused { reason, errno: errno.raw_os_error(), subject: subject.to_owned() }
}
