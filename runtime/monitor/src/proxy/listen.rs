//! Sockets that listen, in the namespaces that the process is in.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, statat, unlink};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with, sockopt};
use rustix::process::umask;

use super::arguments::{Owner, Place};
use crate::failure::{During, Failure};
use crate::sys::identity;

/// Connections that may wait to be accepted; the host's limit is lower, or it is taken.
const BACKLOG: i32 = 4096;

/// The first port at which everybody may listen (ip(7), `ip_unprivileged_port_start` as it is at first).
const FIRST_FOR_ALL: u16 = 1024;

/// Opens a place. A socket file belongs to `owner`.
pub(super) fn open(place: &Place, owner: Owner) -> Result<OwnedFd, Failure> {
    match place {
        Place::Tcp(address) => tcp(address),
        Place::Udp(address) => udp(address),
        Place::Name(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()).and_then(|address| {
            let socket = make(AddressFamily::UNIX, SocketType::STREAM)?;
            bind(&socket, &address)?;
            listen(&socket, BACKLOG).map(|()| socket)
        }),
        Place::File(path) => file(path, owner),
    }
    .during(format!("listen {place}"))
}

/// A socket that never waits.
pub(super) fn make(family: AddressFamily, kind: SocketType) -> Result<OwnedFd, Errno> {
    socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

pub(super) fn family(address: &SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

fn tcp(address: &SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = make(family(address), SocketType::STREAM)?;
    // Connections of an earlier run that are still ending do not keep the port.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn udp(address: &SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = make(family(address), SocketType::DGRAM)?;
    // All addresses are all that nobody has for himself, such as a network's name server. Where everybody may listen,
    // everybody could share the port, too.
    if address.ip().is_unspecified() && address.port() < FIRST_FOR_ALL {
        let tables = ["udp", "udp6"].map(|table| std::fs::read_to_string(format!("/proc/self/net/{table}")));
        if tables.iter().flatten().any(|table| is_everywhere(table, address.port())) {
            return Err(Errno::ADDRINUSE);
        }
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, address)?;
    Ok(socket)
}

/// Whether a table of /proc/net has a socket with this port of all addresses.
fn is_everywhere(table: &str, port: u16) -> bool {
    let local = |line: &str| line.split_ascii_whitespace().nth(1).map(str::to_owned);
    let wanted = format!(":{port:04X}");
    let is_all = |address: &str| address.strip_suffix(&wanted).is_some_and(|ip| ip.bytes().all(|digit| digit == b'0'));
    table.lines().skip(1).filter_map(local).any(|address| is_all(&address))
}

/// The file is made with its owner and mode: nothing is changed by a path that somebody may have exchanged.
fn file(path: &Path, (uid, gid, mode): Owner) -> Result<OwnedFd, Errno> {
    let address = SocketAddrUnix::new(path)?;
    let socket = make(AddressFamily::UNIX, SocketType::STREAM)?;
    let before = umask(Mode::from_raw_mode(0o777 & !mode));
    let bound = identity::with_fs_ids(uid, gid, || match bind(&socket, &address) {
        Err(Errno::ADDRINUSE) if is_left(path, &address) => unlink(path).and_then(|()| bind(&socket, &address)),
        other => other,
    });
    umask(before);
    bound??;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Whether a socket file is there on which nobody listens any more.
fn is_left(path: &Path, address: &SocketAddrUnix) -> bool {
    let found = statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    let is_socket = found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Socket);
    let Ok(probe) = make(AddressFamily::UNIX, SocketType::STREAM) else { return false };
    is_socket && connect(&probe, address) == Err(Errno::CONNREFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_all_addresses_is_told_from_one_of_some() {
        let table =
            "  sl  local_address rem_address   st\n   1: 0134A8C0:0035 00000000:0000 07\n   2: 00000000:0043 00000000:0000 07\n";
        assert!(is_everywhere(table, 67));
        assert!(!is_everywhere(table, 53) && !is_everywhere(table, 0x35_00));
        assert!(is_everywhere("sl\n 1: 00000000000000000000000000000000:0035 0:0 07\n", 53));
    }

    #[test]
    fn a_port_that_is_taken_is_refused_by_its_name() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let failure = open(&Place::Tcp(taken.local_addr().unwrap()), (0, 0, 0o644)).unwrap_err();
        assert_eq!(failure.errno, Errno::ADDRINUSE);
        assert!(failure.step.starts_with("listen tcp:127.0.0.1:"), "{}", failure.step);
    }
}
