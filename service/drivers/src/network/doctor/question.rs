//! One question to a name server (RFC 1035), and whether anything comes back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::net::UdpSocket;

const PATIENCE: Duration = Duration::from_secs(1);
/// Number of the question; the socket is connected, so nobody else answers.
const NUMBER: [u8; 2] = [0x6c, 0x78];

/// Asks a server of ours which it is (`version.bind`, class CHAOS), which it answers by itself.
pub(super) async fn version(server: IpAddr) -> io::Result<()> {
    ask(server, b"\x07version\x04bind\x00\x00\x10\x00\x03").await
}

/// Asks any server for those of the root.
pub(super) async fn root(server: IpAddr) -> io::Result<()> {
    ask(server, b"\x00\x00\x02\x00\x01").await
}

async fn ask(server: IpAddr, question: &[u8]) -> io::Result<()> {
    let own: IpAddr = match server {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Recursion is desired; one question.
    let message = [&NUMBER[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], question].concat();
    let answered = async {
        let socket = UdpSocket::bind((own, 0)).await?;
        socket.connect((server, 53)).await?;
        socket.send(&message).await?;
        let mut answer = [0; 512];
        loop {
            let length = socket.recv(&mut answer).await?;
            if length >= 12 && answer[..2] == NUMBER && answer[2] & 0x80 != 0 {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
