//! The console: a pty whose master lives here, since a closed master makes every message of the guest's init wait.
//!
//! What it says goes into a ring and to whoever is attached. A client that does not read falls behind in the ring and
//! loses the oldest bytes; nobody ever waits for it.

mod ring;

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::fs::{FileType, MemfdFlags, OFlags, fcntl_getfl, fcntl_setfl, fstat, memfd_create};
use rustix::io::Errno;

use self::ring::Ring;
use crate::terminal;

const MOST_ATTACHMENTS: usize = 32;
const CHUNK: usize = 4096;

/// A client's stream.
#[derive(Debug)]
pub(crate) struct Attachment {
    id: u32,
    input: Option<OwnedFd>,
    output: OwnedFd,
    /// What the client has typed and the terminal has not taken.
    typed: Vec<u8>,
    position: u64,
}

/// The console of a container.
#[derive(Debug)]
pub(crate) struct Console {
    master: OwnedFd,
    /// Keeps the master readable while nobody in the container has the terminal open.
    slave: Option<OwnedFd>,
    ring: Ring,
    attachments: Vec<Attachment>,
    last_id: u32,
}

impl Console {
    pub(crate) fn new(master: OwnedFd) -> Self {
        let _ = set_nonblocking(&master);
        let slave = terminal::slave(&master).ok();
        Self { master, slave, ring: Ring::new(), attachments: Vec::new(), last_id: 0 }
    }

    pub(crate) fn master(&self) -> &OwnedFd {
        &self.master
    }

    /// What to wait for on the master.
    pub(crate) fn interest(&self) -> PollFlags {
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, self.attachments.iter().any(|a| !a.typed.is_empty()));
        flags
    }

    pub(crate) fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) -> Result<(), Errno> {
        if rows == 0 || columns == 0 { Ok(()) } else { terminal::resize(&self.master, rows, columns) }
    }

    /// Adds a client. Only sockets and pipes: on them a write can be told not to wait.
    pub(crate) fn attach(&mut self, input: OwnedFd, output: Option<OwnedFd>, replay: bool) -> Result<u32, Errno> {
        if self.attachments.len() >= MOST_ATTACHMENTS {
            return Err(Errno::MFILE);
        }
        let output = match output {
            Some(output) => output,
            None => rustix::io::fcntl_dupfd_cloexec(&input, 3)?,
        };
        for stream in [&input, &output] {
            if !matches!(FileType::from_raw_mode(fstat(stream)?.st_mode), FileType::Socket | FileType::Fifo) {
                return Err(Errno::INVAL);
            }
            set_nonblocking(stream)?;
        }
        self.last_id += 1;
        let position = if replay { self.ring.start() } else { self.ring.end() };
        let mut attachment = Attachment { id: self.last_id, input: Some(input), output, typed: Vec::new(), position };
        if attachment.flush(&self.ring) {
            self.attachments.push(attachment);
        }
        Ok(self.last_id)
    }

    pub(crate) fn detach(&mut self, id: u32) -> bool {
        let before = self.attachments.len();
        self.attachments.retain(|attachment| attachment.id != id);
        before != self.attachments.len()
    }

    /// The master can be read or written.
    pub(crate) fn on_master(&mut self, ready: PollFlags) {
        let mut chunk = [0; CHUNK];
        match rustix::io::read(&self.master, &mut chunk) {
            Ok(read) if read > 0 => {
                self.ring.push(chunk.get(..read).unwrap_or_default());
                self.flush();
            }
            // The container has hung the terminal up (vhangup(2)): an open slave makes the master readable again.
            Ok(_) | Err(Errno::IO) => self.slave = terminal::slave(&self.master).ok(),
            Err(_) => {}
        }
        if ready.contains(PollFlags::OUT) {
            self.type_pending();
        }
    }

    fn type_pending(&mut self) {
        for attachment in &mut self.attachments {
            match rustix::io::write(&self.master, &attachment.typed) {
                Ok(written) => drop(attachment.typed.drain(..written)),
                Err(Errno::AGAIN) => return,
                Err(_) => attachment.typed.clear(),
            }
        }
    }

    /// A client has typed something, or gone.
    pub(crate) fn on_input(&mut self, index: usize) {
        let Some(attachment) = self.attachments.get_mut(index) else { return };
        let Some(input) = &attachment.input else { return };
        let mut chunk = [0; CHUNK];
        match rustix::io::read(input, &mut chunk) {
            Ok(0) => attachment.input = None,
            Ok(read) => attachment.typed.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => attachment.input = None,
        }
        self.type_pending();
    }

    /// Sends everybody what is new, and forgets those that are gone.
    pub(crate) fn flush(&mut self) {
        let ring = &self.ring;
        self.attachments.retain_mut(|attachment| attachment.flush(ring));
    }

    /// A client's output was closed at its other end.
    pub(crate) fn on_hangup(&mut self, index: usize) {
        if index < self.attachments.len() {
            self.attachments.remove(index);
        }
    }

    /// What the ring has, as an anonymous file from its beginning.
    pub(crate) fn log(&self) -> Result<OwnedFd, Errno> {
        let file = memfd_create("console", MemfdFlags::CLOEXEC)?;
        for part in self.ring.parts() {
            rustix::io::write(&file, part)?;
        }
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
        Ok(file)
    }

    /// Reads what is left of a container that has ended.
    pub(crate) fn drain(&mut self) -> [&[u8]; 2] {
        self.slave = None;
        let mut chunk = [0; CHUNK];
        // As much as a pty holds, and an end should somebody outside hold the slave open and write.
        for _ in 0..64 {
            match rustix::io::read(&self.master, &mut chunk) {
                Ok(read) if read > 0 => self.ring.push(chunk.get(..read).unwrap_or_default()),
                _ => break,
            }
        }
        self.flush();
        self.ring.parts()
    }
}

impl Attachment {
    /// The client's end for reading, while it has one and what it typed before is taken.
    pub(crate) fn wants_input(&self) -> Option<&OwnedFd> {
        if self.typed.is_empty() { self.input.as_ref() } else { None }
    }

    pub(crate) fn output(&self) -> &OwnedFd {
        &self.output
    }

    pub(crate) fn is_behind(&self, console: &Console) -> bool {
        self.position < console.ring.end()
    }

    /// Writes as much as is taken without waiting. False when the client is gone.
    fn flush(&mut self, ring: &Ring) -> bool {
        loop {
            let (start, bytes) = ring.from(self.position);
            if bytes.is_empty() {
                return true;
            }
            match rustix::io::write(self.output.as_fd(), bytes) {
                Ok(written) => self.position = start + written as u64,
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

fn set_nonblocking(stream: &OwnedFd) -> Result<(), Errno> {
    fcntl_setfl(stream, fcntl_getfl(stream)? | OFlags::NONBLOCK)
}
