//! The socket of the serving connection. It throws away what nobody waits for and somebody sends without an end:
//! signals that are not the bus's, and calls without an answer beyond a number per second. The bus holds back who
//! leaves calls unanswered, but not who asks for no answer: its queue to the daemon would fill up with those, and
//! everybody else be refused. Nothing is parsed but heads. Called by `main`; depends on zbus's traits of a socket.

use async_trait::async_trait;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::UnixStream;
use zbus::address::transport::{Transport, UnixSocket};
use zbus::connection::Builder;
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};
use zbus::message::{Flags, Type};
use zbus::{Address, Message};

/// Calls without an answer that one connection may make in a second.
const OF_ONE: u32 = 32;
/// Those of all connections together.
const OF_ALL: u32 = 256;
/// Most descriptors beside one message (SCM_MAX_FD).
const MAX_DESCRIPTORS: usize = 253;
const BUS: &str = "org.freedesktop.DBus";

/// A builder of a connection to the bus at `address`, the system's when there is none, behind a sieve.
///
/// # Errors
/// Those of the address and of connect(2).
pub(crate) async fn builder(address: Option<&str>) -> zbus::Result<Builder<'static>> {
    let address = match address {
        Some(text) => text.parse::<Address>()?,
        None => Address::system()?,
    };
    let stream = match address.transport() {
        Transport::Unix(unix) => match unix.path() {
            UnixSocket::File(path) => Some(std::os::unix::net::UnixStream::connect(path)?),
            UnixSocket::Abstract(name) => {
                let name = std::os::unix::net::SocketAddr::from_abstract_name(name.as_encoded_bytes())?;
                Some(std::os::unix::net::UnixStream::connect_addr(&name)?)
            }
            _ => None,
        },
        _ => None,
    };
    let Some(stream) = stream else { return Ok(Builder::address(address)) };
    stream.set_nonblocking(true)?;
    Ok(Builder::socket(Sieve(UnixStream::from_std(stream)?)))
}

/// A connected socket.
struct Sieve(UnixStream);

impl Socket for Sieve {
    type ReadHalf = Taking;
    type WriteHalf = Writer;

    fn split(self) -> Split<Taking, Writer> {
        let stream = Arc::new(self.0);
        Split::new(Taking { reader: Reader(stream.clone()), allowance: Allowance::default() }, Writer(stream))
    }
}

/// What is let through.
#[derive(Debug)]
struct Taking {
    reader: Reader,
    allowance: Allowance,
}

impl Taking {
    fn takes(&mut self, message: &Message) -> bool {
        let header = message.header();
        let sender = header.sender().map(|sender| sender.as_str()).unwrap_or_default();
        match message.message_type() {
            Type::Signal => sender == BUS,
            Type::MethodCall if header.primary().flags().contains(Flags::NO_REPLY_EXPECTED) => {
                self.allowance.take(sender, Instant::now())
            }
            _ => true,
        }
    }
}

#[async_trait]
impl ReadHalf for Taking {
    async fn receive_message(&mut self, seq: u64, bytes: &mut Vec<u8>, descriptors: &mut Vec<OwnedFd>) -> zbus::Result<Message> {
        loop {
            let message = self.reader.receive_message(seq, bytes, descriptors).await?;
            if self.takes(&message) {
                return Ok(message);
            }
        }
    }

    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        self.reader.recvmsg(buffer).await
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}

/// Who has called how often in this second.
#[derive(Debug, Default)]
struct Allowance {
    since: Option<Instant>,
    all: u32,
    each: HashMap<String, u32>,
}

impl Allowance {
    fn take(&mut self, sender: &str, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            (self.since, self.all) = (Some(now), 0);
            self.each.clear();
        }
        if self.all >= OF_ALL {
            return false;
        }
        match self.each.get_mut(sender) {
            Some(count) if *count >= OF_ONE => return false,
            Some(count) => *count += 1,
            None => drop(self.each.insert(sender.to_owned(), 1)),
        }
        self.all += 1;
        true
    }
}

#[derive(Debug)]
struct Reader(Arc<UnixStream>);

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let receive = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let got = recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
            let rights = control.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(rights) => Some(rights),
                _ => None,
            });
            Ok((got.bytes, rights.flatten().collect()))
        };
        self.0.async_io(Interest::READABLE, receive).await
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Writer(Arc<UnixStream>);

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            Ok(sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
        };
        self.0.async_io(Interest::WRITABLE, send).await
    }

    async fn close(&mut self) -> io::Result<()> {
        rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both).map_err(io::Error::from)
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_its_number_of_calls_and_all_have_theirs_each_second() {
        let (mut allowance, now) = (Allowance::default(), Instant::now());
        let taken =
            |allowance: &mut Allowance, sender: &str, now| (0..1000).filter(|_| allowance.take(sender, now)).count() as u32;
        assert_eq!(taken(&mut allowance, ":1.1", now), OF_ONE);
        assert_eq!(taken(&mut allowance, ":1.2", now), OF_ONE, "what one sends takes nothing from another");
        let others: u32 = (3..1000).map(|n| taken(&mut allowance, &format!(":1.{n}"), now)).sum();
        assert_eq!(others, OF_ALL - 2 * OF_ONE);
        assert!(allowance.each.len() < 1000);
        assert_eq!(taken(&mut allowance, ":1.1", now + Duration::from_secs(1)), OF_ONE);
    }
}
