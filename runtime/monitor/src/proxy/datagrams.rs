//! UDP: every client has a socket of its own on the other side, until nothing has come for a while.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, recvfrom, send, sendto};

/// As the kernel forgets UDP streams.
pub(super) const IDLE: Duration = Duration::from_secs(120);
/// Most clients; one more and the one that was silent longest goes.
const MOST: usize = 4096;
/// Datagrams of one socket before others have their turn.
const TURNS: usize = 64;

/// A client.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) door: usize,
    client: SocketAddr,
    pub(super) socket: OwnedFd,
    last: Instant,
}

/// All clients.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_id: HashMap<u64, Session>,
    by_client: HashMap<(usize, SocketAddr), u64>,
}

impl Sessions {
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Session> {
        self.by_id.get(&id)
    }

    /// Passes on what has come to a door. `connect` makes the socket of a client that is new, under the id that it
    /// returns.
    pub(super) fn take_in(
        &mut self,
        door: usize,
        socket: &OwnedFd,
        chunk: &mut [u8],
        mut connect: impl FnMut() -> Result<(u64, OwnedFd), Errno>,
    ) {
        for _ in 0..TURNS {
            let (size, from) = match recvfrom(socket, &mut *chunk, RecvFlags::empty()) {
                Ok((size, _, Some(from))) => (size, from),
                Ok(_) | Err(Errno::INTR | Errno::CONNREFUSED) => continue,
                Err(_) => return,
            };
            let Ok(client) = SocketAddr::try_from(from) else { continue };
            let known = self.by_client.get(&(door, client)).copied();
            let id = match known {
                Some(id) => id,
                None => {
                    let Ok((id, socket)) = connect() else { continue };
                    self.make_room();
                    self.by_client.insert((door, client), id);
                    self.by_id.insert(id, Session { door, client, socket, last: Instant::now() });
                    id
                }
            };
            if let Some(session) = self.by_id.get_mut(&id) {
                session.last = Instant::now();
                // Lost, as datagrams are, when there is no room or nobody.
                let _ = send(&session.socket, chunk.get(..size).unwrap_or_default(), SendFlags::NOSIGNAL);
            }
        }
    }

    /// Passes back what has come for a client, by the door that it came in.
    pub(super) fn give_back(&mut self, id: u64, door: &OwnedFd, chunk: &mut [u8]) {
        let Some(session) = self.by_id.get_mut(&id) else { return };
        session.last = Instant::now();
        for _ in 0..TURNS {
            match recv(&session.socket, &mut *chunk, RecvFlags::empty()) {
                Ok((size, _)) => {
                    let bytes = chunk.get(..size).unwrap_or_default();
                    let _ = sendto(door, bytes, SendFlags::NOSIGNAL, &session.client);
                }
                Err(Errno::INTR | Errno::CONNREFUSED) => {}
                Err(_) => return,
            }
        }
    }

    /// Forgets those of which nothing was heard.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.by_id.retain(|_, session| now.duration_since(session.last) < IDLE);
        self.by_client.retain(|_, id| self.by_id.contains_key(id));
    }

    fn make_room(&mut self) {
        if self.by_id.len() < MOST {
            return;
        }
        let silent = self.by_id.iter().min_by_key(|(_, session)| session.last).map(|(id, session)| (*id, session.door));
        let Some((id, door)) = silent else { return };
        if let Some(session) = self.by_id.remove(&id) {
            self.by_client.remove(&(door, session.client));
        }
    }
}
