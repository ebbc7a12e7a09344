//! Carries connections to the mirror over the wire: the host itself has no network. Depends on the wire.
//! Called by `main`; who connects is the socket unit that stands for the mirror.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{PoisonError, mpsc};
use std::thread;

use lxhost_lab_agent::{CHUNK, Kind, MIRROR_SOCKET};

use crate::{Takers, Wire};

/// Commands have smaller numbers.
const FIRST: u32 = 1 << 31;

/// Listens, in a thread of its own.
pub(crate) fn listen(wire: Wire, takers: Takers) -> io::Result<()> {
    // An agent before this one may have left it.
    let _ = fs::remove_file(MIRROR_SOCKET);
    let listener = UnixListener::bind(MIRROR_SOCKET)?;
    thread::spawn(move || {
        for (stream, id) in listener.incoming().flatten().zip(FIRST..) {
            if let Err(error) = carry(&wire, &takers, id, stream) {
                eprintln!("lab-agent: a connection: {error}");
            }
        }
    });
    Ok(())
}

fn carry(wire: &Wire, takers: &Takers, id: u32, stream: UnixStream) -> io::Result<()> {
    let (mut from, mut to) = (stream.try_clone()?, stream);
    let (sender, bytes) = mpsc::channel::<Vec<u8>>();
    takers.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
    wire.send(Kind::Connect, id, &[]);
    thread::spawn(move || {
        bytes.iter().all(|bytes| to.write_all(&bytes).is_ok());
        // The end of what the mirror says is the end of the answer.
        let _ = to.shutdown(Shutdown::Write);
    });
    let wire = wire.clone();
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            wire.send(Kind::Data, id, &buffer[..read]);
        }
        wire.send(Kind::Data, id, &[]);
    });
    Ok(())
}
