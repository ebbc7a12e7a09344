//! What changes in the packet filter of this network namespace (nftables), transaction by transaction, and who changed
//! it. Reads netfilter's own netlink messages (linux/netfilter/nf_tables.h); changes nothing.

use crate::{Error, Result};
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with, sockopt};
use std::collections::BTreeSet;
use std::io;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The group of nftables (`NFNLGRP_NFTABLES`) as a bit, and the subsystem that its messages name.
const NFTABLES: u32 = 1 << 6;
pub(crate) const SUBSYSTEM: u8 = 10;
/// Room for what is not read at once: a flush says every rule. The kernel takes it when it needs it.
const ROOM: usize = 8 << 20;
/// Messages come in datagrams of a page or two.
const DATAGRAM: usize = 64 << 10;
/// Messages that are read here.
const NEW_CHAIN: u8 = 3;
const DEL_CHAIN: u8 = 5;
const NEW_RULE: u8 = 6;
const DEL_RULE: u8 = 8;
const NEW_GENERATION: u8 = 15;
/// Messages that say that something is gone: table, chain, rule, set, element, object, flow table.
const GONE: [u8; 7] = [2, DEL_CHAIN, DEL_RULE, 11, 14, 20, 24];
/// Bytes of the headers before attributes: the message's and netfilter's.
const HEADER: usize = 16;
pub(crate) const HEADERS: usize = HEADER + 4;

/// A transaction that was committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterChange {
    /// What it was about.
    pub parts: BTreeSet<FilterPart>,
    /// Port of the socket that it came from: the number of the process, as that process knows it.
    pub by: u32,
    /// Name of the process, as far as the kernel says.
    pub program: String,
}

/// Something in a table that is new, not what it was, or gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilterPart {
    /// The table.
    pub table: String,
    /// The chain, where it is one or a rule of one.
    pub chain: Option<String>,
    /// Whether it is gone.
    pub gone: bool,
}

/// A listener. What happens from its opening on is heard.
pub struct FilterWatch {
    /// Tokio's name for "a socket that keeps messages apart"; read by our own calls only.
    socket: UnixDatagram,
    heard: Heard,
}

/// Messages of a transaction whose end has not been heard, and transactions that nobody has asked for.
#[derive(Default)]
struct Heard {
    open: BTreeSet<FilterPart>,
    whole: std::collections::VecDeque<FilterChange>,
}

impl FilterWatch {
    /// Begins to listen; needs `CAP_NET_ADMIN`.
    ///
    /// ```no_run
    /// # async fn example() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::FilterWatch;
    /// let mut watch = FilterWatch::open()?;
    /// while let Some(change) = watch.next().await {
    ///     println!("{} (process {}) has changed {} rules", change.program, change.by, change.parts.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Open`.
    pub fn open() -> Result<Self> {
        let open = || {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::NETFILTER))?;
            // Without it, more is lost, and that is heard.
            let _ = sockopt::set_socket_recv_buffer_size_force(&socket, ROOM);
            bind(&socket, &SocketAddrNetlink::new(0, NFTABLES))?;
            UnixDatagram::from_std(socket.into())
        };
        Ok(FilterWatch { socket: open().map_err(Error::Open)?, heard: Heard::default() })
    }

    /// The next transaction. `None` when the kernel has dropped some because nobody read them in time: whoever wants to
    /// go on opens another and looks at everything. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<FilterChange> {
        let mut messages = vec![0; DATAGRAM];
        loop {
            if let Some(change) = self.heard.whole.pop_front() {
                return Some(change);
            }
            self.socket.readable().await.ok()?;
            let read = || Ok(recv(&self.socket, messages.as_mut_slice(), RecvFlags::empty())?);
            match self.socket.try_io(Interest::READABLE, read) {
                Ok((_, length)) => self.heard.take(&messages[..length]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => return None,
            }
        }
    }
}

impl std::fmt::Debug for FilterWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("netlink::FilterWatch")
    }
}

impl Heard {
    /// Takes in one datagram, which has several messages.
    fn take(&mut self, mut messages: &[u8]) {
        while let Some((message, rest)) = split(messages, |head| word(head, 0)) {
            messages = rest;
            self.message(message);
        }
    }

    fn message(&mut self, message: &[u8]) {
        let (Some(&[kind, SUBSYSTEM]), Some(attributes)) = (message.get(4..6), message.get(HEADERS..)) else { return };
        if kind == NEW_GENERATION {
            let program = text(attributes, 3).unwrap_or_default();
            let by = word(message, 12).unwrap_or_default();
            self.whole.push_back(FilterChange { parts: std::mem::take(&mut self.open), by, program });
            return;
        }
        let chain = match kind {
            NEW_CHAIN | DEL_CHAIN => text(attributes, 3),
            NEW_RULE | DEL_RULE => text(attributes, 2),
            _ => None,
        };
        // The first attribute of everything is its table.
        if let Some(table) = text(attributes, 1) {
            self.open.insert(FilterPart { table, chain, gone: GONE.contains(&kind) });
        }
    }
}

pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The first thing of many, each of which says its length; they are aligned to four bytes.
pub(crate) fn split(bytes: &[u8], length: impl Fn(&[u8]) -> Option<u32>) -> Option<(&[u8], &[u8])> {
    let length = usize::try_from(length(bytes)?).ok().filter(|length| *length >= 4)?;
    let rest = bytes.get(length.checked_next_multiple_of(4)?..).unwrap_or_default();
    Some((bytes.get(..length)?, rest))
}

/// The attribute of that number as text.
pub(crate) fn text(mut attributes: &[u8], wanted: u16) -> Option<String> {
    while let Some((attribute, rest)) = split(attributes, |head| half(head, 0).map(u32::from)) {
        attributes = rest;
        if half(attribute, 2) == Some(wanted) {
            let value = attribute.get(4..)?;
            return Some(String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, by: u32, attributes: &[(u16, &str)]) -> Vec<u8> {
        let mut body = vec![1, 0, 0, 0];
        for (number, value) in attributes {
            body.extend((value.len() as u16 + 5).to_ne_bytes());
            body.extend(number.to_ne_bytes());
            body.extend(value.bytes().chain([0]));
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut whole = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        whole.extend([kind, SUBSYSTEM, 0, 0]);
        whole.extend(0_u32.to_ne_bytes());
        whole.extend(by.to_ne_bytes());
        whole.extend(body);
        whole
    }

    #[test]
    fn a_transaction_is_one_change_that_says_who_and_what() {
        let mut heard = Heard::default();
        let rule = message(DEL_RULE, 7, &[(1, "filter"), (2, "DOCKER-USER")]);
        heard.take(&[rule.clone(), rule, message(2, 7, &[(1, "lxhost")])].concat());
        assert!(heard.whole.is_empty(), "it has not ended");
        heard.take(&message(NEW_GENERATION, 7, &[(3, "nft")]));
        let part =
            |table: &str, chain: Option<&str>| FilterPart { table: table.into(), chain: chain.map(Into::into), gone: true };
        let parts = BTreeSet::from([part("filter", Some("DOCKER-USER")), part("lxhost", None)]);
        assert_eq!(heard.whole.pop_front(), Some(FilterChange { parts, by: 7, program: "nft".into() }));
        assert!(heard.open.is_empty());
    }

    #[test]
    fn messages_without_sense_are_no_change() {
        let mut heard = Heard::default();
        let other = [&20_u32.to_ne_bytes()[..], &[2, 1], &[0; 14]].concat();
        let lies = [&u32::MAX.to_ne_bytes()[..], &[2, SUBSYSTEM], &[0; 14]].concat();
        for bytes in [&[][..], &[0; 3], &[0; 40], &other, &lies, &message(2, 7, &[])] {
            heard.take(bytes);
        }
        assert!(heard.whole.is_empty() && heard.open.is_empty());
    }
}
