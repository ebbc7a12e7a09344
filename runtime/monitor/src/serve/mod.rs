//! The monitor's life while its container runs: one poll loop over everything that can happen.

mod connection;
mod end;
mod request;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxhost_contract::{Addresses, Channel, Event, Failed, Message, Phase, Ready, Reply, Stopping};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, WaitStatus, wait};

use self::connection::Connection;
use crate::console::Console;
use crate::disks::{Disks, Place};
use crate::exec::{Asker, Sessions};
use crate::failure::Failure;
use crate::launch::Launched;
use crate::notify::{self, Word};
use crate::sys::{memory, signals};

const MOST_CONNECTIONS: usize = 16;
/// Datagrams of the guest taken in one round, so that it cannot keep the loop to itself.
const WORDS_IN_A_ROUND: usize = 8;

/// After this long without anything to do a monitor gives its program text back to the page cache.
const REST: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What a descriptor in the poll set stands for.
#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    Listener,
    Notify,
    Addresses,
    Console,
    Cgroup,
    Disks,
    Connection(usize),
    Report(usize),
    Input(usize),
    Output(usize),
}

/// A freeze or thaw that the kernel has not finished.
#[derive(Debug)]
struct PendingFreeze {
    wanted: bool,
    events: OwnedFd,
    askers: Vec<Asker>,
}

/// The monitor of a running container.
#[derive(Debug)]
pub(crate) struct Server {
    of: Launched,
    root: (u32, u32),
    signals: OwnedFd,
    connections: Vec<Connection>,
    last_connection: u64,
    console: Console,
    sessions: Sessions,
    disks: Disks,
    freeze: Option<PendingFreeze>,
    phase: Phase,
    ready: bool,
    asked_to_end: bool,
    started_usec: u64,
}

impl Server {
    /// Takes over from the launch. The launching socket becomes the first connection.
    pub(crate) fn new(mut launched: Launched, console: OwnedFd, signals: OwnedFd, daemon: Channel) -> Self {
        let of = |ranges: &[lxhost_contract::IdRange]| ranges.iter().find(|r| r.inside == 0).map_or(0, |r| r.outside);
        let root = (of(&launched.launch.uids), of(&launched.launch.gids));
        if launched.launch.stop_signal == 0 {
            launched.launch.stop_signal = signals::SIGRTMIN_3;
        }
        let disks = Disks::new(std::mem::take(&mut launched.disks));
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Self {
            of: launched,
            root,
            signals,
            connections: vec![Connection { id: 1, channel: daemon }],
            last_connection: 1,
            console: Console::new(console),
            sessions: Sessions::default(),
            disks,
            freeze: None,
            phase: Phase::Running,
            ready: false,
            asked_to_end: false,
            started_usec: time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000,
        }
    }

    /// Serves until the init has ended and everything about it was recorded.
    pub(crate) fn serve(mut self) -> Result<(), Failure> {
        loop {
            let ready = self.wait()?;
            // Reports first: they say which of the children that have ended was a session.
            for (source, flags) in &ready {
                if let Source::Report(index) = source {
                    self.on_report(*index);
                } else if let Source::Console = source {
                    self.console.on_master(*flags);
                }
            }
            let mut gone = Vec::new();
            for (source, flags) in ready.into_iter().rev() {
                match source {
                    Source::Signals => {
                        if let Some(status) = self.on_signal() {
                            return self.end(status);
                        }
                    }
                    Source::Listener => self.on_connect(),
                    Source::Notify => self.on_notify(),
                    Source::Addresses => self.on_addresses(),
                    Source::Cgroup => self.on_cgroup(),
                    Source::Disks => self.on_disks(),
                    Source::Connection(index) => {
                        if !self.on_message(index) {
                            gone.push(index);
                        }
                    }
                    Source::Input(index) => self.console.on_input(index),
                    Source::Output(index) if flags.intersects(PollFlags::ERR | PollFlags::HUP) => {
                        self.console.on_hangup(index);
                    }
                    Source::Output(_) => self.console.flush(),
                    Source::Report(_) | Source::Console => {}
                }
            }
            // From the back (they came so), so that the other indices stay true.
            for index in gone {
                self.connections.remove(index);
            }
            self.connections.retain(Connection::is_open);
        }
    }

    /// Waits for something to happen; after a moment of rest the text that got here is forgotten.
    fn wait(&self) -> Result<Vec<(Source, PollFlags)>, Failure> {
        let interests = self.interests();
        let mut set: Vec<PollFd<'_>> = interests.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        let mut polled = poll(&mut set, Some(&REST));
        if polled == Ok(0) {
            // Only a smaller memory is lost when the kernel says no.
            let _ = memory::forget_text();
            polled = poll(&mut set, None);
        }
        match polled {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Failure::new("poll", errno)),
        }
        let ready = interests.iter().zip(&set).map(|((source, _, _), polled)| (*source, polled.revents()));
        Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect())
    }

    fn interests(&self) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        let input = PollFlags::IN;
        let mut set = vec![
            (Source::Signals, self.signals.as_fd(), input),
            (Source::Listener, self.of.dir.listener().as_fd(), input),
            (Source::Notify, self.of.notify.as_fd(), input),
            (Source::Addresses, self.of.addresses.changes().as_fd(), input),
            (Source::Console, self.console.master().as_fd(), self.console.interest()),
        ];
        if let Some(freeze) = &self.freeze {
            set.push((Source::Cgroup, freeze.events.as_fd(), PollFlags::PRI));
        }
        set.extend(self.disks.report().map(|report| (Source::Disks, report, input)));
        set.extend(self.connections.iter().enumerate().map(|(n, c)| (Source::Connection(n), c.channel.as_fd(), input)));
        set.extend(self.sessions.reports().map(|(n, report)| (Source::Report(n), report, input)));
        for (n, attachment) in self.console.attachments().iter().enumerate() {
            if let Some(client) = attachment.wants_input() {
                set.push((Source::Input(n), client.as_fd(), input));
            }
            let out = if attachment.is_behind(&self.console) { PollFlags::OUT } else { PollFlags::empty() };
            set.push((Source::Output(n), attachment.output().as_fd(), out));
        }
        set
    }

    /// Reaps children and obeys signals; the init's status when it was among them.
    fn on_signal(&mut self) -> Option<WaitStatus> {
        while let Some(signal) = signals::take(&self.signals) {
            if signal != libc::SIGCHLD as u32 && !self.asked_to_end {
                // `systemctl stop` without a daemon that would do it in an orderly way.
                self.asked_to_end = true;
                let _ = signals::send(&self.of.init.pidfd, self.of.launch.stop_signal);
            }
        }
        let mut of_init = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.of.init.pid {
                of_init = Some(status);
            } else if let Some(event) = self.sessions.on_exit(pid, status) {
                self.broadcast(event);
            }
        }
        of_init
    }

    fn on_connect(&mut self) {
        use rustix::net::{SocketFlags, accept_with, sockopt};
        let Ok(socket) = accept_with(self.of.dir.listener(), SocketFlags::CLOEXEC) else { return };
        let is_root = sockopt::socket_peercred(&socket).is_ok_and(|peer| peer.uid.is_root());
        if is_root && self.connections.len() < MOST_CONNECTIONS {
            self.last_connection += 1;
            self.connections.push(Connection { id: self.last_connection, channel: Channel::new(socket) });
        }
    }

    fn on_notify(&mut self) {
        for _ in 0..WORDS_IN_A_ROUND {
            let Some(words) = notify::read(&self.of.notify, self.of.init.pid) else { return };
            for word in words {
                match word {
                    Word::Ready if !self.ready => {
                        self.ready = true;
                        self.broadcast(Ready {});
                    }
                    Word::Ready => {}
                    Word::Stopping(how) => {
                        // Said twice by systemd: once with how, once without.
                        if self.phase != Phase::Stopping {
                            self.phase = Phase::Stopping;
                            self.broadcast(Stopping { how });
                        }
                    }
                }
            }
        }
    }

    fn on_addresses(&mut self) {
        if self.of.addresses.refresh() {
            self.broadcast(Addresses { list: self.of.addresses.list.clone() });
        }
    }

    fn on_report(&mut self, index: usize) {
        let Some((answer, end)) = self.sessions.on_report(index) else { return };
        self.reply(answer.asker, answer.reply, answer.descriptor.as_ref().map(AsFd::as_fd));
        if let Some(end) = end {
            self.broadcast(end);
        }
    }

    fn on_disks(&mut self) {
        let place = Place { dir: &self.of.dir, init: &self.of.init, root: self.root };
        for answer in self.disks.on_report(place) {
            self.reply(answer.asker, answer.reply, None);
        }
    }

    fn on_cgroup(&mut self) {
        let Some(freeze) = self.freeze.take() else { return };
        // Reading clears what poll(2) saw.
        let mut bytes = [0; 128];
        let _ = rustix::io::pread(&freeze.events, &mut bytes, 0);
        if self.of.cgroup.is_frozen() == freeze.wanted {
            for asker in freeze.askers {
                self.reply(asker, lxhost_contract::Done {}, None);
            }
        } else {
            self.freeze = Some(freeze);
        }
    }

    /// One message of a connection; false when the connection is over.
    fn on_message(&mut self, index: usize) -> bool {
        use lxhost_contract::{ChannelError, Refusal};
        let Some(connection) = self.connections.get(index) else { return true };
        let connection_id = connection.id;
        let received = match connection.channel.receive() {
            Ok(received) => received,
            Err(ChannelError::WouldBlock) => return true,
            Err(_) => return false,
        };
        let asker = |serial| Asker { connection: connection_id, serial };
        match Message::from_bytes(&received.bytes) {
            Ok(Message::Request(serial, request)) => {
                if let Some(answer) = self.carry_out(*request, received.descriptors, asker(serial)) {
                    self.reply(answer.asker, answer.reply, answer.descriptor.as_ref().map(AsFd::as_fd));
                }
            }
            // A request of a newer contract is refused by its serial; anything else ends the connection.
            Err(lxhost_contract::WireError::Kind { kind }) if kind >> 8 == 1 => {
                let serial = lxhost_contract::Head::split(&received.bytes).map_or(0, |(head, _)| head.serial);
                let refused = crate::exec::refuse(Refusal::Unsupported, rustix::io::Errno::NOSYS, "request");
                self.reply(asker(serial), refused, None);
            }
            _ => return false,
        }
        true
    }

    fn reply(&mut self, asker: Asker, reply: impl Into<Reply>, descriptor: Option<BorrowedFd<'_>>) {
        if let Some(connection) = self.connections.iter_mut().find(|c| c.id == asker.connection) {
            connection.send(&reply.into().to_bytes(asker.serial), descriptor);
        }
    }

    fn broadcast(&mut self, event: impl Into<Event>) {
        let bytes = event.into().to_bytes(0);
        for connection in &mut self.connections {
            connection.send(&bytes, None);
        }
    }

    /// Says a failure that ends nothing to whoever listens.
    fn complain(&mut self, failure: &Failure) {
        self.broadcast(Failed { step: failure.step.clone(), errno: failure.errno.raw_os_error() });
    }
}
