//! `lxhost-runtime proxy`: one proxy device of a container. Opens listening sockets on one side, the host or the
//! container, goes to the other for good, gives up every right, and relays.
//!
//! A process of its own in a unit of its own (`lxhost-proxy-*.service`), started by PID 1 for the daemon; single-threaded
//! like the monitor, and with nothing of it but its system calls. Uses `sys` and the contract's channel.

pub(crate) mod arguments;
mod datagrams;
mod flow;
mod guest;
mod header;
mod listen;
mod relay;

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with};
use rustix::thread::CapabilitySet;

use self::arguments::{Arguments, Place};
use self::guest::Guest;
use self::relay::Relay;
use crate::failure::{During, Failure};
use crate::sys::{descriptors, identity};

/// Whom a process is that needs to be nobody in particular.
const NOBODY: (u32, u32) = (65_534, 65_534);

/// The program. Why it does not start is written to standard input, which is a socket of the daemon's.
pub(crate) fn main(words: Vec<String>) -> ExitCode {
    let Ok(daemon) = descriptors::take_stdin() else { return ExitCode::FAILURE };
    let failure = match start(&words) {
        Ok(relay) => {
            drop(daemon);
            relay.run()
        }
        Err(failure) => {
            // At a restart nobody listens any more.
            let _ = rustix::io::write(&daemon, &failure.to_bytes());
            failure
        }
    };
    eprintln!("lxhost-runtime: {}: {}", failure.step, failure.errno);
    ExitCode::FAILURE
}

/// Everything that needs rights.
fn start(words: &[String]) -> Result<Relay, Failure> {
    let arguments = Arguments::read(words)?;
    let ready = notify_socket();
    let guest = Guest::open(arguments.guest, &arguments.scope)?;
    let listens = arguments.pairs.iter().map(|(listen, _)| listen);
    let sockets = if arguments.inside {
        guest.open_inside(listens, arguments.socket)?
    } else {
        let sockets = listens.map(|place| listen::open(place, arguments.socket)).collect::<Result<_, _>>()?;
        guest.enter()?;
        sockets
    };
    let doors = sockets.into_iter().zip(arguments.pairs).map(|(socket, (from, to))| relay::Door::new(socket, &from, to));
    let relay = Relay::new(doors.collect(), arguments.announces).during("epoll")?;
    let file = relay.doors.iter().any(|door| matches!(door.to, Place::File(_)));
    let name = relay.doors.iter().any(|door| matches!(door.to, Place::Name(_)));
    let (uid, gid) = arguments.user.unwrap_or(if file || name { (0, 0) } else { NOBODY });
    identity::become_user(uid, gid, &[]).during("become the user of security.uid")?;
    // Root gets in at every socket file, as everywhere else; nobody else needs more than his user id.
    let kept = if file { CapabilitySet::DAC_OVERRIDE } else { CapabilitySet::empty() };
    identity::keep_capabilities(kept).during("capabilities")?;
    if let Some(ready) = ready {
        // Without it PID 1 ends us in a while, and says so.
        let _ = send(&ready, b"READY=1", SendFlags::NOSIGNAL);
    }
    Ok(relay)
}

/// The socket on which PID 1 hears that a service is ready, while its path is still to be seen.
fn notify_socket() -> Option<OwnedFd> {
    let path = std::env::var("NOTIFY_SOCKET").ok()?;
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
        None => SocketAddrUnix::new(path.as_str()),
    };
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    connect(&socket, &address.ok()?).ok().map(|()| socket)
}
