//! The contract between lxhostd and one lxhost-runtime: messages, their encoding, their transport.
//!
//! One message is one datagram of a `SOCK_SEQPACKET` Unix socket: an eight-byte head and tagged fields
//! (`wire`), with file descriptors beside it (`channel`). Both programs depend on this crate and on nothing
//! of each other. A field's tag and a message's number are never used again for something else: the golden
//! files in `golden/` are what monitors already running on users' hosts speak.

mod channel;
mod exec;
mod field;
mod launch;
mod message;
mod record;
mod report;
mod wire;

pub use channel::{Channel, ChannelError, MAX_DESCRIPTORS, Received, receive, send};
pub use exec::{Exec, ExecAck, ExecResize, ExecSignal};
pub use field::{Bytes, Field, Value};
pub use launch::{IdRange, Launch, Mount, MountKind, Node, Overlay, Rlimit, Root};
pub use message::{
    ConsoleAttach, ConsoleDetach, ConsoleLog, ConsoleResize, DiskAttach, DiskDetach, Event, Freeze, Go, Hello, Kill, Message,
    Reply, Request, RouteSocket, ScopeReady, Signal, Thaw,
};
pub use report::{
    Addresses, ConsoleAttached, Done, End, ExecExited, ExecStarted, Exited, Failed, InterfaceAddress, LaunchFailed,
    PayloadCreated, Phase, Ready, Refusal, Refused, ScopeEntered, Session, Started, Stopping, Welcome,
};
pub use wire::{Head, MAX_MESSAGE, Record, WireError};

/// Major version of the contract. A daemon speaks every major version ever released; a monitor only its own.
pub const CONTRACT_MAJOR: u16 = 1;
/// Minor version: raised when a message or a field is added.
pub const CONTRACT_MINOR: u16 = 2;

/// Name of the monitor's listening socket in the instance's runtime directory.
pub const SOCKET_NAME: &str = "monitor.sock";
/// Name of the file that holds the encoded `Event::Exited` (and unacknowledged `Event::ExecExited`) messages of a
/// monitor that has ended, each behind its length as a 32-bit little-endian number.
pub const EXIT_NAME: &str = "exit";
/// Name of the file into which a monitor that ends writes the last 64 KiB of the console.
pub const CONSOLE_NAME: &str = "console.log";
