//! A connection through a socket that somebody else has opened, in another network namespace: everything a
//! [`crate::Handle`] does happens there. The socket keeps that namespace alive.

use netlink_sys::{AsyncSocket, Socket, SocketAddr};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// Protocol of the routing family.
const ROUTE: isize = 0;
/// The kernel's answers are at most this long (netlink(7): 8 KiB, 32 KiB for dumps).
const ANSWER: usize = 64 << 10;

/// A socket from somewhere else. There is one peer, the kernel: addresses are not looked at.
pub(crate) struct Elsewhere {
    /// Tokio's name for "a socket that keeps messages apart"; read and written by our own calls only.
    socket: UnixDatagram,
    /// What the trait wants to show and `netlink_sys` cannot make of a descriptor without `unsafe`. Nobody asks for it.
    idle: Socket,
}

impl Elsewhere {
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Elsewhere { socket: UnixDatagram::from_std(socket.into())?, idle: Socket::new(ROUTE)? })
    }

    fn receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let mut answer = vec![0; ANSWER];
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            let read = || Ok(recv(&self.socket, answer.as_mut_slice(), RecvFlags::empty())?);
            match self.socket.try_io(Interest::READABLE, read) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok((_, length)) => {
                    answer.truncate(length);
                    return Poll::Ready(Ok(answer));
                }
            }
        }
    }
}

impl AsyncSocket for Elsewhere {
    fn socket_ref(&self) -> &Socket {
        &self.idle
    }

    fn socket_mut(&mut self) -> &mut Socket {
        &mut self.idle
    }

    fn new(_protocol: isize) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_send_ready(cx))?;
            let write = || Ok(send(&self.socket, buf, SendFlags::empty())?);
            match self.socket.try_io(Interest::WRITABLE, write) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn poll_send_to(&self, cx: &mut Context<'_>, buf: &[u8], _addr: &SocketAddr) -> Poll<io::Result<usize>> {
        self.poll_send(cx, buf)
    }

    fn poll_recv<B: bytes::BufMut>(&self, cx: &mut Context<'_>, buf: &mut B) -> Poll<io::Result<()>> {
        let answer = ready!(self.receive(cx))?;
        if answer.len() > buf.remaining_mut() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        buf.put_slice(&answer);
        Poll::Ready(Ok(()))
    }

    fn poll_recv_from<B: bytes::BufMut>(&self, cx: &mut Context<'_>, buf: &mut B) -> Poll<io::Result<SocketAddr>> {
        self.poll_recv(cx, buf).map_ok(|()| SocketAddr::new(0, 0))
    }

    fn poll_recv_from_full(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Vec<u8>, SocketAddr)>> {
        self.receive(cx).map_ok(|answer| (answer, SocketAddr::new(0, 0)))
    }
}
