//! The way from a `Launch` message to an init that runs, in the order that keeps PID 1's slow part off the path:
//! the root is mounted while the scope is made; one migration; the payload is born in its cgroup.
//!
//! Until `Go` the daemon's end of the socket is the life of the launch: when it closes, everything is undone.

mod cgroup;
mod ids;
mod kernel;
pub(crate) mod limits;
mod payload;
pub(crate) mod root;
pub(crate) mod stage;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxhost_contract::{Channel, Event, Launch, LaunchFailed, Message, PayloadCreated, Request, ScopeEntered, Started};
use rustix::io::Errno;
use rustix::process::getpid;

pub(crate) use cgroup::Cgroup;
pub(crate) use payload::settle;

use crate::addresses::Addresses;
use crate::disks::{self, Seated};
use crate::failure::{During, Failure};
use crate::launch::payload::{Payload, word};
use crate::launch::root::Owner;
use crate::launch::stage::Stage;
use crate::runtime_dir::RuntimeDir;
use crate::sys::birth::{Birth, Child, child};

/// A container whose init has just begun to run.
#[derive(Debug)]
pub(crate) struct Launched {
    /// What was asked for; paths, argv and environment are no longer in it.
    pub(crate) launch: Launch,
    pub(crate) dir: RuntimeDir,
    pub(crate) cgroup: Cgroup,
    pub(crate) init: Child,
    pub(crate) pts: OwnedFd,
    pub(crate) addresses: Addresses,
    pub(crate) notify: OwnedFd,
    pub(crate) disks: Vec<Seated>,
}

/// Takes the daemon's first messages and launches; beside the container comes the master of its console. On failure the daemon has been told and nothing is left.
pub(crate) fn launch(daemon: &Channel) -> Result<(Launched, OwnedFd), Failure> {
    let result = expect(daemon).and_then(|request| match request {
        Request::Launch(launch) => run(daemon, launch),
        _ => Err(Failure::new("launch message", Errno::PROTO)),
    });
    if let Err(failure) = &result {
        let event = LaunchFailed { step: failure.step.clone(), errno: failure.errno.raw_os_error() };
        let _ = daemon.send(&Event::from(event).to_bytes(0), &[]);
        // PID 1 may be about to make a scope of this process. One that it makes of a process which has just ended stays
        // without ever being empty; the daemon closes when it has made it, and has read why.
        while daemon.receive().is_ok() {}
    }
    result
}

fn run(daemon: &Channel, launch: Launch) -> Result<(Launched, OwnedFd), Failure> {
    let maps = ids::Maps::new(&launch.uids, &launch.gids)?;
    let dir = RuntimeDir::open(&launch.runtime_dir)?;
    let namespace = maps.namespace()?;
    let owner = Owner { root: maps.root, ids: namespace.as_fd() };
    let disks = disks::prepare(&launch.disks, owner)?;
    let stage = Stage::set_up(&dir.make_stage()?)?;
    root::mount_root(&stage, &launch.root, &launch.name, owner)?;
    root::mount_extra(&stage, &launch.mounts, owner)?;
    let disks = disks::stage(disks, &stage)?;
    let notify = crate::notify::make_host_files(&stage, &launch, maps.root)?;
    kernel::make_places(&stage, &launch)?;
    stage.seal(stage::HOST).during("/run/host")?;

    let Request::ScopeReady(scope) = expect(daemon)? else { return Err(Failure::new("scope message", Errno::PROTO)) };
    let cgroup = Cgroup::enter(&scope.cgroup, maps.root)?;
    tell(daemon, ScopeEntered { monitor_pid: getpid().as_raw_nonzero().get() as u32 }, &[])?;

    let (hand, theirs) = pair()?;
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWUTS;
    let birth = Birth { flags, cgroup: Some(cgroup.payload().as_fd()), silent: false };
    let born = Payload { launch: &launch, hand: &theirs };
    let init = Undone(Some(child(birth, || born.run()).during("clone the payload")?));
    drop(theirs);
    let Prepared { console, pts, addresses } = prepare(daemon, &hand, &stage, &launch, &maps, init.get()?)?;

    let Request::Go(_) = expect(daemon)? else { return Err(Failure::new("go message", Errno::PROTO)) };
    set_limits(&launch, init.get()?)?;
    say(&hand, word::GO)?;
    listen(&hand, None)?;
    stage.leave()?;
    dir.remove_stage();
    let init = init.keep()?;
    tell(daemon, Started { pid: init.pid.as_raw_nonzero().get() as u32 }, &[init.pidfd.as_fd()])?;
    Ok((Launched { launch: forget_paths(launch), dir, cgroup, init, pts, addresses, notify, disks }, console))
}

fn prepare(
    daemon: &Channel,
    hand: &Channel,
    stage: &Stage,
    launch: &Launch,
    maps: &ids::Maps,
    init: &Child,
) -> Result<Prepared, Failure> {
    maps.write(init.pid)?;
    say(hand, word::MAPPED)?;
    tell(daemon, PayloadCreated { pid: init.pid.as_raw_nonzero().get() as u32 }, &[init.pidfd.as_fd()])?;
    kernel::mount_kernel(stage, launch, init, maps.root)?;
    say(hand, word::STAGED)?;
    let mut sent = listen(hand, Some(word::WAITING))?.into_iter();
    match (sent.next(), sent.next(), sent.next(), sent.next()) {
        (Some(console), Some(pts), Some(changes), Some(questions)) => {
            Ok(Prepared { console, pts, addresses: Addresses::new(changes, questions) })
        }
        _ => Err(Failure::new("console", Errno::BADF)),
    }
}

/// What the payload has opened for us inside, before the init ran.
struct Prepared {
    console: OwnedFd,
    pts: OwnedFd,
    addresses: Addresses,
}

/// The payload while the launch may still fail: killed and reaped when dropped.
struct Undone(Option<Child>);

impl Undone {
    fn get(&self) -> Result<&Child, Failure> {
        self.0.as_ref().ok_or_else(|| Failure::new("payload", Errno::SRCH))
    }
    fn keep(mut self) -> Result<Child, Failure> {
        self.0.take().ok_or_else(|| Failure::new("payload", Errno::SRCH))
    }
}

impl Drop for Undone {
    fn drop(&mut self) {
        if let Some(child) = &self.0 {
            let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
            let _ = rustix::process::waitpid(Some(child.pid), rustix::process::WaitOptions::empty());
        }
    }
}

fn expect(daemon: &Channel) -> Result<Request, Failure> {
    let received = daemon.receive().map_err(|_| Failure::new("wait for the daemon", Errno::PIPE))?;
    match Message::from_bytes(&received.bytes) {
        Ok(Message::Request(_, request)) => Ok(*request),
        _ => Err(Failure::new("message of the daemon", Errno::PROTO)),
    }
}

fn tell(daemon: &Channel, event: impl Into<Event>, descriptors: &[BorrowedFd<'_>]) -> Result<(), Failure> {
    daemon.send(&event.into().to_bytes(0), descriptors).map_err(|_| Failure::new("tell the daemon", Errno::PIPE))
}

/// Two ends of a talk between processes of one monitor.
pub(crate) fn pair() -> Result<(Channel, Channel), Failure> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let made = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    made.map(|(a, b)| (Channel::new(a), Channel::new(b))).during("hand")
}

fn say(hand: &Channel, word: u8) -> Result<(), Failure> {
    hand.send(&[word], &[]).map_err(|_| Failure::new("payload ended", Errno::CHILD))
}

/// Waits for a word of the payload, or with `None` for the close of its end by a successful execve(2).
fn listen(hand: &Channel, wanted: Option<u8>) -> Result<Vec<OwnedFd>, Failure> {
    match hand.receive() {
        Ok(received) => match received.bytes.split_first() {
            Some((&word::FAILED, failure)) => {
                Err(Failure::from_bytes(failure).unwrap_or_else(|| Failure::new("payload", Errno::PROTO)))
            }
            Some((word, [])) if Some(*word) == wanted => Ok(received.descriptors),
            _ => Err(Failure::new("payload", Errno::PROTO)),
        },
        Err(_) if wanted.is_none() => Ok(Vec::new()),
        Err(_) => Err(Failure::new("payload ended", Errno::CHILD)),
    }
}

/// Sets limits and OOM score with host rights, which the container's root has not.
fn set_limits(launch: &Launch, init: &Child) -> Result<(), Failure> {
    limits::set(launch, Some(init.pid))?;
    let path = format!("/proc/{}/oom_score_adj", init.pid.as_raw_nonzero());
    write_file(&path, launch.oom_score.to_string().as_bytes()).during("oom_score_adj")
}

fn forget_paths(launch: Launch) -> Launch {
    Launch {
        root: lxhost_contract::Root::default(),
        mounts: Vec::new(),
        disks: Vec::new(),
        nodes: Vec::new(),
        argv: Vec::new(),
        env: Vec::new(),
        read_only: Vec::new(),
        masked: Vec::new(),
        os_release: lxhost_contract::Bytes::default(),
        ..launch
    }
}

/// Writes a file of proc or sysfs in one write(2).
fn write_file(path: &str, text: &[u8]) -> Result<(), Errno> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text).map(drop)
}
