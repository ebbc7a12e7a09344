//! Requests about programs run in a container that runs.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::record::record;

record! {
    /// Runs a program. The descriptors beside it are its stdin, stdout and stderr; those missing are `/dev/null`.
    /// With `pty` there are none: the master of a new terminal comes back with the reply.
    pub struct Exec {
        /// Chosen by the daemon; new for every session of an instance's run.
        1 => id: u64,
        /// The program and its arguments; empty: the user's shell.
        2 => argv: Vec<OsString>,
        /// Its environment; `HOME`, `USER`, `LOGNAME` and `SHELL` are filled in from the container where missing.
        3 => env: Vec<OsString>,
        /// Working directory; empty: the user's home, else `/`.
        4 => cwd: PathBuf,
        /// Name or number of a user of the container; empty: root.
        5 => user: String,
        /// Name or number of a group; empty: the user's.
        6 => group: String,
        /// With a terminal of its own.
        7 => pty: bool,
        /// Rows of the terminal.
        8 => rows: u16,
        /// Columns of the terminal.
        9 => columns: u16,
        /// As a login shell: argv[0] with a dash before it.
        10 => login: bool,
    }
}

record! {
    /// Sends a signal to the leader of a session.
    pub struct ExecSignal {
        /// The session.
        1 => id: u64,
        /// Number of the signal as in the container's architecture.
        2 => signal: u32,
    }
}

record! {
    /// Tells a session's terminal its size.
    pub struct ExecResize {
        /// The session.
        1 => id: u64,
        /// Rows.
        2 => rows: u16,
        /// Columns.
        3 => columns: u16,
    }
}

record! {
    /// The end of a session has been seen: the monitor may forget it.
    pub struct ExecAck {
        /// The session.
        1 => id: u64,
    }
}
