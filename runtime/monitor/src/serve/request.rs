//! What the daemon may ask of a running container.

use std::os::fd::{AsFd, OwnedFd};

use lxhost_contract::{
    CONTRACT_MAJOR, CONTRACT_MINOR, ConsoleAttach, ConsoleAttached, Done, Refusal, Refused, Reply, Request, Welcome,
};
use rustix::io::Errno;
use rustix::process::getpid;

use super::{PendingFreeze, Server};
use crate::disks::Order;
use crate::exec::{Answer, Asker, Place, refuse};
use crate::sys::signals;

impl Server {
    /// Carries a request out. The answer, or nothing when it comes later.
    pub(super) fn carry_out(&mut self, request: Request, descriptors: Vec<OwnedFd>, asker: Asker) -> Option<Answer> {
        let result = match request {
            Request::Hello(_) => return Some(self.welcome(asker)),
            Request::Freeze(_) => return self.set_frozen(true, asker),
            Request::Thaw(_) => return self.set_frozen(false, asker),
            Request::Exec(exec) => {
                let place = Place {
                    launch: &self.of.launch,
                    cgroup: &self.of.cgroup,
                    init: self.of.init.pidfd.as_fd(),
                    pts: self.of.pts.as_fd(),
                    root: self.root,
                };
                match self.sessions.start(place, &exec, descriptors, asker) {
                    Ok(()) => return None,
                    Err(refused) => Err(refused),
                }
            }
            Request::DiskAttach(attach) => return self.order(Order::Attach(attach.disk), asker),
            Request::DiskDetach(detach) => return self.order(Order::Detach(detach.target), asker),
            Request::ConsoleLog(_) => match self.console.log() {
                Ok(file) => return Some(Answer { asker, reply: Done {}.into(), descriptor: Some(file) }),
                Err(errno) => Err(refuse(Refusal::Failed, errno, "console")),
            },
            Request::RouteSocket(_) => match crate::addresses::route_socket(self.of.init.pidfd.as_fd()) {
                Ok(socket) => return Some(Answer { asker, reply: Done {}.into(), descriptor: Some(socket) }),
                Err(errno) => Err(refuse(Refusal::Failed, errno, "route socket")),
            },
            Request::ConsoleAttach(attach) => match self.attach(&attach, descriptors) {
                Ok(id) => return Some(Answer { asker, reply: ConsoleAttached { id }.into(), descriptor: None }),
                Err(refused) => Err(refused),
            },
            other => self.carry_out_simple(other),
        };
        let reply = result.map_or_else(Reply::from, |()| Reply::from(Done {}));
        Some(Answer { asker, reply, descriptor: None })
    }

    fn carry_out_simple(&mut self, request: Request) -> Result<(), Refused> {
        let failed = |subject: &'static str| move |errno| refuse(Refusal::Failed, errno, subject);
        match request {
            Request::Signal(signal) => signals::send(&self.of.init.pidfd, signal.signal).map_err(failed("signal")),
            Request::Kill(_) => self.of.cgroup.kill().map_err(failed("cgroup.kill")),
            Request::ConsoleResize(size) => self.console.resize(size.rows, size.columns).map_err(failed("console")),
            Request::ConsoleDetach(detach) => {
                let found = self.console.detach(detach.id);
                found.then_some(()).ok_or_else(|| refuse(Refusal::NoSuchSession, Errno::NOENT, "attachment"))
            }
            Request::ExecSignal(signal) => self.sessions.signal(signal.id, signal.signal),
            Request::ExecResize(size) => self.sessions.resize(self.of.pts.as_fd(), size.id, size.rows, size.columns),
            Request::ExecAck(ack) => {
                let found = self.sessions.acknowledge(ack.id);
                found.then_some(()).ok_or_else(|| refuse(Refusal::NoSuchSession, Errno::SRCH, "session"))
            }
            _ => Err(refuse(Refusal::Invalid, Errno::BUSY, "the container runs already")),
        }
    }

    /// Has disks changed; whom it concerns is answered here.
    fn order(&mut self, order: Order, asker: Asker) -> Option<Answer> {
        let place = crate::disks::Place { dir: &self.of.dir, init: &self.of.init, root: self.root };
        for answer in self.disks.take(place, order, asker) {
            self.reply(answer.asker, answer.reply, None);
        }
        None
    }

    fn attach(&mut self, attach: &ConsoleAttach, descriptors: Vec<OwnedFd>) -> Result<u32, Refused> {
        let mut streams = descriptors.into_iter();
        let Some(input) = streams.next() else {
            return Err(refuse(Refusal::Invalid, Errno::BADF, "no descriptor for the console"));
        };
        let id = self.console.attach(input, streams.next(), attach.replay).map_err(|errno| match errno {
            Errno::MFILE => refuse(Refusal::TooMany, errno, "console attachments"),
            Errno::INVAL => refuse(Refusal::Invalid, errno, "not a socket or pipe"),
            _ => refuse(Refusal::Failed, errno, "console"),
        })?;
        let _ = self.console.resize(attach.rows, attach.columns);
        Ok(id)
    }

    fn set_frozen(&mut self, wanted: bool, asker: Asker) -> Option<Answer> {
        let now = |reply| Some(Answer { asker, reply, descriptor: None });
        if let Some(freeze) = &mut self.freeze
            && freeze.wanted == wanted
        {
            freeze.askers.push(asker);
            return None;
        }
        // The other way round while one is under way: those who asked for it are told that it is over.
        if let Some(before) = self.freeze.take() {
            for earlier in before.askers {
                self.reply(earlier, refuse(Refusal::Failed, Errno::CANCELED, "freeze or thaw"), None);
            }
        }
        let events = match self.of.cgroup.events().and_then(|events| {
            self.of.cgroup.set_frozen(wanted)?;
            Ok(events)
        }) {
            Ok(events) => events,
            Err(errno) => return now(refuse(Refusal::Failed, errno, "cgroup.freeze").into()),
        };
        if self.of.cgroup.is_frozen() == wanted {
            return now(Done {}.into());
        }
        self.freeze = Some(PendingFreeze { wanted, events, askers: vec![asker] });
        None
    }

    fn welcome(&self, asker: Asker) -> Answer {
        let welcome = Welcome {
            major: CONTRACT_MAJOR,
            minor: CONTRACT_MINOR,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            id: self.of.launch.id.clone(),
            name: self.of.launch.name.clone(),
            phase: self.phase,
            payload_pid: self.of.init.pid.as_raw_nonzero().get() as u32,
            monitor_pid: getpid().as_raw_nonzero().get() as u32,
            ready: self.ready,
            frozen: self.of.cgroup.is_frozen(),
            sessions: self.sessions.rows(),
            started_usec: self.started_usec,
            cgroup: self.of.cgroup.path().to_owned(),
            addresses: self.of.addresses.list.clone(),
        };
        let descriptor = rustix::io::fcntl_dupfd_cloexec(&self.of.init.pidfd, 3).ok();
        Answer { asker, reply: welcome.into(), descriptor }
    }
}
