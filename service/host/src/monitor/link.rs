//! One connection to a monitor: requests matched with replies by serial, events in the order they came.

use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lxhost_contract::{ChannelError, Event, MAX_MESSAGE, Message, Received, Reply, Request};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use super::MonitorError;

/// An event with the descriptors beside it.
#[derive(Debug)]
pub struct Incoming {
    /// What the monitor said.
    pub event: Event,
    /// What came with it.
    pub descriptors: Vec<OwnedFd>,
}

/// Events of one monitor in their order. The end means that the connection is over.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::UnboundedReceiver<Incoming>,
}

impl Events {
    /// The next event; `None` when the monitor has closed.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.queue.recv().await
    }
}

type Answer = (Reply, Vec<OwnedFd>);
type Pending = Mutex<Option<HashMap<u32, oneshot::Sender<Answer>>>>;

#[derive(Debug)]
struct Shared {
    socket: UnixStream,
    /// `None` once the connection is over: nobody waits for an answer that cannot come.
    pending: Pending,
    serial: AtomicU32,
}

/// A connection. Its end, when it is dropped, is what undoes a launch that is under way.
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    reader: tokio::task::AbortHandle,
}

impl Link {
    /// Takes a socket over and reads it from now on.
    pub(super) fn new(socket: OwnedFd) -> Result<(Self, Events), MonitorError> {
        let prepared = rustix::io::ioctl_fionbio(&socket, true)
            .and_then(|()| rustix::net::sockopt::set_socket_send_buffer_size_force(&socket, MAX_MESSAGE))
            .or_else(|errno| if errno == Errno::PERM { Ok(()) } else { Err(errno) });
        prepared.map_err(|errno| MonitorError::io("monitor socket")(errno.into()))?;
        // Only readiness is asked of this type, which is the same for every kind of socket.
        let socket = UnixStream::from_std(socket.into()).map_err(MonitorError::io("monitor socket"))?;
        let pending = Mutex::new(Some(HashMap::new()));
        let shared = Arc::new(Shared { socket, pending, serial: AtomicU32::new(1) });
        let (events, queue) = mpsc::unbounded_channel();
        let reader = tokio::spawn(read(Arc::clone(&shared), events)).abort_handle();
        Ok((Self { shared, reader }, Events { queue }))
    }

    /// Sends a request to which the answer is an event, or none.
    pub(super) async fn tell(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<(), MonitorError> {
        self.send(&request.to_bytes(0), descriptors).await
    }

    /// Sends a request and waits for its answer. Refusals are errors.
    pub(super) async fn ask(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<Answer, MonitorError> {
        let serial = self.shared.serial.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.shared.with_pending(|pending| pending.insert(serial, sender)).ok_or(MonitorError::Gone)?;
        if let Err(error) = self.send(&request.to_bytes(serial), descriptors).await {
            self.shared.with_pending(|pending| pending.remove(&serial));
            return Err(error);
        }
        match answer.await.map_err(|_| MonitorError::Gone)? {
            (Reply::Refused(refused), _) => Err(MonitorError::Refused {
                reason: refused.reason,
                subject: refused.subject,
                errno: Errno::from_raw_os_error(refused.errno.clamp(0, 4095)),
            }),
            answer => Ok(answer),
        }
    }

    async fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), MonitorError> {
        loop {
            self.shared.socket.writable().await.map_err(MonitorError::io("monitor socket"))?;
            let sent = attempt(&self.shared.socket, Interest::WRITABLE, || {
                lxhost_contract::send(&self.shared.socket, bytes, descriptors)
            });
            match sent {
                Err(ChannelError::WouldBlock) => {}
                other => return Ok(other?),
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Shared {
    fn with_pending<T>(&self, change: impl FnOnce(&mut HashMap<u32, oneshot::Sender<Answer>>) -> T) -> Option<T> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.as_mut().map(change)
    }
}

async fn read(shared: Arc<Shared>, events: mpsc::UnboundedSender<Incoming>) {
    loop {
        if shared.socket.readable().await.is_err() {
            break;
        }
        let received: Received = match attempt(&shared.socket, Interest::READABLE, || lxhost_contract::receive(&shared.socket)) {
            Ok(received) => received,
            Err(ChannelError::WouldBlock) => continue,
            Err(ChannelError::Closed) => break,
            Err(error) => {
                tracing::warn!(%error, "message of a monitor");
                continue;
            }
        };
        match Message::from_bytes(&received.bytes) {
            Ok(Message::Reply(serial, reply)) => {
                let waiting = shared.with_pending(|pending| pending.remove(&serial)).flatten();
                if let Some(waiting) = waiting {
                    // Who asked may have gone away; what came beside the answer is then closed.
                    let _ = waiting.send((reply, received.descriptors));
                }
            }
            Ok(Message::Event(event)) => {
                if events.send(Incoming { event, descriptors: received.descriptors }).is_err() {
                    tracing::trace!("nobody listens to a monitor");
                }
            }
            Ok(Message::Request(..)) => tracing::warn!("a monitor has sent a request"),
            // A newer monitor may say more than we know.
            Err(error) => tracing::debug!(%error, "message of a monitor"),
        }
    }
    shared.pending.lock().unwrap_or_else(PoisonError::into_inner).take();
}

/// Tries once, telling tokio when the socket was not ready after all.
fn attempt<T>(
    socket: &UnixStream,
    interest: Interest,
    mut call: impl FnMut() -> Result<T, ChannelError>,
) -> Result<T, ChannelError> {
    let mut result = Err(ChannelError::WouldBlock);
    let _ = socket.try_io(interest, || {
        result = call();
        if matches!(result, Err(ChannelError::WouldBlock)) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    result
}
