//! Gives a lease back on behalf of an instance that is gone: a DHCPRELEASE (RFC 2131) or a Release (RFC 8415, 18.2.7)
//! from this host to its own dnsmasq. Without it a name and an address stay taken for an hour.

use super::leases::{Line, identifier};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::UdpSocket;

const BOOTREQUEST: u8 = 1;
const ETHERNET: u8 = 1;
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const MESSAGE_TYPE: u8 = 53;
const RELEASE: u8 = 7;
const SERVER: u8 = 54;
const CLIENT: u8 = 61;
const END: u8 = 255;

/// All servers of a link; a release to one alone is refused.
const SERVERS6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const RELEASE6: u8 = 8;
const CLIENT6: u16 = 1;
const SERVER6: u16 = 2;
/// Addresses that one interface of a client has.
const ADDRESSES6: u16 = 3;
const ADDRESS6: u16 = 5;
const ELAPSED6: u16 = 8;

/// Who gave the leases of a network.
#[derive(Debug, Clone, Default)]
pub(crate) struct Server {
    /// Its address.
    pub(crate) ipv4: Option<Ipv4Addr>,
    /// Its identifier in DHCPv6.
    pub(crate) duid: Option<Vec<u8>>,
}

/// The message, or `None` for a lease that has no proper holder or is none of that server's.
pub(crate) fn message(server: &Server, line: &Line) -> Option<Vec<u8>> {
    match line.address {
        IpAddr::V4(address) => message4(server.ipv4?, address, line),
        IpAddr::V6(address) => message6(server.duid.as_deref()?, address, line),
    }
}

fn message4(server: Ipv4Addr, address: Ipv4Addr, line: &Line) -> Option<Vec<u8>> {
    let mac = line.holder.parse::<lxhost_netlink::Mac>().ok()?;
    let mut message = vec![BOOTREQUEST, ETHERNET, 6, 0];
    message.extend(*b"lxrl"); // transaction: nobody answers
    message.extend([0; 4]); // seconds, flags
    message.extend(address.octets()); // ciaddr
    message.extend([0; 12]); // yiaddr, siaddr, giaddr
    message.extend(mac.bytes());
    message.resize(236, 0); // rest of chaddr, sname, file
    message.extend(COOKIE);
    message.extend([MESSAGE_TYPE, 1, RELEASE, SERVER, 4]);
    message.extend(server.octets());
    if !line.client.is_empty() {
        let client = identifier(&line.client)?;
        message.extend([CLIENT, u8::try_from(client.len()).ok()?]);
        message.extend(client);
    }
    message.push(END);
    message.resize(message.len().max(300), 0);
    Some(message)
}

fn message6(server: &[u8], address: Ipv6Addr, line: &Line) -> Option<Vec<u8>> {
    let of_client: u32 = line.holder.parse().ok()?;
    // Times are the server's to say: none.
    let given = option6(ADDRESS6, &[&address.octets()[..], &[0; 8]].concat())?;
    let addresses = [&of_client.to_be_bytes()[..], &[0; 8], &given].concat();
    let mut message = vec![RELEASE6];
    message.extend(*b"lxr"); // transaction: nobody waits for the answer
    message.extend(option6(CLIENT6, &identifier(&line.client)?)?);
    message.extend(option6(SERVER6, server)?);
    message.extend(option6(ELAPSED6, &[0; 2])?);
    message.extend(option6(ADDRESSES6, &addresses)?);
    Some(message)
}

fn option6(code: u16, value: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(value.len()).ok()?;
    Some([&code.to_be_bytes()[..], &length.to_be_bytes(), value].concat())
}

/// Sends it; nobody waits for an answer.
pub(super) async fn send(interface: &str, server: &Server, line: &Line) -> io::Result<()> {
    let Some(message) = message(server, line) else { return Ok(()) };
    let (from, to): (IpAddr, SocketAddr) = match (line.address, server.ipv4) {
        (IpAddr::V6(_), _) => (Ipv6Addr::UNSPECIFIED.into(), (SERVERS6, 547).into()),
        (IpAddr::V4(_), Some(server)) => (Ipv4Addr::UNSPECIFIED.into(), (server, 67).into()),
        (IpAddr::V4(_), None) => return Ok(()),
    };
    let socket = UdpSocket::bind((from, 0)).await?;
    // The packet never leaves the host, yet arrives as if through the bridge, which dnsmasq insists on.
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.send_to(&message, to).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::leases::read;
    use super::*;

    fn released(text: &str) -> Option<Vec<u8>> {
        let server = Server { ipv4: Some([10, 1, 2, 1].into()), duid: Some(vec![0, 1, 7]) };
        message(&server, &read(text).remove(0))
    }

    #[test]
    fn a_release_names_the_lease_the_holder_and_the_server() {
        let message = released("1 00:16:3e:01:02:03 10.1.2.50 c1 01:ff\n").unwrap();
        assert_eq!(message.len(), 300);
        assert_eq!(message[12..16], [10, 1, 2, 50]);
        assert_eq!(message[28..34], [0, 0x16, 0x3e, 1, 2, 3]);
        assert_eq!(message[236..255], [0x63, 0x82, 0x53, 0x63, 53, 1, 7, 54, 4, 10, 1, 2, 1, 61, 2, 1, 0xff, 255, 0]);
        let message = released("1 77 fd42::1 c1 00:02:ab\n").unwrap();
        assert_eq!(message[..4], [8, b'l', b'x', b'r']);
        assert_eq!(message[4..24], [0, 1, 0, 3, 0, 2, 0xab, 0, 2, 0, 3, 0, 1, 7, 0, 8, 0, 2, 0, 0]);
        assert_eq!(message[24..40], [0, 3, 0, 40, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(message[40..48], [0, 5, 0, 24, 0xfd, 0x42, 0, 0]);
        assert_eq!((message.len(), message[59]), (68, 1));
    }

    #[test]
    fn what_is_no_lease_of_ours_is_not_released() {
        for text in [
            "1 00:16:3e:01:02:03 10.1.2.50 c1 zz\n",
            "1 06-x 10.1.2.50 c1 *\n",
            "1 77 fd42::1 c1 *\n",
            "1 T77 fd42::1 c1 00:01\n",
            "1 4294967296 fd42::1 c1 00:01\n",
        ] {
            assert_eq!(released(text), None, "{text}");
        }
        let line = read("1 77 fd42::1 c1 00:01\n").remove(0);
        assert_eq!(message(&Server::default(), &line), None, "its server is not known");
    }
}
