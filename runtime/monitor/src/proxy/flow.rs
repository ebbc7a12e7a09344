//! One connection that is passed on: two sockets and what is under way between them. What one side does not take
//! is kept, and the other is not read meanwhile.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown,
    recvmsg, sendmsg, shutdown, sockopt,
};

/// Most bytes that are read at once, and kept.
pub(super) const CHUNK: usize = 32 << 10;
/// Reads of one direction before others have their turn.
const TURNS: usize = 16;
/// Most descriptors beside the bytes of one read (SCM_MAX_FD).
const DESCRIPTORS: usize = 253;

/// The client's end.
pub(super) const CLIENT: usize = 0;
/// The end that was connected to.
pub(super) const SERVER: usize = 1;

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    kept: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    /// The source has nothing more.
    ended: bool,
    /// The destination has been told so.
    told: bool,
}

impl Lane {
    /// Passes the end on, which datagrams do not have.
    fn tell(&mut self, target: &OwnedFd, datagrams: bool) {
        if !self.told && !datagrams {
            // A target that is gone has been told enough.
            let _ = shutdown(target, Shutdown::Write);
            self.told = true;
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) ends: [OwnedFd; 2],
    /// The lane that begins at each end.
    lanes: [Lane; 2],
    /// The server's end is not connected yet.
    connecting: bool,
    /// What epoll watches of each end.
    pub(super) watched: [EventFlags; 2],
    /// The server is reached by datagrams, which have no end.
    datagrams: bool,
    /// Descriptors may come with the bytes.
    passes: bool,
    /// When something last happened.
    pub(super) last: Instant,
}

impl Flow {
    pub(super) fn new(client: OwnedFd, server: OwnedFd, connecting: bool, first: Vec<u8>) -> Self {
        let lanes = [Lane { kept: first, ..Lane::default() }, Lane::default()];
        let watched = [EventFlags::empty(); 2];
        let last = Instant::now();
        Self { ends: [client, server], lanes, connecting, watched, datagrams: false, passes: false, last }
    }

    /// The server's end is a datagram socket.
    pub(super) fn by_datagrams(mut self) -> Self {
        self.datagrams = true;
        self
    }

    /// Both ends can carry descriptors.
    pub(super) fn passing(mut self, passes: bool) -> Self {
        self.passes = passes;
        self
    }

    /// What each end has to be watched for.
    pub(super) fn wanted(&self) -> [EventFlags; 2] {
        if self.connecting {
            return [EventFlags::empty(), EventFlags::OUT];
        }
        [CLIENT, SERVER].map(|end| {
            let mut wanted = EventFlags::empty();
            if let [Some(from), Some(to)] = [self.lanes.get(end), self.lanes.get(1 - end)] {
                wanted.set(EventFlags::IN, !from.ended && from.kept.is_empty());
                wanted.set(EventFlags::OUT, !to.kept.is_empty());
            }
            wanted
        })
    }

    /// Whether it waits for datagrams only, for a client that has nothing more to say.
    pub(super) fn lingers(&self) -> bool {
        self.datagrams && self.lanes[CLIENT].ended
    }

    /// Moves what can be moved. `false` when it is over.
    pub(super) fn advance(&mut self, chunk: &mut [u8]) -> bool {
        self.last = Instant::now();
        if self.connecting {
            match sockopt::socket_error(&self.ends[SERVER]) {
                Ok(Ok(())) => self.connecting = false,
                _ => return false,
            }
        }
        let moved = self.move_one(CLIENT, chunk).and_then(|()| self.move_one(SERVER, chunk));
        moved.is_ok() && !self.lanes.iter().all(|lane| lane.told)
    }

    fn move_one(&mut self, from: usize, chunk: &mut [u8]) -> Result<(), Errno> {
        let datagrams_end = if self.datagrams { Some(SERVER) } else { None };
        let [client, server] = &self.ends;
        let (source, target) = if from == CLIENT { (client, server) } else { (server, client) };
        let Some(lane) = self.lanes.get_mut(from) else { return Ok(()) };
        for _ in 0..TURNS {
            if !lane.kept.is_empty() {
                let written = write(target, &lane.kept, &mut lane.descriptors)?;
                lane.kept.drain(..written);
                if !lane.kept.is_empty() {
                    return Ok(());
                }
            }
            if lane.ended {
                lane.tell(target, datagrams_end == Some(1 - from));
                return Ok(());
            }
            let read = match read(source, chunk, self.passes, &mut lane.descriptors) {
                Ok(read) => read,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                // Nobody is there for a datagram that was sent; the next may find somebody.
                Err(Errno::CONNREFUSED) if datagrams_end == Some(from) => continue,
                Err(errno) => return Err(errno),
            };
            if read == 0 {
                if datagrams_end == Some(from) {
                    continue;
                }
                // At once: an end is no event a second time.
                lane.ended = true;
                lane.tell(target, datagrams_end == Some(1 - from));
                return Ok(());
            }
            let bytes = chunk.get(..read).unwrap_or_default();
            let written = write(target, bytes, &mut lane.descriptors)?;
            lane.kept.extend_from_slice(bytes.get(written..).unwrap_or_default());
        }
        Ok(())
    }
}

fn read(source: &OwnedFd, chunk: &mut [u8], passes: bool, descriptors: &mut Vec<OwnedFd>) -> Result<usize, Errno> {
    if !passes {
        return rustix::io::read(source, chunk);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(source, &mut [IoSliceMut::new(chunk)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(got.bytes)
}

/// How much of it was taken. Descriptors go with the first byte.
fn write(target: &OwnedFd, bytes: &[u8], descriptors: &mut Vec<OwnedFd>) -> Result<usize, Errno> {
    let sent = if descriptors.is_empty() {
        rustix::net::send(target, bytes, SendFlags::NOSIGNAL)
    } else {
        let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&borrowed));
        sendmsg(target, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
    };
    match sent {
        Ok(written) => {
            descriptors.clear();
            Ok(written)
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        // As above: a datagram that nobody took is lost, as datagrams are.
        Err(Errno::CONNREFUSED) => Ok(bytes.len()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn an_end_is_passed_on_after_any_number_of_reads() {
        for reads in 0..=2 * TURNS {
            let [(mut client, ours), (mut server, theirs)] = [UnixStream::pair().unwrap(), UnixStream::pair().unwrap()];
            ours.set_nonblocking(true).unwrap();
            theirs.set_nonblocking(true).unwrap();
            let mut flow = Flow::new(ours.into(), theirs.into(), false, Vec::new());
            client.write_all(&vec![b'x'; reads]).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            // As epoll has it: only while there is something to read.
            while flow.wanted().first().is_some_and(|wanted| wanted.contains(EventFlags::IN)) {
                assert!(flow.advance(&mut [0; 1]));
            }
            server.set_nonblocking(true).unwrap();
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).unwrap_or_else(|error| panic!("no end after {reads} reads: {error}"));
            assert_eq!(heard.len(), reads);
        }
    }
}
