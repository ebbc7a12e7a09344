//! The outer end of the wire to a full host's agent: many commands at a time over one serial port, and
//! connections to the mirror the other way. What runs when the host goes away is lost, not awaited.
//! Depends on the agent's frames. Called by `boot` and `power`.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lxhost_lab_agent::{CHUNK, Frame, Kind};

use crate::host::running::{Input, Life, Process};
use crate::host::stream::Stream;

/// A host that takes no input for so long takes none any more.
const WRITE_LIMIT: Duration = Duration::from_secs(60);

/// The outer end of the wire.
#[derive(Debug)]
pub(super) struct Port {
    socket: PathBuf,
    mirror: PathBuf,
    wire: Mutex<Option<UnixStream>>,
    known: Mutex<Known>,
    changed: Condvar,
    next: AtomicU32,
}

/// What is under way.
#[derive(Debug, Default)]
struct Known {
    /// Counts the connections: what a reader of an earlier one says is void.
    connection: u64,
    /// Whether the agent has answered on this connection.
    greeted: bool,
    programs: HashMap<u32, Program>,
    mirrors: HashMap<u32, UnixStream>,
}

#[derive(Debug)]
struct Program {
    stdout: Stream,
    stderr: Stream,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Status(i32),
    Lost,
}

impl Port {
    /// A port at an emulator's socket, not connected; requests for the mirror go to the other socket.
    pub(super) fn new(socket: PathBuf, mirror: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            socket,
            mirror,
            wire: Mutex::new(None),
            known: Mutex::default(),
            changed: Condvar::new(),
            next: AtomicU32::new(1),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wire(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything under way and connects anew, because the host has begun again; greets the agent.
    pub(super) fn connect(self: &Arc<Self>) -> Result<()> {
        self.disconnect();
        let stream = UnixStream::connect(&self.socket).context("connecting to the agent's port")?;
        stream.set_write_timeout(Some(WRITE_LIMIT))?;
        let from = stream.try_clone()?;
        let connection = self.known().connection;
        *self.wire() = Some(stream);
        let port = Arc::clone(self);
        thread::spawn(move || port.listen(from, connection));
        self.send(Kind::Hello, 0, &[]).context("greeting the agent")
    }

    /// Ends the connection; everything under way is lost.
    pub(super) fn disconnect(&self) {
        if let Some(stream) = self.wire().take() {
            // The emulator may have closed it before.
            let _ = stream.shutdown(Shutdown::Both);
        }
        let mut known = self.known();
        known.connection += 1;
        self.lose(&mut known);
    }

    fn lose(&self, known: &mut Known) {
        known.greeted = false;
        known.mirrors.clear();
        for program in known.programs.values_mut().filter(|program| program.end.is_none()) {
            program.stdout.close();
            program.stderr.close();
            program.end = Some(End::Lost);
        }
        self.changed.notify_all();
    }

    fn send(&self, kind: Kind, id: u32, content: &[u8]) -> io::Result<()> {
        let mut wire = self.wire();
        let stream = wire.as_mut().ok_or_else(|| io::Error::other("the host is off"))?;
        Frame::new(kind, id, content).write(stream)
    }

    /// Waits until the agent has answered the greeting.
    pub(super) fn greeted(&self, limit: Duration) -> Result<()> {
        let (known, late) =
            self.changed.wait_timeout_while(self.known(), limit, |known| !known.greeted).unwrap_or_else(PoisonError::into_inner);
        drop(known);
        if late.timed_out() { bail!("the agent does not answer within {} s", limit.as_secs()) } else { Ok(()) }
    }

    /// Starts a program.
    pub(super) fn start(self: &Arc<Self>, argv: &[String]) -> Result<Process> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (stdout, stderr) = (Stream::default(), Stream::default());
        self.known().programs.insert(id, Program { stdout: stdout.clone(), stderr: stderr.clone(), end: None });
        let words: Vec<u8> = argv.iter().flat_map(|word| word.bytes().chain([0])).collect();
        let remote = Remote { port: Arc::clone(self), id };
        self.send(Kind::Start, id, &words).context("starting a program in the host")?;
        let input = Input(Box::new(Feeder { port: Arc::clone(self), id }));
        Ok(Process { stdin: Some(input), stdout, stderr, life: Box::new(remote) })
    }

    fn listen(self: Arc<Self>, mut from: UnixStream, connection: u64) {
        while let Ok(frame) = Frame::read(&mut from) {
            let mut known = self.known();
            if known.connection != connection {
                return;
            }
            self.take(&mut known, frame);
        }
        let mut known = self.known();
        if known.connection == connection {
            self.lose(&mut known);
        }
    }

    fn take(self: &Arc<Self>, known: &mut Known, frame: Frame) {
        let Frame { kind, id, content } = frame;
        match (kind, known.programs.get_mut(&id)) {
            (Kind::Hello, _) => known.greeted = true,
            (Kind::Output, Some(program)) => fill(&program.stdout, &content),
            (Kind::Error, Some(program)) => fill(&program.stderr, &content),
            (Kind::Ended, Some(program)) => {
                program.end = content.try_into().ok().map(|status| End::Status(i32::from_le_bytes(status)));
            }
            (Kind::Connect, _) => {
                if let Ok(stream) = UnixStream::connect(&self.mirror).and_then(|stream| self.carry(id, stream)) {
                    known.mirrors.insert(id, stream);
                }
            }
            (Kind::Data, _) if content.is_empty() => {
                if let Some(stream) = known.mirrors.remove(&id) {
                    // The relay may have closed it before.
                    let _ = stream.shutdown(Shutdown::Write);
                }
            }
            (Kind::Data, _) => {
                // A request; whether the relay takes it shows in its answer.
                let _ = known.mirrors.get_mut(&id).map(|stream| stream.write_all(&content));
            }
            _ => {}
        }
        self.changed.notify_all();
    }

    /// Carries what the mirror says into the host.
    fn carry(self: &Arc<Self>, id: u32, stream: UnixStream) -> io::Result<UnixStream> {
        let (port, mut from) = (Arc::clone(self), stream.try_clone()?);
        thread::spawn(move || {
            let mut buffer = vec![0; CHUNK];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                if port.send(Kind::Data, id, &buffer[..read]).is_err() {
                    return;
                }
            }
            // The host may be gone by now.
            let _ = port.send(Kind::Data, id, &[]);
        });
        Ok(stream)
    }
}

fn fill(stream: &Stream, content: &[u8]) {
    if content.is_empty() {
        stream.close();
    } else {
        stream.push(content);
    }
}

/// A program behind the wire.
#[derive(Debug)]
struct Remote {
    port: Arc<Port>,
    id: u32,
}

impl Life for Remote {
    fn end(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let running = |known: &mut Known| known.programs.get(&self.id).is_some_and(|program| program.end.is_none());
        let (known, _) =
            self.port.changed.wait_timeout_while(self.port.known(), limit, running).unwrap_or_else(PoisonError::into_inner);
        match known.programs.get(&self.id).and_then(|program| program.end) {
            Some(End::Status(status)) => Ok(Some(ExitStatus::from_raw(status))),
            Some(End::Lost) => bail!("the host went away"),
            None => Ok(None),
        }
    }

    fn kill(&mut self) {
        // A host that is off runs nothing.
        let _ = self.port.send(Kind::Kill, self.id, &[]);
        let _ = self.end(Duration::from_secs(5));
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.port.known().programs.remove(&self.id);
    }
}

/// The standard input of a program behind the wire.
struct Feeder {
    port: Arc<Port>,
    id: u32,
}

impl Write for Feeder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(CHUNK)];
        if !bytes.is_empty() {
            self.port.send(Kind::Input, self.id, bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        // A host that is off needs no end of input.
        let _ = self.port.send(Kind::Input, self.id, &[]);
    }
}
