//! A connection to a bus without a library: one that writes what it likes and reads when it likes, or never. With
//! `--flood ADDRESS` the programs of this crate do nothing else than flooding the daemon on it, for tests that start
//! them in a host. Depends on zbus for the bytes of messages. Called by `sim` and the suite `load`.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use zbus::Message;
use zbus::message::Flags;

/// A socket on which somebody has said hello.
pub struct Raw {
    socket: UnixStream,
}

impl Raw {
    /// Connects to a bus as `World::address` gives it, and says hello.
    pub fn connect(address: &str) -> Raw {
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
    pub fn subscribe(&mut self) {
        let bus = "org.freedesktop.DBus";
        let call = Message::method_call("/org/freedesktop/DBus", "AddMatch").destination(bus);
        self.write(&call.interface(bus).build(&"type='signal',sender='org.lxhost1'").unwrap());
    }

    /// A call of the daemon, which is told that nobody wants the answer unless `answered`.
    pub fn call(path: &str, interface: &str, method: &str, answered: bool) -> zbus::message::Builder<'static> {
        let call = Message::method_call(path.to_owned(), method.to_owned()).destination("org.lxhost1");
        let call = call.interface(interface.to_owned());
        if answered { call } else { call.with_flags(Flags::NO_REPLY_EXPECTED) }
    }

    /// Writes a message, as far as the bus takes it.
    pub fn write(&mut self, message: &Message) {
        self.socket.write_all(message.data()).unwrap();
    }

    /// Writes as many of these messages as the bus takes for now; says how many bytes that were.
    pub fn flood(&mut self, bytes: &[u8], times: usize) -> usize {
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
    pub fn sip(&mut self) -> bool {
        self.socket.read(&mut [0; 1]).is_ok_and(|n| n > 0)
    }
}

/// What a flood is made of: answered in place, asked of the engine, refused, malformed; nobody waits for an answer.
pub fn nonsense() -> Vec<u8> {
    let nothing = std::collections::HashMap::<&str, zbus::wire::Variant<'_>>::new();
    let manager = "org.lxhost1.Manager";
    let calls = [
        Raw::call("/org/lxhost1", "org.freedesktop.DBus.Introspectable", "Introspect", false).build(&()),
        Raw::call("/org/lxhost1", manager, "GetServerInfo", false).build(&()),
        Raw::call("/org/lxhost1", manager, "ListInstances", false).build(&(&nothing, "", 0u32)),
        Raw::call("/org/lxhost1/nowhere", "org.lxhost1.Instance", "Start", false).build(&nothing),
        Raw::call("/org/lxhost1", manager, "CreateInstance", false).build(&"not this"),
        Raw::call("/org/lxhost1/instance", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", false).build(&()),
    ];
    calls.into_iter().flat_map(|call| call.unwrap().data().to_vec()).collect()
}

/// Floods without an end when the command line says so.
pub fn run_if_asked() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flag, address] = arguments.as_slice() else { return };
    if flag != "--flood" {
        return;
    }
    let bytes = nonsense();
    loop {
        // Thrown out by the bus, it comes back.
        Raw::connect(address).flood(&bytes, usize::MAX);
    }
}
