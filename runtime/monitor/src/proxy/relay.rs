//! The loop: doors at which somebody comes in, and everybody who has.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, accept_with, connect, getpeername, getsockname,
    sockopt,
};
use rustix::time::Timespec;

use super::arguments::Place;
use super::datagrams::{IDLE, Sessions};
use super::flow::{CHUNK, CLIENT, Flow, SERVER};
use super::header;
use super::listen::{family, make};
use crate::failure::Failure;

/// Most connections at once; who comes then waits at the door.
const MOST: usize = 4096;
/// How long doors are shut when nobody can be let in.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked for what is idle, while something may be.
const SWEEP: Duration = Duration::from_secs(10);
/// Largest datagram.
const DATAGRAM: usize = 65_536;
/// Events that are taken at once.
const EVENTS: usize = 256;

/// What a token of epoll names, in its last two bits.
const DOOR: u64 = 0;
const END: [u64; 2] = [1, 2];
const SESSION: u64 = 3;

/// A socket that listens, and where it leads.
#[derive(Debug)]
pub(super) struct Door {
    socket: OwnedFd,
    from: Kind,
    pub(super) to: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Udp,
    Unix,
}

impl Door {
    pub(super) fn new(socket: OwnedFd, from: &Place, to: Place) -> Self {
        let from = match from {
            Place::Tcp(_) => Kind::Tcp,
            Place::Udp(_) => Kind::Udp,
            Place::File(_) | Place::Name(_) => Kind::Unix,
        };
        Self { socket, from, to }
    }
}

/// Everything that is relayed.
#[derive(Debug)]
pub(super) struct Relay {
    epoll: OwnedFd,
    pub(super) doors: Vec<Door>,
    announces: bool,
    flows: HashMap<u64, Flow>,
    sessions: Sessions,
    next: u64,
    /// Until when the doors are shut.
    shut: Option<Instant>,
    swept: Instant,
}

impl Relay {
    pub(super) fn new(doors: Vec<Door>, announces: bool) -> Result<Self, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let (flows, sessions) = (HashMap::new(), Sessions::default());
        let relay = Self { epoll, doors, announces, flows, sessions, next: 0, shut: None, swept: Instant::now() };
        relay.open_doors()?;
        Ok(relay)
    }

    fn open_doors(&self) -> Result<(), Errno> {
        for (at, door) in self.doors.iter().enumerate() {
            epoll::add(&self.epoll, &door.socket, token(at as u64, DOOR), EventFlags::IN)?;
        }
        Ok(())
    }

    fn shut_doors(&mut self) {
        if self.shut.is_none() {
            for door in self.doors.iter().filter(|door| door.from != Kind::Udp) {
                let _ = epoll::delete(&self.epoll, &door.socket);
            }
        }
        self.shut = Some(Instant::now() + PAUSE);
    }

    /// Relays until epoll fails.
    pub(super) fn run(mut self) -> Failure {
        let (mut chunk, mut events) = (vec![0; DATAGRAM], Vec::with_capacity(EVENTS));
        loop {
            let timeout = self.timeout();
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Failure::new("epoll", errno),
            }
            for event in &events {
                let token = event.data.u64();
                let (id, what) = (token >> 2, token & 3);
                match what {
                    DOOR => self.come_in(id as usize, &mut chunk),
                    SESSION => self.give_back(id, &mut chunk),
                    _ => self.advance(id, &mut chunk),
                }
            }
            self.tidy();
        }
    }

    fn timeout(&self) -> Option<Timespec> {
        let wait = match self.shut {
            Some(_) => PAUSE,
            None if !self.sessions.is_empty() || self.flows.values().any(Flow::lingers) => SWEEP,
            None => return None,
        };
        Timespec::try_from(wait).ok()
    }

    fn tidy(&mut self) {
        let now = Instant::now();
        if self.shut.is_some_and(|until| until <= now) && self.flows.len() < MOST {
            self.shut = None;
            for (at, door) in self.doors.iter().enumerate().filter(|(_, door)| door.from != Kind::Udp) {
                let _ = epoll::add(&self.epoll, &door.socket, token(at as u64, DOOR), EventFlags::IN);
            }
        }
        if now.duration_since(self.swept) >= SWEEP {
            self.swept = now;
            self.sessions.sweep(now);
            self.flows.retain(|_, flow| !flow.lingers() || now.duration_since(flow.last) < IDLE);
        }
    }

    fn come_in(&mut self, at: usize, chunk: &mut [u8]) {
        let Some(door) = self.doors.get(at) else { return };
        if door.from == Kind::Udp {
            let (epoll, next, to) = (&self.epoll, &mut self.next, &door.to);
            return self.sessions.take_in(at, &door.socket, chunk, || {
                let (socket, _) = reach(to)?;
                *next += 1;
                epoll::add(epoll, &socket, token(*next, SESSION), EventFlags::IN)?;
                Ok((*next, socket))
            });
        }
        if self.flows.len() >= MOST {
            return self.shut_doors();
        }
        match accept_with(&door.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(client) => {
                // One that leads nowhere is closed: the client is told by the end of its connection.
                if let Ok(flow) = self.connected(door, client) {
                    self.next += 1;
                    let id = self.next;
                    self.flows.insert(id, flow);
                    self.watch(id);
                }
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
            // Out of descriptors or memory.
            Err(_) => self.shut_doors(),
        }
    }

    fn connected(&self, door: &Door, client: OwnedFd) -> Result<Flow, Errno> {
        let (server, connecting) = reach(&door.to)?;
        for (end, is_tcp) in [(&client, door.from == Kind::Tcp), (&server, matches!(door.to, Place::Tcp(_)))] {
            if is_tcp {
                // What comes in pieces goes on in pieces, and who is gone without a word is found out.
                sockopt::set_tcp_nodelay(end, true)?;
                sockopt::set_socket_keepalive(end, true)?;
            }
        }
        let first = match (self.announces, door.from) {
            (false, _) => Vec::new(),
            (true, Kind::Tcp) => header::line(ends(&client)).into_bytes(),
            (true, _) => header::line(None).into_bytes(),
        };
        let by_file = matches!(door.to, Place::File(_) | Place::Name(_));
        let flow = Flow::new(client, server, connecting, first).passing(door.from == Kind::Unix && by_file);
        Ok(if matches!(door.to, Place::Udp(_)) { flow.by_datagrams() } else { flow })
    }

    fn advance(&mut self, id: u64, chunk: &mut [u8]) {
        // One event of a pair may have ended it.
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if flow.advance(chunk.get_mut(..CHUNK).unwrap_or_default()) {
            self.watch(id);
        } else {
            self.flows.remove(&id);
        }
    }

    fn give_back(&mut self, id: u64, chunk: &mut [u8]) {
        let Some(door) = self.sessions.get(id).and_then(|session| self.doors.get(session.door)) else { return };
        self.sessions.give_back(id, &door.socket, chunk);
    }

    /// Has epoll watch what the flow wants. An end of which nothing is wanted is not watched: its hanging up would be
    /// told again and again.
    fn watch(&mut self, id: u64) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let wanted = flow.wanted();
        for end in [CLIENT, SERVER] {
            let (Some(socket), Some(watched), Some(wanted)) = (flow.ends.get(end), flow.watched.get_mut(end), wanted.get(end))
            else {
                continue;
            };
            let data = token(id, END.get(end).copied().unwrap_or_default());
            let done = match (watched.is_empty(), wanted.is_empty()) {
                _ if watched == wanted => Ok(()),
                (true, _) => epoll::add(&self.epoll, socket, data, *wanted),
                (_, true) => epoll::delete(&self.epoll, socket),
                _ => epoll::modify(&self.epoll, socket, data, *wanted),
            };
            *watched = *wanted;
            if done.is_err() {
                self.flows.remove(&id);
                return;
            }
        }
    }
}

fn token(id: u64, what: u64) -> EventData {
    EventData::new_u64(id << 2 | what)
}

/// A socket that is connected, or on its way to be.
fn reach(to: &Place) -> Result<(OwnedFd, bool), Errno> {
    let under_way = |socket: OwnedFd, done: Result<(), Errno>| match done {
        Ok(()) => Ok((socket, false)),
        Err(Errno::INPROGRESS) => Ok((socket, true)),
        Err(errno) => Err(errno),
    };
    match to {
        Place::Tcp(address) | Place::Udp(address) => {
            let kind = if matches!(to, Place::Tcp(_)) { SocketType::STREAM } else { SocketType::DGRAM };
            let socket = make(family(address), kind)?;
            let done = connect(&socket, address);
            under_way(socket, done)
        }
        Place::File(_) | Place::Name(_) => {
            let address = match to {
                Place::Name(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
                Place::File(path) => SocketAddrUnix::new(path)?,
                Place::Tcp(_) | Place::Udp(_) => return Err(Errno::INVAL),
            };
            let socket = make(AddressFamily::UNIX, SocketType::STREAM)?;
            let done = connect(&socket, &address);
            under_way(socket, done)
        }
    }
}

/// The addresses of both ends of a connection.
fn ends(client: &OwnedFd) -> Option<(SocketAddr, SocketAddr)> {
    let known = |address: SocketAddrAny| SocketAddr::try_from(address).ok();
    Some((getpeername(client).ok().flatten().and_then(known)?, getsockname(client).ok().and_then(known)?))
}

#[cfg(test)]
mod tests;
