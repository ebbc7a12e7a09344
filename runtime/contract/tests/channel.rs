//! The transport: sizes, descriptors and ends of a connection.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::os::fd::{AsFd, OwnedFd};

use lxhost_contract::{Channel, ChannelError, MAX_DESCRIPTORS, MAX_MESSAGE};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

fn pair() -> (Channel, Channel) {
    let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    (Channel::new(a), Channel::new(b))
}

fn null() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

#[test]
fn descriptors_arrive_with_their_message_and_close_on_exec() {
    let (ours, theirs) = pair();
    let (read, write) = std::io::pipe().unwrap();
    ours.send(b"first", &[read.as_fd()]).unwrap();
    ours.send(b"second", &[]).unwrap();
    let first = theirs.receive().unwrap();
    assert_eq!((first.bytes.as_slice(), first.descriptors.len()), (b"first".as_slice(), 1));
    assert!(rustix::io::fcntl_getfd(&first.descriptors[0]).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    assert_eq!(theirs.receive().unwrap().descriptors.len(), 0);
    rustix::io::write(&write, b"x").unwrap();
    let mut byte = [0];
    rustix::io::read(&first.descriptors[0], &mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn too_many_descriptors_are_refused_by_both_sides() {
    let (ours, theirs) = pair();
    let many: Vec<OwnedFd> = (0..=MAX_DESCRIPTORS).map(|_| null()).collect();
    let borrowed: Vec<_> = many.iter().map(AsFd::as_fd).collect();
    assert!(matches!(ours.send(b"x", &borrowed), Err(ChannelError::TooManyDescriptors)));
    // A sender that does not keep to it.
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS + 1))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&borrowed)));
    let flags = rustix::net::SendFlags::empty();
    rustix::net::sendmsg(ours.as_fd(), &[std::io::IoSlice::new(b"x")], &mut control, flags).unwrap();
    assert!(matches!(theirs.receive(), Err(ChannelError::TooManyDescriptors)));
    ours.send(b"next", &[]).unwrap();
    assert_eq!(theirs.receive().unwrap().bytes, b"next");
}

#[test]
fn a_message_over_the_limit_is_not_sent() {
    let (ours, _theirs) = pair();
    assert!(matches!(ours.send(&vec![0; MAX_MESSAGE + 1], &[]), Err(ChannelError::Wire(_))));
}

#[test]
fn a_large_message_arrives_whole() {
    let (ours, theirs) = pair();
    let large = vec![7; 100_000];
    ours.send(&large, &[]).unwrap();
    assert_eq!(theirs.receive().unwrap().bytes, large);
}

#[test]
fn the_end_of_the_other_side_is_said() {
    let (ours, theirs) = pair();
    drop(theirs);
    assert!(matches!(ours.receive(), Err(ChannelError::Closed)));
    assert!(matches!(ours.send(b"x", &[]), Err(ChannelError::Closed)));
}

#[test]
fn a_reader_that_does_not_read_blocks_nobody() {
    let (ours, _theirs) = pair();
    let sent = (0..100_000).take_while(|_| ours.send(&[0; 1000], &[]).is_ok()).count();
    assert!(sent < 100_000);
    assert!(matches!(ours.send(&[0; 1000], &[]), Err(ChannelError::WouldBlock)));
}
