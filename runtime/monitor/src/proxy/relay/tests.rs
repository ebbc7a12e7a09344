//! What goes in at a door comes out at the other side: on this machine, without namespaces.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use super::*;
use crate::proxy::listen;

/// A relay that runs as long as the test's process, and the address of its door.
fn relay(from: &str, to: &str, announces: bool) -> Option<SocketAddr> {
    let (from, to) = (Place::read(from).unwrap(), Place::read(to).unwrap());
    let socket = listen::open(&from, (0, 0, 0o600)).unwrap();
    let address = getsockname(&socket).ok().and_then(|address| SocketAddr::try_from(address).ok());
    let relay = Relay::new(vec![Door::new(socket, &from, to)], announces).unwrap();
    thread::spawn(move || relay.run());
    address
}

fn connect_to(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Serves one connection: everything that comes goes back, when all has come.
fn echo(mut stream: impl Read + Write) -> usize {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    stream.write_all(&all).unwrap();
    all.len()
}

#[test]
fn a_megabyte_goes_and_comes_back_and_ends_are_passed_on() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = relay("tcp:127.0.0.1:0", &format!("tcp:{}", server.local_addr().unwrap()), false).unwrap();
    let served = thread::spawn(move || echo(server.accept().unwrap().0));
    let mut client = connect_to(door);
    let sent: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect();
    client.write_all(&sent).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    assert!(back == sent, "{} bytes came back", back.len());
    assert_eq!(served.join().unwrap(), sent.len());
}

#[test]
fn a_client_of_nobody_sees_its_connection_end() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let door = relay("tcp:127.0.0.1:0", &format!("tcp:{nobody}"), false).unwrap();
    let mut client = connect_to(door);
    let ended = client.read(&mut [0; 1]);
    assert!(matches!(ended, Ok(0)) || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
}

#[test]
fn the_server_is_told_who_comes() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = relay("tcp:127.0.0.1:0", &format!("tcp:{}", server.local_addr().unwrap()), true).unwrap();
    let mut client = connect_to(door);
    let own = client.local_addr().unwrap();
    client.write_all(b"hello").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = String::new();
    server.accept().unwrap().0.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\nhello", own.port(), door.port()));
}

#[test]
fn datagrams_find_their_way_back_to_each_client() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let door = relay("udp:127.0.0.1:0", &format!("udp:{}", server.local_addr().unwrap()), false).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((size, from)) = server.recv_from(&mut buffer) {
            buffer[..size].reverse();
            server.send_to(&buffer[..size], from).unwrap();
        }
    });
    let clients = [b"abc", b"xyz"].map(|word| {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.send_to(word, door).unwrap();
        client
    });
    for (client, wanted) in clients.iter().zip([b"cba", b"zyx"]) {
        let mut buffer = [0; 64];
        let (size, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..size], from), (&wanted[..], door));
    }
}

#[test]
fn what_comes_in_a_stream_can_go_on_in_datagrams() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let door = relay("tcp:127.0.0.1:0", &format!("udp:{}", server.local_addr().unwrap()), false).unwrap();
    let mut client = connect_to(door);
    client.write_all(b"ping").unwrap();
    let mut buffer = [0; 64];
    let (size, from) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..size], b"ping");
    server.send_to(b"pong", from).unwrap();
    client.read_exact(&mut buffer[..4]).unwrap();
    assert_eq!(&buffer[..4], b"pong");
}

#[test]
fn descriptors_go_from_one_socket_file_to_the_other() {
    let name = format!("lxhost-test-{}", std::process::id());
    let dir = std::env::temp_dir().join(&name);
    std::fs::create_dir(&dir).unwrap();
    let server = UnixListener::bind(dir.join("server")).unwrap();
    relay(&format!("unix:@{name}"), &format!("unix:{}", dir.join("server").display()), false);
    let client = make(AddressFamily::UNIX, SocketType::STREAM).unwrap();
    connect(&client, &SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap()).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let client = lxhost_contract::Channel::new(client);
    client.send(b"take this", &[std::os::fd::AsFd::as_fd(&theirs)]).unwrap();
    let (stream, _) = server.accept().unwrap();
    let received = lxhost_contract::Channel::new(stream.into()).receive().unwrap();
    let mut taken = UnixStream::from(received.descriptors.into_iter().next().unwrap());
    taken.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    ours.read_exact(&mut heard).unwrap();
    assert_eq!((&heard, received.bytes.first()), (b"hello", Some(&b't')));
    std::fs::remove_dir_all(&dir).unwrap();
}
