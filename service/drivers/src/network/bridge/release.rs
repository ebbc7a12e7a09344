//! Gives a lease back on behalf of an instance that is gone: a DHCPRELEASE (RFC 2131) from this
//! host to its own dnsmasq. Without it a name and an address stay taken for an hour.

use super::leases::Line;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use tokio::net::UdpSocket;

const BOOTREQUEST: u8 = 1;
const ETHERNET: u8 = 1;
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const MESSAGE_TYPE: u8 = 53;
const RELEASE: u8 = 7;
const SERVER: u8 = 54;
const CLIENT: u8 = 61;
const END: u8 = 255;

/// The message, or `None` for a lease that is not IPv4 or has no proper holder.
pub(crate) fn message(server: Ipv4Addr, line: &Line) -> Option<Vec<u8>> {
    let IpAddr::V4(address) = line.address else { return None };
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
        let client: Option<Vec<u8>> = line.client.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect();
        let client = client.filter(|c| c.len() <= 255)?;
        message.extend([CLIENT, u8::try_from(client.len()).ok()?]);
        message.extend(client);
    }
    message.push(END);
    message.resize(message.len().max(300), 0);
    Some(message)
}

/// Sends it; there is no answer.
pub(super) async fn send(interface: &str, server: Ipv4Addr, line: &Line) -> io::Result<()> {
    let Some(message) = message(server, line) else { return Ok(()) };
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    // The packet never leaves the host, yet arrives as if through the bridge, which dnsmasq insists on.
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.send_to(&message, (server, 67)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(text: &str) -> Line {
        super::super::leases::read(text).remove(0)
    }

    #[test]
    fn a_release_names_the_lease_the_holder_and_the_server() {
        let line = lease("1 00:16:3e:01:02:03 10.1.2.50 c1 01:ff\n");
        let message = message([10, 1, 2, 1].into(), &line).unwrap();
        assert_eq!(message.len(), 300);
        assert_eq!(message[12..16], [10, 1, 2, 50]);
        assert_eq!(message[28..34], [0, 0x16, 0x3e, 1, 2, 3]);
        assert_eq!(message[236..255], [0x63, 0x82, 0x53, 0x63, 53, 1, 7, 54, 4, 10, 1, 2, 1, 61, 2, 1, 0xff, 255, 0]);
    }

    #[test]
    fn what_is_no_lease_of_ours_is_not_released() {
        for text in ["1 00:16:3e:01:02:03 10.1.2.50 c1 zz\n", "1 06-x 10.1.2.50 c1 *\n", "1 77 fd42::1 c1 00:01\n"] {
            assert_eq!(message([10, 1, 2, 1].into(), &lease(text)), None, "{text}");
        }
    }
}
