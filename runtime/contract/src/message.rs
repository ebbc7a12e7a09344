//! The three sets of messages: requests of the daemon, replies and events of the monitor.

use std::path::PathBuf;

use crate::exec::{Exec, ExecAck, ExecResize, ExecSignal};
use crate::launch::{Launch, Mount};
use crate::record::{messages, record};
use crate::report::{
    Addresses, ConsoleAttached, Done, ExecExited, ExecStarted, Exited, Failed, LaunchFailed, PayloadCreated, Ready, Refused,
    ScopeEntered, Started, Stopping, Welcome,
};
use crate::wire::{Head, WireError};

record! {
    /// Asks who is there; the answer is `Welcome`, with the ends of sessions that were not yet acknowledged.
    pub struct Hello {
        /// Major version of the contract that the daemon would like to speak.
        1 => major: u16,
        /// Minor version.
        2 => minor: u16,
    }
}

record! {
    /// PID 1 has put the monitor into its scope.
    pub struct ScopeReady {
        /// Absolute path of the scope's directory in cgroupfs.
        1 => cgroup: PathBuf,
    }
}

record! {
    /// The payload may run its init.
    pub struct Go {}
}

record! {
    /// Sends a signal to the init alone.
    pub struct Signal {
        /// Its number; real-time signals count as glibc does (SIGRTMIN is 34).
        1 => signal: u32,
    }
}

record! {
    /// Kills every process of the payload at once.
    pub struct Kill {}
}

record! {
    /// Stops the payload from running; answered when it has stopped.
    pub struct Freeze {}
}

record! {
    /// Lets the payload run again; answered when it does.
    pub struct Thaw {}
}

record! {
    /// Attaches a stream socket or pipe (the first descriptor beside it; a second one, if given, is the output).
    pub struct ConsoleAttach {
        /// First send what the ring buffer has.
        1 => replay: bool,
        /// Rows; 0: as it is.
        2 => rows: u16,
        /// Columns; 0: as it is.
        3 => columns: u16,
    }
}

record! {
    /// Takes an attachment away.
    pub struct ConsoleDetach {
        /// Its number.
        1 => id: u32,
    }
}

record! {
    /// Tells the console its size.
    pub struct ConsoleResize {
        /// Rows.
        1 => rows: u16,
        /// Columns.
        2 => columns: u16,
    }
}

record! {
    /// Writes what the ring buffer has into the descriptor beside it, and closes it.
    pub struct ConsoleLog {}
}

record! {
    /// Asks for a route socket (rtnetlink(7)) in the container's network namespace; it is beside the answer.
    pub struct RouteSocket {}
}

record! {
    /// Mounts a disk in the running container; done already when it has this very one.
    pub struct DiskAttach {
        /// The disk.
        1 => disk: Mount,
    }
}

record! {
    /// Takes a disk from the running container. One that is not there has been taken.
    pub struct DiskDetach {
        /// Its path in the container.
        1 => target: PathBuf,
    }
}

messages! {
    /// What the daemon asks.
    pub enum Request {
        /// Who is there?
        0x0101 => Hello,
        /// Make this container.
        0x0102 => Launch,
        /// The scope is there.
        0x0103 => ScopeReady,
        /// Let it run.
        0x0104 => Go,
        /// A signal for the init.
        0x0110 => Signal,
        /// SIGKILL for all.
        0x0111 => Kill,
        /// Stop running.
        0x0112 => Freeze,
        /// Run again.
        0x0113 => Thaw,
        /// A stream for the console.
        0x0120 => ConsoleAttach,
        /// No stream for the console any more.
        0x0121 => ConsoleDetach,
        /// Size of the console.
        0x0122 => ConsoleResize,
        /// What the console said.
        0x0123 => ConsoleLog,
        /// Run a program.
        0x0130 => Exec,
        /// A signal for a session.
        0x0131 => ExecSignal,
        /// Size of a session's terminal.
        0x0132 => ExecResize,
        /// A session's end was seen.
        0x0133 => ExecAck,
        /// A socket for the container's network. Since 1.1.
        0x0140 => RouteSocket,
        /// A disk comes. Since 1.2.
        0x0150 => DiskAttach,
        /// A disk goes. Since 1.2.
        0x0151 => DiskDetach,
    }
}

messages! {
    /// What the monitor answers.
    pub enum Reply {
        /// Who is there.
        0x0201 => Welcome,
        /// Done.
        0x0202 => Done,
        /// Refused.
        0x0203 => Refused,
        /// A session runs.
        0x0204 => ExecStarted,
        /// A stream is attached.
        0x0205 => ConsoleAttached,
    }
}

messages! {
    /// What the monitor says unasked.
    pub enum Event {
        /// The monitor is in its scope.
        0x0301 => ScopeEntered,
        /// The payload waits.
        0x0302 => PayloadCreated,
        /// The init runs.
        0x0303 => Started,
        /// The launch failed.
        0x0304 => LaunchFailed,
        /// The init is ready.
        0x0305 => Ready,
        /// The init goes down.
        0x0306 => Stopping,
        /// A session has ended.
        0x0307 => ExecExited,
        /// The init has ended.
        0x0308 => Exited,
        /// Something failed that ends nothing.
        0x0309 => Failed,
        /// Addresses have changed.
        0x030a => Addresses,
    }
}

/// Any message, with the serial of its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// From the daemon.
    Request(u32, Box<Request>),
    /// To the daemon, about one request.
    Reply(u32, Reply),
    /// To the daemon, about none.
    Event(Event),
}

impl Message {
    /// The message as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(serial, request) => request.to_bytes(*serial),
            Self::Reply(serial, reply) => reply.to_bytes(*serial),
            Self::Event(event) => event.to_bytes(0),
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Every kind of `WireError`; `Kind` for a number of a newer contract.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let (head, body) = Head::split(bytes)?;
        match head.kind >> 8 {
            1 => Ok(Self::Request(head.serial, Box::new(Request::from_body(head.kind, body)?))),
            2 => Ok(Self::Reply(head.serial, Reply::from_body(head.kind, body)?)),
            3 => Ok(Self::Event(Event::from_body(head.kind, body)?)),
            _ => Err(WireError::Kind { kind: head.kind }),
        }
    }
}
