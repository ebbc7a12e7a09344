//! A connection to the bus without a library: one that writes what it likes and reads when it likes, or never.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use zbus::Message;
use zbus::message::Flags;

/// A socket on which somebody has said hello.
pub(crate) struct Raw {
    socket: UnixStream,
}

impl Raw {
    /// Connects to a bus as `World::address` gives it, and says hello.
    pub(crate) fn connect(address: &str) -> Raw {
        let path = address.strip_prefix("unix:path=").unwrap().split(',').next().unwrap();
        let mut socket = UnixStream::connect(path).unwrap();
        let uid = rustix::process::getuid().as_raw().to_string();
        socket.write_all(format!("\0AUTH EXTERNAL {}\r\n", hex::encode(uid)).as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::with_capacity(1, &socket).read_line(&mut answer).unwrap();
        assert!(answer.starts_with("OK "), "{answer}");
        socket.write_all(b"BEGIN\r\n").unwrap();
        let mut raw = Raw { socket };
        let bus = "org.freedesktop.DBus";
        raw.write(&Message::method_call("/org/freedesktop/DBus", "Hello").destination(bus).interface(bus).build(&()).unwrap());
        // The answer, and NameAcquired after it; what else comes is left in the socket.
        raw.socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert!(raw.socket.read(&mut [0; 4096]).unwrap() > 0);
        raw
    }

    /// Asks the bus for every signal of the daemon.
    pub(crate) fn subscribe(&mut self) {
        let bus = "org.freedesktop.DBus";
        let call = Message::method_call("/org/freedesktop/DBus", "AddMatch").destination(bus);
        self.write(&call.interface(bus).build(&"type='signal',sender='org.lxhost1'").unwrap());
    }

    /// A call of the daemon, which is told that nobody wants the answer unless `answered`.
    pub(crate) fn call(path: &str, interface: &str, method: &str, answered: bool) -> zbus::message::Builder<'static> {
        let call = Message::method_call(path.to_owned(), method.to_owned()).destination("org.lxhost1");
        let call = call.interface(interface.to_owned());
        if answered { call } else { call.with_flags(Flags::NO_REPLY_EXPECTED) }
    }

    /// Writes a message, as far as the bus takes it.
    pub(crate) fn write(&mut self, message: &Message) {
        self.socket.write_all(message.data()).unwrap();
    }

    /// Writes as many of these messages as the bus takes for now; says how many bytes that were.
    pub(crate) fn flood(&mut self, bytes: &[u8], times: usize) -> usize {
        self.socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut written = 0;
        for _ in 0..times {
            let mut rest = bytes;
            while !rest.is_empty() {
                match self.socket.write(rest) {
                    Ok(n) => {
                        written += n;
                        rest = &rest[n..];
                    }
                    // The bus reads no more of us, or has thrown us out: its way to say that it is enough.
                    Err(_) => return written,
                }
            }
        }
        written
    }

    /// Reads a byte, as a slow reader does; false at the end.
    pub(crate) fn sip(&mut self) -> bool {
        self.socket.read(&mut [0; 1]).is_ok_and(|n| n > 0)
    }
}
