//! One end of a `SOCK_SEQPACKET` socket that carries messages and descriptors (unix(7), SCM_RIGHTS).
//!
//! Safe over rustix, no async: the monitor calls it from its poll loop, the daemon from its readiness loop.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recv, recvmsg, sendmsg,
};
use thiserror::Error;

use crate::wire::{MAX_MESSAGE, WireError};

/// Most descriptors beside one message.
pub const MAX_DESCRIPTORS: usize = 8;

/// Why a message was not sent or received.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// The other side is gone.
    #[error("the other side has closed")]
    Closed,
    /// Not now: nothing to read, or no room to write.
    #[error("would block")]
    WouldBlock,
    /// More descriptors came than `MAX_DESCRIPTORS`.
    #[error("more than {MAX_DESCRIPTORS} descriptors came with one message")]
    TooManyDescriptors,
    /// The bytes are no message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The kernel refused.
    #[error("socket: {0}")]
    Socket(Errno),
}

impl From<Errno> for ChannelError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN => Self::WouldBlock,
            Errno::PIPE | Errno::CONNRESET => Self::Closed,
            other => Self::Socket(other),
        }
    }
}

/// A message as it came.
#[derive(Debug)]
pub struct Received {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The descriptors beside it, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

/// A connected sequenced-packet socket.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Takes a socket.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// `send` on this socket.
    ///
    /// # Errors
    /// As `send`.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        send(&self.socket, bytes, descriptors)
    }

    /// `receive` on this socket.
    ///
    /// # Errors
    /// As `receive`.
    pub fn receive(&self) -> Result<Received, ChannelError> {
        receive(&self.socket)
    }
}

/// Sends one message without ever blocking.
///
/// # Errors
/// `WouldBlock` when the other side does not read, `Closed` when it is gone, `Wire` when it is too large.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(WireError::TooLarge { size: bytes.len(), limit: MAX_MESSAGE }.into());
    }
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(ChannelError::TooManyDescriptors);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(ChannelError::TooManyDescriptors);
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)?;
    Ok(())
}

/// Receives one message; blocks as the socket does.
///
/// # Errors
/// `Closed` at the end, `WouldBlock` on a non-blocking socket; `Wire` and `TooManyDescriptors` for a message that
/// was taken from the socket and thrown away.
pub fn receive(socket: impl AsFd) -> Result<Received, ChannelError> {
    let (_, size) = retry(|| recv(&socket, &mut [0u8; 0][..], RecvFlags::PEEK | RecvFlags::TRUNC))?;
    let mut bytes = vec![0; size.clamp(1, MAX_MESSAGE)];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = retry(|| {
        let mut into = [IoSliceMut::new(&mut bytes)];
        recvmsg(&socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    // The control buffer is rounded up: one more than the limit may have fitted.
    if got.flags.contains(ReturnFlags::CTRUNC) || descriptors.len() > MAX_DESCRIPTORS {
        return Err(ChannelError::TooManyDescriptors);
    }
    if got.flags.contains(ReturnFlags::TRUNC) {
        return Err(WireError::TooLarge { size, limit: MAX_MESSAGE }.into());
    }
    if got.bytes == 0 {
        return Err(ChannelError::Closed);
    }
    bytes.truncate(got.bytes);
    Ok(Received { bytes, descriptors })
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
