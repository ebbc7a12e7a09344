//! What the container finds in `/run/host`, and what its init says there (sd_notify(3)).
//!
//! See <https://systemd.io/CONTAINER_INTERFACE>. Datagrams are capped and only those of the init itself count.

use std::io::{IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use lxhost_contract::Launch;
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, chownat, openat};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, bind, recvmsg,
    socket_with, sockopt,
};
use rustix::process::Pid;

use crate::failure::{During, Failure};
use crate::launch::stage::{HOST, Stage};

/// Most bytes read of one datagram.
const MOST_BYTES: usize = 4096;

/// Something that the init has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// It is ready.
    Ready,
    /// It goes down in this way.
    Stopping(String),
}

/// Fills the directory of the stage that becomes `/run/host`, and listens on `notify` in it.
pub(crate) fn make_host_files(stage: &Stage, launch: &Launch, owner: (u32, u32)) -> Result<OwnedFd, Failure> {
    let dir = stage.open(HOST).during("/run/host")?;
    for (name, content) in [
        ("container-manager", b"lxhost".as_slice()),
        ("container-uuid", launch.uuid.as_bytes()),
        ("os-release", launch.os_release.0.as_slice()),
    ] {
        if content.is_empty() {
            continue;
        }
        let what = || format!("/run/host/{name}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let file = openat(&dir, name, flags, Mode::from_raw_mode(0o644)).during(what())?;
        std::fs::File::from(file).write_all(content).during(what())?;
    }
    let kind = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, kind, None).during("notify socket")?;
    let path = format!("{HOST}/notify");
    SocketAddrUnix::new(path.as_str()).and_then(|address| bind(&socket, &address)).during("notify socket")?;
    sockopt::set_socket_passcred(&socket, true).during("notify socket")?;
    let (uid, gid) = (Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)));
    chownat(CWD, path.as_str(), uid, gid, rustix::fs::AtFlags::empty()).during("notify socket")?;
    Ok(socket)
}

/// Reads one datagram; `None` when there is none. Words of other processes than `init` are thrown away.
pub(crate) fn read(socket: &OwnedFd, init: Pid) -> Option<Vec<Word>> {
    let mut bytes = vec![0; MOST_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1), ScmRights(16))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(socket.as_fd(), &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
    let mut from_init = false;
    for message in control.drain() {
        match message {
            RecvAncillaryMessage::ScmCredentials(who) => from_init = who.pid == init,
            // Descriptors for a store that we do not have: dropped, so closed.
            RecvAncillaryMessage::ScmRights(rights) => rights.for_each(drop),
            _ => {}
        }
    }
    let text = bytes.get(..got.bytes).unwrap_or_default();
    Some(if from_init { parse(text) } else { Vec::new() })
}

pub(crate) fn parse(text: &[u8]) -> Vec<Word> {
    const LONGEST: usize = 32;
    let mut words = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        if line == b"READY=1" {
            words.push(Word::Ready);
        } else if line == b"STOPPING=1" {
            words.push(Word::Stopping(String::new()));
        } else if let Some(how) = line.strip_prefix(b"X_SYSTEMD_SHUTDOWN=") {
            let plain = how.len() <= LONGEST && how.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'-');
            words.push(Word::Stopping(if plain { String::from_utf8_lossy(how).into_owned() } else { String::new() }));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_is_understood() {
        assert_eq!(parse(b"READY=1\nSTATUS=Startup finished in 1s.\n"), [Word::Ready]);
        assert_eq!(parse(b"X_SYSTEMD_SHUTDOWN=soft-reboot"), [Word::Stopping("soft-reboot".into())]);
    }

    #[test]
    fn a_shutdown_that_is_no_word_is_still_a_shutdown() {
        assert_eq!(parse(b"X_SYSTEMD_SHUTDOWN=\x1b[31m"), [Word::Stopping(String::new())]);
    }

    #[test]
    fn noise_says_nothing() {
        assert!(parse(b"READY=10\nready=1\n\0\xff").is_empty());
    }
}
