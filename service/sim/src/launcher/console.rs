//! The console of a guest without an init: what is written comes back, as from a terminal's echo,
//! and is kept in the log.

use crate::locked;
use lxhost_model::{Error, Result};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Most bytes kept; the oldest go first.
const KEPT: usize = 128 * 1024;

/// A new stream to the console whose log is `log`. Must be called within a runtime.
///
/// # Errors
/// `Failed` when there are no descriptors left.
pub(super) fn open(log: Arc<Mutex<Vec<u8>>>) -> Result<OwnedFd> {
    let io = |e: std::io::Error| Error::io("open a console", &e);
    let (ours, theirs) = UnixStream::pair().map_err(io)?;
    tokio::spawn(echo(ours, log));
    let theirs = theirs.into_std().map_err(io)?;
    theirs.set_nonblocking(false).map_err(io)?;
    Ok(OwnedFd::from(theirs))
}

async fn echo(mut stream: UnixStream, log: Arc<Mutex<Vec<u8>>>) {
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        keep(&mut locked(&log), &chunk[..read]);
        if stream.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}

/// Adds to a log.
pub(super) fn keep(log: &mut Vec<u8>, new: &[u8]) {
    log.extend_from_slice(new);
    let surplus = log.len().saturating_sub(KEPT);
    log.drain(..surplus);
}
