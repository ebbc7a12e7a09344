//! The command line of a proxy: `--guest PID --scope UNIT [--inside] [--announce] [--socket UID:GID:MODE]
//! [--user UID:GID] -- LISTEN CONNECT ...`, with places such as `tcp:[::1]:80`, `unix:/run/x` and `unix:@x`.

use std::net::SocketAddr;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::process::Pid;

use crate::failure::Failure;

/// Where a proxy listens or connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    /// A socket file.
    File(PathBuf),
    /// An abstract name.
    Name(String),
}

/// Owner, group and mode of a socket file.
pub(crate) type Owner = (u32, u32, u32);

/// What a proxy is told.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// The container's init.
    pub(crate) guest: Pid,
    /// The container's unit.
    pub(crate) scope: String,
    /// Listen in the container and connect on the host.
    pub(crate) inside: bool,
    /// Speak the PROXY protocol.
    pub(crate) announces: bool,
    /// What a socket file shall be.
    pub(crate) socket: Owner,
    /// As whom to connect.
    pub(crate) user: Option<(u32, u32)>,
    /// Where to listen, and where to connect then.
    pub(crate) pairs: Vec<(Place, Place)>,
}

impl Arguments {
    pub(crate) fn read(words: &[String]) -> Result<Self, Failure> {
        let (mut guest, mut scope, mut inside, mut announces) = (None, None, false, false);
        let (mut socket, mut user) = ((0, 0, 0o644), None);
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| invalid(word));
            match word {
                "--inside" => inside = true,
                "--announce" => announces = true,
                "--guest" => guest = value()?.parse().ok().and_then(Pid::from_raw),
                "--scope" => scope = Some(value()?.to_owned()),
                "--socket" => {
                    let [uid, gid, mode] = numbers(word, value()?)?;
                    socket = (uid, gid, mode);
                }
                "--user" => {
                    let [uid, gid] = numbers(word, value()?)?;
                    user = Some((uid, gid));
                }
                "--" => break,
                other => return Err(invalid(other)),
            }
        }
        let mut pairs = Vec::new();
        while let Some(listen) = words.next() {
            let connect = words.next().ok_or_else(|| invalid(listen))?;
            pairs.push((Place::read(listen)?, Place::read(connect)?));
        }
        let guest = guest.ok_or_else(|| invalid("--guest"))?;
        let scope = scope.ok_or_else(|| invalid("--scope"))?;
        Ok(Self { guest, scope, inside, announces, socket, user, pairs })
    }
}

/// Numbers with colons between them; that of a mode is decimal like the others.
fn numbers<const N: usize>(word: &str, text: &str) -> Result<[u32; N], Failure> {
    let numbers: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| invalid(word))
}

fn invalid(word: &str) -> Failure {
    Failure::new(format!("argument {word}"), Errno::INVAL)
}

impl Place {
    pub(crate) fn read(text: &str) -> Result<Self, Failure> {
        let address = |rest: &str| rest.parse().map_err(|_| invalid(text));
        match text.split_once(':') {
            Some(("tcp", rest)) => address(rest).map(Place::Tcp),
            Some(("udp", rest)) => address(rest).map(Place::Udp),
            Some(("unix", path)) => match path.strip_prefix('@') {
                Some(name) => Ok(Place::Name(name.to_owned())),
                None => Ok(Place::File(path.into())),
            },
            _ => Err(invalid(text)),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Tcp(address) => write!(f, "tcp:{address}"),
            Place::Udp(address) => write!(f, "udp:{address}"),
            Place::File(path) => write!(f, "unix:{}", path.display()),
            Place::Name(name) => write!(f, "unix:@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Arguments, Failure> {
        Arguments::read(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn places_are_read_back_as_they_are_written() {
        for text in ["tcp:127.0.0.1:80", "udp:[::1]:53", "unix:/run/x", "unix:@x"] {
            assert_eq!(Place::read(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_whole_line_is_read() {
        let line = "--guest 7 --scope s --inside --socket 1:2:432 --user 3:4 -- tcp:127.0.0.1:1 unix:/x udp:[::1]:2 udp:[::1]:3";
        let read = read(line).unwrap();
        assert_eq!((read.inside, read.announces, read.socket, read.user), (true, false, (1, 2, 0o660), Some((3, 4))));
        assert_eq!(read.pairs.len(), 2);
    }

    #[test]
    fn what_is_missing_or_unknown_is_refused() {
        for line in [
            "--scope s -- tcp:127.0.0.1:1 unix:/x",
            "--guest 0 --scope s",
            "--guest 7",
            "--guest 7 --scope s --loud",
            "--guest 7 --scope s -- tcp:127.0.0.1:1",
            "--guest 7 --scope s --user 1 -- tcp:127.0.0.1:1 unix:/x",
            "--guest 7 --scope s -- tcp:host:1 unix:/x",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
