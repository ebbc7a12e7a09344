//! Tables of the packet filter of this network namespace (nftables), by name. Asks netfilter's own netlink, which costs
//! microseconds where the program `nft` costs milliseconds; changes nothing. Called by whoever wants to know first
//! whether there is something to look at.

use crate::filter::{HEADERS, SUBSYSTEM, half, split, text, word};
use crate::{Error, Result};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};
use std::collections::BTreeSet;
use std::io;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// A question for all tables: length, kind (`NFT_MSG_GETTABLE`), flags (a request for a dump), number, port; then
/// netfilter's own header.
const GET_TABLE: u8 = 1;
const DUMP: u16 = 0x301;
/// Messages of the answer.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const NEW_TABLE: u16 = (SUBSYSTEM as u16) << 8;
/// Flag of an answer that somebody changed while it was made.
const INTERRUPTED: u16 = 0x10;
/// How often the question is asked, if so.
const TRIES: usize = 5;
/// The kernel's datagrams are no larger than what is read at once, up to this.
const DATAGRAM: usize = 64 << 10;

/// A table of nftables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilterTable {
    /// Its family, as nft calls it: `inet`, `ip`, `ip6`, `bridge`, `arp`, `netdev`.
    pub family: &'static str,
    /// Its name.
    pub name: String,
}

/// All tables there are.
///
/// ```no_run
/// # async fn example() -> lxhost_netlink::Result<()> {
/// let docker = lxhost_netlink::filter_tables().await?.iter().any(|table| table.family == "ip" && table.name == "filter");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Open`, `Kernel`; `Answer` when others change tables all the time.
pub async fn filter_tables() -> Result<BTreeSet<FilterTable>> {
    for _ in 0..TRIES {
        if let Some(tables) = ask().await? {
            return Ok(tables);
        }
    }
    Err(Error::Answer { what: WHAT.into(), why: "somebody changes them all the time".into() })
}

const WHAT: &str = "list the tables of the packet filter";

/// One question; `None` when the answer was interrupted.
async fn ask() -> Result<Option<BTreeSet<FilterTable>>> {
    let open = || {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::NETFILTER))?;
        send(&socket, &question(), SendFlags::empty())?;
        UnixDatagram::from_std(socket.into())
    };
    let socket = open().map_err(Error::Open)?;
    let refused = |source| Error::Kernel { what: WHAT.into(), source };
    let (mut messages, mut answer) = (vec![0; DATAGRAM], Answer::default());
    while !answer.whole {
        socket.readable().await.map_err(refused)?;
        let read = || Ok(recv(&socket, messages.as_mut_slice(), RecvFlags::empty())?);
        match socket.try_io(Interest::READABLE, read) {
            Ok((_, length)) => answer.take(messages.get(..length).unwrap_or_default()).map_err(refused)?,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    Ok((!answer.interrupted).then_some(answer.tables))
}

fn question() -> Vec<u8> {
    let mut message = (HEADERS as u32).to_ne_bytes().to_vec();
    message.extend([GET_TABLE, SUBSYSTEM]);
    message.extend(DUMP.to_ne_bytes());
    message.resize(HEADERS, 0);
    message
}

/// What has come of an answer.
#[derive(Debug, Default)]
struct Answer {
    tables: BTreeSet<FilterTable>,
    interrupted: bool,
    whole: bool,
}

impl Answer {
    /// Takes in one datagram, which has several messages.
    fn take(&mut self, mut messages: &[u8]) -> io::Result<()> {
        while let Some((message, rest)) = split(messages, |head| word(head, 0)) {
            messages = rest;
            self.interrupted |= half(message, 6).is_some_and(|flags| flags & INTERRUPTED != 0);
            match half(message, 4) {
                Some(NEW_TABLE) => self.tables.extend(table(message)),
                Some(DONE) => self.whole = true,
                // A negative number of an error.
                Some(ERROR) => {
                    let number = word(message, 16).unwrap_or_default().cast_signed();
                    return Err(io::Error::from_raw_os_error(number.saturating_neg()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn table(message: &[u8]) -> Option<FilterTable> {
    let family = match message.get(16)? {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => return None,
    };
    Some(FilterTable { family, name: text(message.get(HEADERS..)?, 1)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut whole = ((16 + body.len()) as u32).to_ne_bytes().to_vec();
        whole.extend(kind.to_ne_bytes());
        whole.extend(flags.to_ne_bytes());
        whole.extend([0; 8]);
        whole.extend(body);
        whole
    }

    fn tables(family: u8, name: &str) -> Vec<u8> {
        let mut body = vec![family, 0, 0, 0];
        body.extend((name.len() as u16 + 5).to_ne_bytes());
        body.extend(1_u16.to_ne_bytes());
        body.extend(name.bytes().chain([0]));
        body.resize(body.len().next_multiple_of(4), 0);
        message(NEW_TABLE, 2, &body)
    }

    #[test]
    fn tables_are_told_with_their_families() {
        let mut answer = Answer::default();
        answer.take(&[tables(2, "filter"), tables(7, "lxhost"), tables(99, "new")].concat()).unwrap();
        assert!(!answer.whole && !answer.interrupted);
        answer.take(&message(DONE, 2, &[0; 4])).unwrap();
        let table = |family, name: &str| FilterTable { family, name: name.into() };
        assert!(answer.whole);
        assert_eq!(answer.tables, [table("bridge", "lxhost"), table("ip", "filter")].into());
    }

    #[test]
    fn an_answer_that_was_interrupted_refused_or_is_without_sense_is_no_list() {
        let mut answer = Answer::default();
        answer.take(&message(DONE, 2 | INTERRUPTED, &[0; 4])).unwrap();
        assert!(answer.interrupted);
        let refused = answer.take(&message(ERROR, 0, &(-1_i32).to_ne_bytes())).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(1));
        let mut answer = Answer::default();
        for bytes in [&[][..], &[0; 3], &[0; 40], &message(NEW_TABLE, 2, &[]), &message(NEW_TABLE, 2, &[2, 0, 0, 0, 9])] {
            answer.take(bytes).unwrap();
        }
        assert!(answer.tables.is_empty() && !answer.whole);
    }
}
