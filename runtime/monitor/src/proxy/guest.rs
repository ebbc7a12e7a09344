//! The container: found by its init, entered for good, or by a child that opens sockets there and hands them back.

use std::os::fd::{AsFd, OwnedFd};

use lxhost_contract::{Channel, ChannelError};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::arguments::{Owner, Place};
use super::listen;
use crate::failure::{During, Failure};
use crate::sys::{birth, identity};

/// A container's init.
pub(super) struct Guest {
    init: OwnedFd,
}

impl Guest {
    /// Finds it; a process of that number that is not in the container's unit is somebody else.
    pub(super) fn open(pid: Pid, scope: &str) -> Result<Self, Failure> {
        let init = pidfd_open(pid, PidfdFlags::empty()).during("find the instance")?;
        let path = format!("/proc/{}/cgroup", pid.as_raw_nonzero());
        let cgroup = std::fs::read_to_string(path).during("find the instance")?;
        if cgroup.contains(&format!("/{scope}/")) {
            Ok(Self { init })
        } else {
            Err(Failure::new("find the instance", Errno::SRCH))
        }
    }

    /// Goes inside and is root there.
    pub(super) fn enter(&self) -> Result<(), Failure> {
        let all = ThreadNameSpaceType::USER | ThreadNameSpaceType::MOUNT | ThreadNameSpaceType::NETWORK;
        move_into_thread_name_spaces(self.init.as_fd(), all).during("enter the instance")?;
        identity::become_user(0, 0, &[]).during("become root of the instance")
    }

    /// Has a child go inside and open these places there, with no more rights than the container has.
    pub(super) fn open_inside<'a>(&self, places: impl Iterator<Item = &'a Place>, owner: Owner) -> Result<Vec<OwnedFd>, Failure> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).during("socket pair")?;
        let (ours, theirs) = (Channel::new(ours), Channel::new(theirs));
        let places: Vec<&Place> = places.collect();
        let Some(child) = birth::fork().during("fork")? else {
            drop(ours);
            birth::exit(i32::from(self.hand_back(&places, owner, &theirs).is_err()));
        };
        drop(theirs);
        let received = receive(&ours, places.len());
        // Closed, so that a child that still sends does not wait for ever.
        drop(ours);
        let _ = waitpid(Some(child), WaitOptions::empty());
        received
    }

    /// The child's part.
    fn hand_back(&self, places: &[&Place], owner: Owner, to: &Channel) -> Result<(), ChannelError> {
        let refuse = |failure: Failure| send(to, &failure.to_bytes(), None);
        if let Err(failure) = self.enter() {
            return refuse(failure);
        }
        for place in places {
            match listen::open(place, owner) {
                Ok(socket) => send(to, b"", Some(&socket))?,
                Err(failure) => return refuse(failure),
            }
        }
        Ok(())
    }
}

/// One message, as soon as there is room for it. What carries no failure has a byte all the same: none is the end.
fn send(to: &Channel, failure: &[u8], socket: Option<&OwnedFd>) -> Result<(), ChannelError> {
    let descriptors: Vec<_> = socket.iter().map(|socket| socket.as_fd()).collect();
    let bytes = if failure.is_empty() { b"." } else { failure };
    loop {
        match to.send(bytes, &descriptors) {
            Err(ChannelError::WouldBlock) => {
                let _ = poll(&mut [PollFd::new(to, PollFlags::OUT)], None);
            }
            other => return other,
        }
    }
}

fn receive(from: &Channel, count: usize) -> Result<Vec<OwnedFd>, Failure> {
    let lost = || Failure::new("listen in the instance", Errno::CONNRESET);
    let mut sockets = Vec::with_capacity(count);
    while sockets.len() < count {
        let message = from.receive().map_err(|_| lost())?;
        match message.descriptors.into_iter().next() {
            Some(socket) => sockets.push(socket),
            None => return Err(Failure::from_bytes(&message.bytes).unwrap_or_else(lost)),
        }
    }
    Ok(sockets)
}
