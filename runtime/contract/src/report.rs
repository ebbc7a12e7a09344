//! What a monitor says: replies and events.

use std::path::PathBuf;

use crate::field::Bytes;
use crate::record::{record, words};

words! {
    /// How far a monitor is.
    pub enum Phase {
        /// Before `Go`: the payload does not run yet.
        Launching = 0,
        /// The init runs.
        Running = 1,
        /// The init said that it is going down.
        Stopping = 2,
        /// The init has ended.
        Exited = 3,
    }
}

words! {
    /// How a container's init ended.
    pub enum End {
        /// By an exit status of its own.
        Exit = 0,
        /// By reboot(2): halt or power off.
        PowerOff = 1,
        /// By reboot(2): restart.
        Reboot = 2,
        /// By a signal.
        Signal = 3,
    }
}

words! {
    /// Why a request was refused.
    pub enum Refusal {
        /// The kernel refused; the number is in `errno`.
        Failed = 0,
        /// This monitor does not know the request.
        Unsupported = 1,
        /// The request makes no sense: a missing descriptor, an empty command.
        Invalid = 2,
        /// The payload is not running (yet, or any more).
        NotRunning = 3,
        /// The payload is frozen.
        Frozen = 4,
        /// No such user in the container.
        NoSuchUser = 5,
        /// No such group in the container.
        NoSuchGroup = 6,
        /// The command is not there (a shell would say 127).
        CommandNotFound = 7,
        /// The command is there and cannot be run (a shell would say 126).
        PermissionDenied = 8,
        /// The working directory is not there.
        NoSuchDirectory = 9,
        /// No session or attachment with this id.
        NoSuchSession = 10,
        /// A session with this id exists.
        Duplicate = 11,
        /// Too many sessions, attachments or connections.
        TooMany = 12,
    }
}

record! {
    /// The answer to `Hello`, with a pidfd of the payload beside it when there is one.
    pub struct Welcome {
        /// Major version of the contract that this monitor speaks.
        1 => major: u16,
        /// Minor version.
        2 => minor: u16,
        /// Version of the program.
        3 => program: String,
        /// Id of the instance.
        4 => id: String,
        /// Name it was launched under.
        5 => name: String,
        /// How far it is.
        6 => phase: Phase,
        /// Process id of the init, as the monitor sees it; 0 before it exists.
        7 => payload_pid: u32,
        /// Process id of the monitor.
        8 => monitor_pid: u32,
        /// The init has said READY=1.
        9 => ready: bool,
        /// The payload is frozen.
        10 => frozen: bool,
        /// Sessions that run or whose end was not acknowledged.
        11 => sessions: Vec<Session>,
        /// When the init was let go, in microseconds of CLOCK_BOOTTIME; 0 before.
        12 => started_usec: u64,
        /// Path of the scope's cgroup below `/sys/fs/cgroup`, as it was told.
        13 => cgroup: PathBuf,
        /// Addresses inside, as in `Addresses`.
        14 => addresses: Vec<InterfaceAddress>,
    }
}

record! {
    /// One exec session in a `Welcome`.
    pub struct Session {
        /// Its id.
        1 => id: u64,
        /// Process id as the monitor sees it; 0 while it starts.
        2 => pid: u32,
        /// Set when it has ended.
        3 => exited: Option<ExecExited>,
    }
}

record! {
    /// A request was carried out.
    pub struct Done {}
}

record! {
    /// A request was not carried out; nothing has changed.
    pub struct Refused {
        /// Why.
        1 => reason: Refusal,
        /// Number of the error, where the kernel gave one.
        2 => errno: i32,
        /// The thing it is about: a command, a user, a step.
        3 => subject: String,
    }
}

record! {
    /// A session runs; the master of its terminal is beside it when one was asked for.
    pub struct ExecStarted {
        /// The session.
        1 => id: u64,
        /// Process id as the monitor sees it.
        2 => pid: u32,
        /// Number of its terminal: `/dev/pts/N` inside.
        3 => terminal: Option<u32>,
    }
}

record! {
    /// A stream is attached to the console.
    pub struct ConsoleAttached {
        /// Number of the attachment.
        1 => id: u32,
    }
}

record! {
    /// The monitor has continued inside the scope under another process id.
    pub struct ScopeEntered {
        /// Process id of the monitor from now on.
        1 => monitor_pid: u32,
    }
}

record! {
    /// The payload exists with its namespaces and waits for `Go`; its pidfd is beside it.
    pub struct PayloadCreated {
        /// Process id as the monitor sees it.
        1 => pid: u32,
    }
}

record! {
    /// The init runs; its pidfd is beside it.
    pub struct Started {
        /// Process id as the monitor sees it.
        1 => pid: u32,
    }
}

record! {
    /// The launch failed; everything was undone and the monitor ends.
    pub struct LaunchFailed {
        /// What was being done: `root`, `cgroup`, `mount /proc`, `exec /sbin/init`.
        1 => step: String,
        /// Number of the error; 0 when the kernel was not involved.
        2 => errno: i32,
    }
}

record! {
    /// A failure that ends nothing, for the journal.
    pub struct Failed {
        /// What was being done.
        1 => step: String,
        /// Number of the error.
        2 => errno: i32,
    }
}

record! {
    /// Addresses inside have changed: all of them, loopback and tentative ones left out.
    pub struct Addresses {
        /// One row per address.
        1 => list: Vec<InterfaceAddress>,
    }
}

record! {
    /// An address of an interface.
    pub struct InterfaceAddress {
        /// Name of the interface.
        1 => interface: String,
        /// Four or sixteen bytes in network order.
        2 => address: Bytes,
        /// Length of the prefix.
        3 => prefix: u16,
    }
}

record! {
    /// The init has said READY=1.
    pub struct Ready {}
}

record! {
    /// The init has said that it goes down.
    pub struct Stopping {
        /// `poweroff`, `halt`, `reboot`, or empty.
        1 => how: String,
    }
}

record! {
    /// A session has ended; repeated to whoever says `Hello` until it is acknowledged.
    pub struct ExecExited {
        /// The session.
        1 => id: u64,
        /// Exit status, when `signal` is 0.
        2 => code: i32,
        /// Signal that ended it, or 0.
        3 => signal: u32,
        /// The signal left a core dump.
        4 => core: bool,
    }
}

record! {
    /// The init has ended and no process of the payload is left.
    pub struct Exited {
        /// How.
        1 => end: End,
        /// Exit status, for `End::Exit`.
        2 => code: i32,
        /// Signal, for `End::Signal`.
        3 => signal: u32,
    }
}
