//! The agent in a full host: runs the commands that come over the serial port and carries connections
//! to the mirror back over it. Depends on the wire of this crate. Started by systemd in the host.

mod mirror;
mod program;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use lxhost_lab_agent::{Frame, Kind, PORT};

/// The port, to write to.
#[derive(Debug, Clone)]
pub(crate) struct Wire(Arc<Mutex<File>>);

impl Wire {
    /// Sends a frame. The other side does not end before this one, so an error is the port's own.
    pub(crate) fn send(&self, kind: Kind, id: u32, content: &[u8]) {
        let mut port = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = Frame::new(kind, id, content).write(&mut *port) {
            eprintln!("lab-agent: the port: {error}");
        }
    }
}

/// What takes the bytes that come for a number.
pub(crate) type Takers = Arc<Mutex<HashMap<u32, Sender<Vec<u8>>>>>;

/// Gives bytes to whoever takes them; none are the end.
fn give(takers: &Takers, id: u32, content: Vec<u8>) {
    let mut takers = takers.lock().unwrap_or_else(PoisonError::into_inner);
    if content.is_empty() {
        takers.remove(&id);
    } else if let Some(taker) = takers.get(&id) {
        // A program that ended takes nothing any more.
        let _ = taker.send(content);
    }
}

fn main() -> io::Result<()> {
    let port = File::options().read(true).write(true).open(port()?)?;
    let mut from = port.try_clone()?;
    let wire = Wire(Arc::new(Mutex::new(port)));
    let takers = Takers::default();
    mirror::listen(wire.clone(), Arc::clone(&takers))?;
    loop {
        let frame = match Frame::read(&mut from) {
            Ok(frame) => frame,
            // Nobody is connected at the other end for the moment.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                std::thread::sleep(std::time::Duration::from_millis(10));
                continue;
            }
            Err(error) => return Err(error),
        };
        match frame.kind {
            Kind::Hello => wire.send(Kind::Hello, frame.id, &[]),
            Kind::Start => program::start(&wire, &takers, frame.id, &frame.content),
            Kind::Input | Kind::Data => give(&takers, frame.id, frame.content),
            Kind::Kill => program::kill(frame.id),
            Kind::Output | Kind::Error | Kind::Ended | Kind::Connect => eprintln!("lab-agent: {:?} is not for me", frame.kind),
        }
    }
}

/// The device of the port; udev need not have seen it.
fn port() -> io::Result<PathBuf> {
    for entry in fs::read_dir("/sys/class/virtio-ports")?.flatten() {
        if fs::read_to_string(entry.path().join("name")).is_ok_and(|name| name.trim() == PORT) {
            return Ok(PathBuf::from("/dev").join(entry.file_name()));
        }
    }
    Err(io::Error::other(format!("there is no virtio port {PORT}")))
}
