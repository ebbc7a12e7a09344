//! Addresses of the container's interfaces, by rtnetlink(7) sockets that were opened in its network namespace.
//!
//! One socket hears of changes, the other asks the kernel for the whole list: nothing is kept from one to the next.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxhost_contract::{Bytes, InterfaceAddress};
use rustix::fs::{Mode, OFlags, open as open_file};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netdevice, recv, send, socket_with};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space, move_into_thread_name_spaces};

/// RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR.
const GROUPS: u32 = 0x10 | 0x100;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// IFA_F_TENTATIVE and IFA_F_DADFAILED: not usable (yet).
const UNUSABLE: u8 = 0x40 | 0x08;
const HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
/// More than anybody has; against a guest that would fill our memory.
const MOST: usize = 256;

/// Both sockets, opened by a process that is inside.
pub(crate) fn open() -> Result<(OwnedFd, OwnedFd), Errno> {
    // Protocol 0 is NETLINK_ROUTE.
    let make = |flags| socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None);
    let changes = make(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    bind(&changes, &SocketAddrNetlink::new(0, GROUPS))?;
    Ok((changes, make(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?))
}

/// A route socket in the network namespace of `init`, opened with our own rights: with those that the sockets above were
/// opened with, links could not be brought back to the host.
pub(crate) fn route_socket(init: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let own = open_file("/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    move_into_thread_name_spaces(init, ThreadNameSpaceType::NETWORK)?;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None);
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))?;
    socket
}

/// The addresses of a container, as last seen.
#[derive(Debug)]
pub(crate) struct Addresses {
    changes: OwnedFd,
    questions: OwnedFd,
    pub(crate) list: Vec<InterfaceAddress>,
}

impl Addresses {
    pub(crate) fn new(changes: OwnedFd, questions: OwnedFd) -> Self {
        Self { changes, questions, list: Vec::new() }
    }

    /// Readable when something has changed.
    pub(crate) fn changes(&self) -> &OwnedFd {
        &self.changes
    }

    /// Asks for the list anew. True when it is another one.
    pub(crate) fn refresh(&mut self) -> bool {
        let mut buffer = [0; 4096];
        // What the messages say does not matter, nor whether some were lost (ENOBUFS). Bounded: the guest may go on.
        for _ in 0..64 {
            match recv(&self.changes, &mut buffer, RecvFlags::empty()) {
                Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(_) => break,
            }
        }
        let Ok(found) = self.ask() else { return false };
        let changed = found != self.list;
        self.list = found;
        changed
    }

    /// The kernel answers a dump within the calls that read it: nothing is waited for.
    fn ask(&self) -> Result<Vec<InterfaceAddress>, Errno> {
        let mut question = Vec::with_capacity(HEADER + ADDRESS_HEADER);
        question.extend_from_slice(&((HEADER + ADDRESS_HEADER) as u32).to_ne_bytes());
        question.extend_from_slice(&RTM_GETADDR.to_ne_bytes());
        question.extend_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
        question.extend_from_slice(&[0; 8 + ADDRESS_HEADER]);
        send(&self.questions, &question, SendFlags::empty())?;
        let mut list = Vec::new();
        let mut buffer = vec![0; 32 << 10];
        loop {
            let (_, read) = recv(&self.questions, buffer.as_mut_slice(), RecvFlags::empty())?;
            let done = messages(buffer.get(..read).unwrap_or_default(), |kind, body| {
                if kind == RTM_NEWADDR && list.len() < MOST {
                    list.extend(address(body, |index| netdevice::index_to_name(self.questions.as_fd(), index)));
                }
            });
            if done {
                return Ok(list);
            }
        }
    }
}

/// Walks the messages of a datagram; true at the end of a dump.
pub(crate) fn messages(mut rest: &[u8], mut visit: impl FnMut(u16, &[u8])) -> bool {
    while let Some((&[l0, l1, l2, l3, k0, k1, ..], _)) = rest.split_first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let kind = u16::from_ne_bytes([k0, k1]);
        if kind == NLMSG_DONE || kind == NLMSG_ERROR {
            return true;
        }
        let Some(body) = rest.get(HEADER..length) else { return true };
        visit(kind, body);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

pub(crate) fn address(body: &[u8], name: impl FnOnce(u32) -> Result<String, Errno>) -> Option<InterfaceAddress> {
    let (&[_family, prefix, flags, _scope, i0, i1, i2, i3], mut rest) = body.split_first_chunk::<ADDRESS_HEADER>()?;
    if flags & UNUSABLE != 0 {
        return None;
    }
    let mut found = None;
    while let Some((&[l0, l1, k0, k1], _)) = rest.split_first_chunk::<4>() {
        let length = u16::from_ne_bytes([l0, l1]) as usize;
        let value = rest.get(4..length)?;
        // On a point-to-point link IFA_ADDRESS is the peer's.
        match u16::from_ne_bytes([k0, k1]) {
            IFA_LOCAL => found = Some(value),
            IFA_ADDRESS if found.is_none() => found = Some(value),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let interface = name(u32::from_ne_bytes([i0, i1, i2, i3])).ok().filter(|name| name != "lo")?;
    Some(InterfaceAddress { interface, address: Bytes(found?.to_vec()), prefix: prefix.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = value.len() as u16 + 4;
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
    }

    fn body(flags: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        [vec![2, 24, flags, 0, 7, 0, 0, 0], attributes.concat()].concat()
    }

    #[test]
    fn the_local_address_is_taken_not_the_peers() {
        let body = body(0, &[attribute(IFA_ADDRESS, &[10, 0, 0, 1]), attribute(IFA_LOCAL, &[10, 0, 0, 2])]);
        let found = address(&body, |index| Ok(format!("eth{index}"))).unwrap();
        assert_eq!((found.interface.as_str(), found.address.0.as_slice(), found.prefix), ("eth7", &[10, 0, 0, 2][..], 24));
    }

    #[test]
    fn tentative_and_loopback_addresses_are_left_out() {
        let fine = [attribute(IFA_ADDRESS, &[127, 0, 0, 1])];
        assert!(address(&body(0x40, &fine), |_| Ok("eth0".to_owned())).is_none());
        assert!(address(&body(0, &fine), |_| Ok("lo".to_owned())).is_none());
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        assert!(address(&body(0, &[vec![200, 0, 1, 0, 1]]), |_| Ok("eth0".to_owned())).is_none());
        let mut seen = 0;
        let lying = [&200u32.to_ne_bytes()[..], &RTM_NEWADDR.to_ne_bytes(), &[0; 10]].concat();
        assert!(messages(&lying, |_, _| seen += 1));
        let zero = [&0u32.to_ne_bytes()[..], &RTM_NEWADDR.to_ne_bytes(), &[0; 10]].concat();
        assert!(messages(&zero, |_, _| seen += 1));
        assert_eq!(seen, 0);
    }

    #[test]
    fn the_own_namespace_has_a_list_that_does_not_change_by_itself() {
        let (changes, questions) = open().unwrap();
        let mut addresses = Addresses::new(changes, questions);
        addresses.refresh();
        assert!(!addresses.refresh());
        assert!(addresses.list.iter().all(|row| row.interface != "lo"));
    }
}
