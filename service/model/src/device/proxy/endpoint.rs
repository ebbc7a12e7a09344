//! One side of a proxy: addresses and ports, or a socket of unix(7).

use crate::name::quoted;
use crate::{Error, Kind};
use std::net::{IpAddr, SocketAddr};

/// Most ports of one device: each is a socket of its own.
pub const MOST_PORTS: usize = 1000;
/// Longest path or name of a unix socket.
const LONGEST: usize = 107;

/// Where a proxy listens or connects.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Endpoint {
    /// TCP.
    Tcp(Ports),
    /// UDP.
    Udp(Ports),
    /// A stream socket: a path, or `@` and an abstract name.
    Unix(String),
}

/// Ports of one address.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ports {
    /// The address.
    pub address: IpAddr,
    /// Its ports, in the order that was given.
    pub ports: Vec<u16>,
}

fn bad(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::InvalidConfig, why.to_string())
}

impl Endpoint {
    /// Reads `tcp:ADDRESS:PORTS`, `udp:ADDRESS:PORTS` or `unix:PATH`.
    ///
    /// # Errors
    /// `InvalidConfig`.
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        match text.split_once(':') {
            Some(("tcp", rest)) => Ports::read(rest).map(Endpoint::Tcp),
            Some(("udp", rest)) => Ports::read(rest).map(Endpoint::Udp),
            Some(("unix", path)) => unix(path).map(Endpoint::Unix),
            _ => Err(bad(format_args!("{}: expected tcp:ADDRESS:PORT, udp:ADDRESS:PORT or unix:PATH", quoted(text)))),
        }
    }

    /// `tcp`, `udp` or `unix`.
    pub fn protocol(&self) -> &'static str {
        match self {
            Endpoint::Tcp(_) => "tcp",
            Endpoint::Udp(_) => "udp",
            Endpoint::Unix(_) => "unix",
        }
    }

    /// Ports and their address.
    pub fn ports(&self) -> Option<(&[u16], IpAddr)> {
        match self {
            Endpoint::Tcp(ports) | Endpoint::Udp(ports) => Some((&ports.ports, ports.address)),
            Endpoint::Unix(_) => None,
        }
    }

    /// The address.
    pub fn address(&self) -> Option<IpAddr> {
        self.ports().map(|(_, address)| address)
    }

    /// The path of a socket file.
    pub fn file(&self) -> Option<&str> {
        match self {
            Endpoint::Unix(path) if !path.starts_with('@') => Some(path),
            _ => None,
        }
    }

    pub(super) fn is_file(&self) -> bool {
        self.file().is_some()
    }

    pub(super) fn count(&self) -> usize {
        self.ports().map_or(1, |(ports, _)| ports.len())
    }

    /// Each of its places: `tcp:[::1]:80`.
    pub(super) fn places(&self) -> Vec<String> {
        match self {
            Endpoint::Unix(path) => vec![format!("unix:{path}")],
            Endpoint::Tcp(ports) | Endpoint::Udp(ports) => {
                let place = |port: &u16| format!("{}:{}", self.protocol(), SocketAddr::new(ports.address, *port));
                ports.ports.iter().map(place).collect()
            }
        }
    }
}

impl Ports {
    fn read(text: &str) -> Result<Self, Error> {
        let wrong = || bad(format_args!("{}: expected ADDRESS:PORT, as in 0.0.0.0:80 or [::1]:80,443,8000-8010", quoted(text)));
        let (address, list) = text.rsplit_once(':').ok_or_else(wrong)?;
        let address = match address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.parse().ok().filter(IpAddr::is_ipv6),
            None => address.parse().ok().filter(IpAddr::is_ipv4),
        };
        let address: IpAddr = address.ok_or_else(|| {
            bad(format_args!(
                "{}: expected an IP address before the port, IPv6 in brackets; names are not looked up",
                quoted(text)
            ))
        })?;
        let mut ports = Vec::new();
        for part in list.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (port(first)?, port(last)?);
            if first > last {
                return Err(bad(format_args!("ports {part}: the first is greater than the last")));
            }
            if usize::from(last - first) + ports.len() >= MOST_PORTS {
                return Err(bad(format_args!("more than {MOST_PORTS} ports")));
            }
            if let Some(twice) = (first..=last).find(|port| ports.contains(port)) {
                return Err(bad(format_args!("port {twice} is there twice")));
            }
            ports.extend(first..=last);
        }
        Ok(Ports { address, ports })
    }
}

fn port(text: &str) -> Result<u16, Error> {
    let number = text.parse().ok().filter(|port| *port > 0 && !text.starts_with('+'));
    number.ok_or_else(|| bad(format_args!("port {}: expected a number from 1 to 65535", quoted(text))))
}

fn unix(path: &str) -> Result<String, Error> {
    if path.len() > LONGEST {
        return Err(bad(format_args!("the path of a socket has {LONGEST} bytes at most, and this has {}", path.len())));
    }
    if let Some(name) = path.strip_prefix('@') {
        return if name.is_empty() { Err(bad("a name has to follow the @")) } else { Ok(path.to_owned()) };
    }
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    match path.strip_prefix('/') {
        Some(rest) if rest.split('/').all(plain) => Ok(path.to_owned()),
        _ => Err(bad(format_args!("{}: expected an absolute path without . and .., or @name", quoted(path)))),
    }
}
