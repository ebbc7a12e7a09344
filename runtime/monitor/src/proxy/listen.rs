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
    bind(&socket, address)?;
    Ok(socket)
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
    fn a_port_that_is_taken_is_refused_by_its_name() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let failure = open(&Place::Tcp(taken.local_addr().unwrap()), (0, 0, 0o644)).unwrap_err();
        assert_eq!(failure.errno, Errno::ADDRINUSE);
        assert!(failure.step.starts_with("listen tcp:127.0.0.1:"), "{}", failure.step);
    }
}
