//! Doors for the fuzz targets: what the monitor reads that a container has written. Called by nobody else.

use rustix::io::Errno;

use crate::exec::users;
use crate::notify::Word;
use crate::{addresses, notify};

/// What an init has said in a datagram: `None` for ready, else how it goes down.
pub fn notify(datagram: &[u8]) -> Vec<Option<String>> {
    let said = |word| match word {
        Word::Ready => None,
        Word::Stopping(how) => Some(how),
    };
    notify::parse(datagram).into_iter().map(said).collect()
}

/// Looks a user up in the text of `/etc/passwd` and `/etc/group`: user id, group ids, home, shell.
pub fn user(passwd: &str, groups: &str, wanted: &str) -> Option<(u32, Vec<u32>, String, String)> {
    let user = users::find_user(passwd, wanted)?;
    Some((user.uid, users::groups_of(groups, &user.name, user.gid), user.home, user.shell))
}

/// The number of a group in the text of `/etc/group`.
pub fn group(groups: &str, wanted: &str) -> Option<u32> {
    users::find_group(groups, wanted)
}

/// Addresses in a datagram of the kernel: bytes and length of the prefix.
pub fn addresses(datagram: &[u8]) -> Vec<(Vec<u8>, u16)> {
    let mut list = Vec::new();
    addresses::messages(datagram, |_, body| {
        let name = |index| if index == 0 { Err(Errno::NODEV) } else { Ok(format!("eth{index}")) };
        list.extend(addresses::address(body, name).map(|found| (found.address.0, found.prefix)));
    });
    list
}
