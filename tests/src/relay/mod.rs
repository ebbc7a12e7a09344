//! The only way out of a test host: a small HTTP server on the machine that answers GET with files of
//! the Debian mirror which the machine's own apt uses, kept in the cache. It listens on a unix socket
//! that is bound into the host and on a loopback port for building trees. Depends on `http` (the
//! protocol) and `mirror` (the files). Started by `Host::boot` and by `recipe`; ends with its value.

mod http;
mod mirror;

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};

use crate::cache::Cache;
use mirror::Mirror;

/// A running relay. Its listeners close when it is dropped; requests being answered end by themselves.
#[derive(Debug)]
pub struct Relay {
    closed: Arc<AtomicBool>,
    wake: Wake,
}

#[derive(Debug)]
enum Wake {
    Unix(PathBuf),
    Tcp(u16),
}

impl Relay {
    /// Serves on a new unix socket at `path`.
    ///
    /// # Errors
    /// When the socket cannot be made or the cache has no place for the mirror's files.
    pub fn on_socket(cache: &Cache, path: &Path) -> Result<Self> {
        let listener = UnixListener::bind(path).with_context(|| format!("listening on {}", path.display()))?;
        let closed = accept(listener, |listener| listener.accept().map(|(stream, _)| stream), Mirror::of_this_machine(cache)?);
        Ok(Self { closed, wake: Wake::Unix(path.to_owned()) })
    }

    /// Serves on a free port of the loopback interface; gives the port too.
    ///
    /// # Errors
    /// When no port is free or the cache has no place for the mirror's files.
    pub fn on_loopback(cache: &Cache) -> Result<(Self, u16)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("listening on 127.0.0.1")?;
        let port = listener.local_addr()?.port();
        let closed = accept(listener, |listener| listener.accept().map(|(stream, _)| stream), Mirror::of_this_machine(cache)?);
        Ok((Self { closed, wake: Wake::Tcp(port) }, port))
    }
}

/// Answers each connection that `next` gives in a thread of its own, until the flag it returns is set.
fn accept<L, S>(listener: L, next: fn(&L) -> io::Result<S>, mirror: Mirror) -> Arc<AtomicBool>
where
    L: Send + 'static,
    S: http::Stream + Send + 'static,
{
    let closed = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&closed);
    let mirror = Arc::new(mirror);
    thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            let Ok(stream) = next(&listener) else { return };
            let mirror = Arc::clone(&mirror);
            thread::spawn(move || http::serve(stream, &mirror));
        }
    });
    closed
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        match &self.wake {
            Wake::Unix(path) => drop(std::os::unix::net::UnixStream::connect(path)),
            Wake::Tcp(port) => drop(std::net::TcpStream::connect(("127.0.0.1", *port))),
        }
    }
}
