//! The line of the PROXY protocol, version 1, which says where a connection comes from.

use std::net::{IpAddr, SocketAddr};

/// What is said before anything else; `ends` are the client's and our own.
pub(super) fn line(ends: Option<(SocketAddr, SocketAddr)>) -> String {
    let Some((client, own)) = ends else { return "PROXY UNKNOWN\r\n".to_owned() };
    // A socket for both families shows IPv4 as a part of IPv6.
    let (from, to) = (client.ip().to_canonical(), own.ip().to_canonical());
    let family = match (from, to) {
        (IpAddr::V4(_), IpAddr::V4(_)) => "TCP4",
        _ => "TCP6",
    };
    format!("PROXY {family} {from} {to} {} {}\r\n", client.port(), own.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_named_in_their_own_family() {
        let said = |client: &str, own: &str| line(Some((client.parse().unwrap(), own.parse().unwrap())));
        assert_eq!(said("192.0.2.7:4000", "192.0.2.1:80"), "PROXY TCP4 192.0.2.7 192.0.2.1 4000 80\r\n");
        assert_eq!(said("[::ffff:192.0.2.7]:4000", "[::ffff:192.0.2.1]:80"), "PROXY TCP4 192.0.2.7 192.0.2.1 4000 80\r\n");
        assert_eq!(said("[2001:db8::7]:1", "[2001:db8::1]:2"), "PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n");
        assert_eq!(line(None), "PROXY UNKNOWN\r\n");
    }
}
