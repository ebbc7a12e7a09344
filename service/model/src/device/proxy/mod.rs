//! Devices of type `proxy`: what is accepted on one side, the host or the instance, is connected to on the other.
//! Names are LXD's.
//!
//! Pure. What a host makes of them is the business of `drivers/device`.

mod endpoint;

pub use endpoint::{Endpoint, MOST_PORTS, Ports};

use crate::config::{nearest, parse_bool};
use crate::name::quoted;
use crate::{Error, Kind};
use std::collections::BTreeMap;
use std::net::IpAddr;

const KEYS: &[&str] =
    &["type", "listen", "connect", "bind", "uid", "gid", "mode", "security.uid", "security.gid", "nat", "proxy_protocol"];

/// A proxy, read from its keys.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Proxy {
    /// Where it listens.
    pub listen: Endpoint,
    /// What it connects to, on the other side.
    pub connect: Endpoint,
    /// Whether it listens inside the instance and connects on the host; else the other way round.
    pub inside: bool,
    /// User, group and mode of the socket file that it listens at.
    pub socket: (Option<u32>, Option<u32>, Option<u32>),
    /// User and group as which it connects.
    pub user: (Option<u32>, Option<u32>),
    /// Whether packets are given another destination instead.
    pub nat: bool,
    /// Whether it tells whom it connects to where the connection comes from (PROXY protocol).
    pub announces: bool,
}

fn bad(key: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::InvalidConfig, format!("{key}: {why}"))
}

impl Proxy {
    /// Reads the keys of a device.
    ///
    /// # Errors
    /// `InvalidConfig` for a key that a proxy does not have, a malformed value, or values that contradict each other;
    /// `Unsupported` for protocols that cannot be translated.
    pub fn read(keys: &BTreeMap<String, String>) -> Result<Self, Error> {
        if let Some(key) = keys.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let near = nearest(key, KEYS.iter().copied()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(Error::new(Kind::InvalidConfig, format!("a proxy has no key {}{near}", quoted(key))));
        }
        let set = |key: &str| keys.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        let endpoint = |key: &str| {
            let example = if key == "listen" { "tcp:0.0.0.0:8080" } else { "tcp:127.0.0.1:80" };
            let text = set(key).ok_or_else(|| bad(key, format_args!("it is missing; for example {key}={example}")))?;
            Endpoint::read(text).map_err(|error| error.context(key))
        };
        let switch = |key: &str| match set(key) {
            Some(value) => parse_bool(value).ok_or_else(|| bad(key, "expected true or false")),
            None => Ok(false),
        };
        let id = |key: &str| match set(key) {
            Some(value) => {
                let number = value.parse().ok().filter(|id| *id != u32::MAX && !value.starts_with('+'));
                number.map(Some).ok_or_else(|| bad(key, "expected the number of a user or group"))
            }
            None => Ok(None),
        };
        let inside = match set("bind") {
            None | Some("host") => false,
            Some("instance" | "guest" | "container") => true,
            Some(other) => return Err(bad("bind", format_args!("{}: expected host or instance", quoted(other)))),
        };
        let mode = match set("mode") {
            Some(text) => {
                let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && !text.starts_with('+'));
                Some(mode.ok_or_else(|| bad("mode", "expected rights such as 0660"))?)
            }
            None => None,
        };
        let proxy = Proxy {
            listen: endpoint("listen")?,
            connect: endpoint("connect")?,
            inside,
            socket: (id("uid")?, id("gid")?, mode),
            user: (id("security.uid")?, id("security.gid")?),
            nat: switch("nat")?,
            announces: switch("proxy_protocol")?,
        };
        proxy.agrees()?;
        Ok(proxy)
    }

    /// Whether the keys agree with each other.
    fn agrees(&self) -> Result<(), Error> {
        let (listen, connect) = (&self.listen, &self.connect);
        if matches!(listen, Endpoint::Udp(_)) && !matches!(connect, Endpoint::Udp(_)) {
            let what = format!("connect: what comes by udp can be passed on by udp only, not by {}", connect.protocol());
            return Err(Error::new(Kind::Unsupported, what));
        }
        if connect.count() > 1 && connect.count() != listen.count() {
            let what = format!("{} ports for the {} of listen; as many, or one", connect.count(), listen.count());
            return Err(bad("connect", what));
        }
        if !listen.is_file() && self.socket != (None, None, None) {
            return Err(bad("uid, gid, mode", "they are for a socket file that it listens at (listen=unix:/path)"));
        }
        if self.announces && (self.nat || !matches!(connect, Endpoint::Tcp(_))) {
            return Err(bad("proxy_protocol", "it can be spoken to a tcp server only, and without nat"));
        }
        if connect.address().is_some_and(|address| address.is_unspecified()) && !self.nat {
            return Err(bad("connect", "0.0.0.0 and [::] are nobody's address; 127.0.0.1 is the other side's own"));
        }
        if self.nat { self.can_be_nat() } else { Ok(()) }
    }

    fn can_be_nat(&self) -> Result<(), Error> {
        if self.inside {
            return Err(bad("nat", "it needs bind=host"));
        }
        if self.user != (None, None) {
            return Err(bad("security.uid, security.gid", "with nat there is no process that could be somebody"));
        }
        let (listen, connect) = match (&self.listen, &self.connect) {
            (Endpoint::Tcp(listen), Endpoint::Tcp(connect)) | (Endpoint::Udp(listen), Endpoint::Udp(connect)) => {
                (listen.address, connect.address)
            }
            (listen, connect) => {
                let what = format!("nat: {} cannot be made {}; tcp to tcp or udp to udp", listen.protocol(), connect.protocol());
                return Err(Error::new(Kind::Unsupported, what));
            }
        };
        if listen.is_ipv4() != connect.is_ipv4() {
            return Err(bad("nat", "listen and connect are of different families, IPv4 and IPv6"));
        }
        if listen.is_loopback() || connect.is_loopback() {
            return Err(bad("nat", "packets of a loopback address cannot be translated; leave nat out"));
        }
        Ok(())
    }

    /// Each place where it listens, with the place that it connects to.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let (listens, connects) = (self.listen.places(), self.connect.places());
        let to = |at: usize| connects.get(at).or(connects.first()).cloned().unwrap_or_default();
        listens.into_iter().enumerate().map(|(at, listen)| (listen, to(at))).collect()
    }

    /// What of it is on the host.
    pub fn on_host(&self) -> &Endpoint {
        if self.inside { &self.connect } else { &self.listen }
    }

    /// Whether it takes one of the places on the host that `other` takes; which.
    pub fn shared_place(&self, other: &Proxy) -> Option<String> {
        if self.inside || other.inside || self.listen.protocol() != other.listen.protocol() {
            return None;
        }
        let (Some((ours, at)), Some((theirs, there))) = (self.listen.ports(), other.listen.ports()) else {
            return (self.listen == other.listen).then(|| self.listen.places().into_iter().next().unwrap_or_default());
        };
        let wide = |address: IpAddr| address.is_unspecified();
        let meets = at == there || ((wide(at) || wide(there)) && at.is_ipv4() == there.is_ipv4());
        let port = ours.iter().find(|port| theirs.contains(port)).filter(|_| meets)?;
        Some(format!("{} port {port}", self.listen.protocol()))
    }
}

#[cfg(test)]
mod tests;
