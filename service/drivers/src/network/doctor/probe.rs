//! A guest for a second: a pair of links whose far end is in a network namespace of a thread of its own, which asks for
//! an address as a DHCP client would (RFC 2131) and takes none. The namespace ends with the thread, and the pair with
//! it. Uses netlink for the pair; sockets are opened inside.

use crate::network::from_netlink;
use lxhost_model::{Error, Result};
use lxhost_netlink::{Handle, Mac, Veth};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Questions, and how long each waits for an answer.
const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(1);
/// Name of the far end.
const INSIDE: &str = "probe0";
/// `ETH_P_IP`.
const IP: u16 = 0x0800;
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;

/// What a server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    /// Address it offers.
    pub(super) address: Ipv4Addr,
    /// Who it is.
    pub(super) server: Option<Ipv4Addr>,
}

/// A probe on a bridge.
pub(super) struct Probe {
    /// Name of the near end, a port of the bridge.
    pub(super) port: String,
    mac: Mac,
    number: [u8; 4],
}

impl Probe {
    /// One with a hardware address of chance.
    pub(super) fn new() -> Result<Self> {
        let mut chance = [0; 9];
        rustix::rand::getrandom(&mut chance, rustix::rand::GetRandomFlags::empty())
            .map_err(|e| Error::io("ask for chance", &e.into()))?;
        let [a, b, c, d, e, number @ ..] = chance;
        let mac = Mac::new([2, a, b, c, d, e]).map_err(from_netlink)?;
        Ok(Probe { port: format!("lxprobe{a:02x}{b:02x}{c:02x}"), mac, number })
    }

    /// Asks through the bridge; `None` when nobody answers.
    pub(super) async fn ask(&self, links: &Handle, bridge: &str) -> Result<Option<Offer>> {
        let (ready, inside) = oneshot::channel();
        let (made, pair) = std::sync::mpsc::channel::<()>();
        let (answer, answered) = oneshot::channel();
        let (mac, number) = (self.mac, self.number);
        let guest = move || {
            let asked = || -> io::Result<Option<Offer>> {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
                let thread = rustix::thread::gettid().as_raw_nonzero().get();
                let _ = ready.send(u32::try_from(thread).unwrap_or_default());
                match pair.recv() {
                    Ok(()) => converse(mac, number),
                    // The pair could not be made.
                    Err(_) => Ok(None),
                }
            };
            let _ = answer.send(asked());
        };
        std::thread::Builder::new().name("dhcp-probe".into()).spawn(guest).map_err(|e| Error::io("start a thread", &e))?;
        if let Ok(pid) = inside.await {
            let parse = |name: &str| name.parse().map_err(from_netlink);
            let veth = Veth {
                pid,
                host_name: parse(&self.port)?,
                bridge: Some(parse(bridge)?),
                guest_name: parse(INSIDE)?,
                mac,
                mtu: None,
            };
            links.create_veth(&veth).await.map_err(from_netlink)?;
            let _ = made.send(());
        }
        let asked = answered.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()));
        asked.map_err(|e| Error::io(format!("ask for an address through {bridge}"), &e))
    }
}

/// Inside: asks, and reads answers.
fn converse(mac: Mac, number: [u8; 4]) -> io::Result<Option<Offer>> {
    // No address is there to receive by, so every packet is read.
    let protocol = NonZero::new(u32::from(IP.to_be())).map(Protocol::from_raw);
    let packets = socket_with(AddressFamily::PACKET, SocketType::DGRAM, SocketFlags::CLOEXEC, protocol)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 68))?;
    socket.set_broadcast(true)?;
    setsockopt(&socket, sockopt::BindToDevice, &INSIDE.into())?;
    for _ in 0..TRIES {
        socket.send_to(&question(mac, number), (Ipv4Addr::BROADCAST, 67))?;
        if let Some(offer) = listen(&packets, number, Instant::now() + PATIENCE)? {
            return Ok(Some(offer));
        }
    }
    Ok(None)
}

fn listen(packets: &OwnedFd, number: [u8; 4], end: Instant) -> io::Result<Option<Offer>> {
    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    let mut packet = [0; 2048];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        set_socket_timeout(packets, Timeout::Recv, Some(left.max(Duration::from_millis(1))))?;
        match recv(packets, packet.as_mut_slice(), RecvFlags::empty()) {
            Ok((_, length)) => {
                if let Some(offer) = offer(&packet[..length], number) {
                    return Ok(Some(offer));
                }
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A DHCPDISCOVER that wants its answer to everybody.
fn question(mac: Mac, number: [u8; 4]) -> Vec<u8> {
    let mut message = vec![1, 1, 6, 0];
    message.extend(number);
    message.extend([0, 0, 0x80, 0]); // seconds, broadcast
    message.extend([0; 16]); // addresses
    message.extend(mac.bytes());
    message.resize(236, 0); // rest of chaddr, sname, file
    message.extend(COOKIE);
    message.extend([53, 1, DISCOVER, 55, 2, 1, 3, 255]);
    message.resize(300, 0);
    message
}

/// The offer in an IPv4 packet, if it is one and for us.
fn offer(packet: &[u8], number: [u8; 4]) -> Option<Offer> {
    let header = usize::from(packet.first()? & 15) * 4;
    let udp = packet.get(header..).filter(|_| packet.get(9) == Some(&17))?;
    let message = udp.get(8..).filter(|_| udp[..2] == [0, 67])?;
    if message.first() != Some(&2) || message.get(4..8)? != number || message.get(236..240)? != COOKIE {
        return None;
    }
    let address = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from);
    let offered = address(message.get(16..20)?)?;
    let (mut options, mut kind, mut server) = (message.get(240..)?, None, None);
    while let [option, rest @ ..] = options {
        match option {
            0 => options = rest,
            255 => break,
            option => {
                let length = usize::from(*rest.first()?);
                let value = rest.get(1..=length)?;
                match option {
                    53 => kind = value.first().copied(),
                    54 => server = address(value),
                    _ => {}
                }
                options = rest.get(1 + length..)?;
            }
        }
    }
    (kind == Some(OFFER)).then_some(Offer { address: offered, server })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: u8, number: [u8; 4]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 2, 1, 255, 255, 255, 255];
        packet.extend([0, 67, 0, 68, 0, 0, 0, 0]);
        let mut message = question("02:00:00:00:00:07".parse().unwrap(), number);
        message[0] = 2;
        message[16..20].copy_from_slice(&[10, 1, 2, 9]);
        message.truncate(240);
        message.extend([0, 53, 1, kind, 54, 4, 10, 1, 2, 1, 255]);
        packet.extend(message);
        packet
    }

    #[test]
    fn an_offer_for_us_is_read_and_nothing_else() {
        let number = [1, 2, 3, 4];
        let expected = Offer { address: [10, 1, 2, 9].into(), server: Some([10, 1, 2, 1].into()) };
        assert_eq!(offer(&answer(OFFER, number), number), Some(expected));
        assert_eq!(offer(&answer(6, number), number), None, "a refusal");
        assert_eq!(offer(&answer(OFFER, number), [0; 4]), None, "somebody else's");
        let whole = answer(OFFER, number);
        // As far as its kind, the last option that has to be there.
        for length in 0..272 {
            assert_eq!(offer(&whole[..length], number), None, "{length} bytes");
        }
        assert_eq!(offer(&[0xff; 300], number), None);
    }
}
