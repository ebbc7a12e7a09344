//! What a monitor is told to launch.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::field::{Bytes, Value};
use crate::record::{record, words};
use crate::wire::{Record, WireError, put};

record! {
    /// Everything that makes a container, said once, as the first message.
    pub struct Launch {
        /// Immutable id of the instance.
        1 => id: String,
        /// Its name, for messages and for the `source` of its root in mountinfo.
        2 => name: String,
        /// Name for sethostname(2).
        3 => hostname: String,
        /// `container_uuid` as 36 characters; also the file `/run/host/container-uuid`.
        4 => uuid: String,
        /// User ids of the container; must contain 0.
        5 => uids: Vec<IdRange>,
        /// Group ids of the container; must contain 0.
        6 => gids: Vec<IdRange>,
        /// The root tree.
        7 => root: Root,
        /// Mounts below the root, in order.
        8 => mounts: Vec<Mount>,
        /// Device nodes of the host that appear below `/dev`.
        9 => nodes: Vec<Node>,
        /// The init and its arguments; empty: the first of /sbin/init, /etc/init, /bin/init, /bin/sh that there is.
        10 => argv: Vec<OsString>,
        /// Its whole environment, `NAME=value`; `NOTIFY_SOCKET` and `container_uuid` are added by the monitor.
        11 => env: Vec<OsString>,
        /// Signal that asks the init to stop; sent when the monitor itself is asked to end. 0: 37 (SIGRTMIN+3).
        12 => stop_signal: u32,
        /// Seccomp program as `struct sock_filter[]`; empty: none.
        13 => seccomp: Bytes,
        /// Capabilities that stay in the bounding set, bit n for capability n.
        14 => capabilities: u64,
        /// Resource limits of the init and of exec sessions.
        15 => rlimits: Vec<Rlimit>,
        /// Paths that become read-only.
        16 => read_only: Vec<PathBuf>,
        /// Paths that cannot be read or entered; those that do not exist are skipped.
        17 => masked: Vec<PathBuf>,
        /// Rows of the console; 0: 24.
        18 => rows: u16,
        /// Columns of the console; 0: 80.
        19 => columns: u16,
        /// `/run/lxhost/instances/<id>`: exists, belongs to root, mode 0700.
        20 => runtime_dir: PathBuf,
        /// Leaves unmasked instances of proc and sysfs below `/dev/.lxhost`, so that the container may mount its own.
        21 => nesting: bool,
        /// The console becomes the controlling terminal of the init: for plain programs, not for an init system.
        22 => controlling_tty: bool,
        /// Bytes for the tmpfs on `/run` (and `/dev/shm`); 0: the kernel's default.
        23 => run_size: u64,
        /// `oom_score_adj` of the init, -1000 to 1000.
        24 => oom_score: i32,
        /// Content of `/run/host/os-release`; empty: no file.
        25 => os_release: Bytes,
        /// Mounts that come last, in order, and that may be taken away while the container runs. Since 1.2.
        26 => disks: Vec<Mount>,
    }
}

record! {
    /// A run of ids.
    pub struct IdRange {
        /// First id in the container.
        1 => inside: u32,
        /// First id on the host.
        2 => outside: u32,
        /// How many.
        3 => count: u32,
    }
}

/// The tree that becomes `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// Unshifted layers joined by overlayfs.
    Overlay(Overlay),
    /// One unshifted tree, bound and idmapped.
    Tree(PathBuf),
}

impl Default for Root {
    fn default() -> Self {
        Self::Tree(PathBuf::new())
    }
}

impl Value for Root {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Overlay(overlay) => put(1, out, |out| overlay.encode(out)),
            Self::Tree(path) => put(2, out, |out| path.encode(out)),
        }
    }
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let record = Record::parse(bytes)?;
        if let Some(overlay) = record.all(1).next() {
            return Overlay::decode(overlay).map(Self::Overlay);
        }
        match record.all(2).next() {
            Some(path) => PathBuf::decode(path).map(Self::Tree),
            None => Err(WireError::Value { wanted: "a root", found: bytes.len() }),
        }
    }
}

record! {
    /// Layers of an overlay.
    pub struct Overlay {
        /// Read-only trees, the topmost first; shared by instances.
        1 => lowers: Vec<PathBuf>,
        /// Directory of the instance with `upper/` and `work/` in it.
        2 => dir: PathBuf,
    }
}

words! {
    /// Kind of a mount.
    pub enum MountKind {
        /// A file or directory of the host.
        Bind = 0,
        /// Memory.
        Tmpfs = 1,
    }
}

record! {
    /// A mount that exists before the init runs. The container cannot take it away, unless it is a disk.
    pub struct Mount {
        /// What is mounted.
        1 => kind: MountKind,
        /// Path on the host, for a bind.
        2 => source: PathBuf,
        /// Path in the container; its directories are made where they do not exist.
        3 => target: PathBuf,
        /// Cannot be written, and cannot be made writable from inside.
        4 => read_only: bool,
        /// Owned by the container's ids as it is by the host's: id n there is id n of the tree.
        5 => idmapped: bool,
        /// With everything mounted below the source.
        6 => recursive: bool,
        /// A source that does not exist is skipped.
        7 => optional: bool,
        /// No programs from here.
        8 => no_exec: bool,
        /// Setuid bits count (they do not else).
        9 => suid: bool,
        /// Bytes, for a tmpfs; 0: the kernel's default.
        10 => size: u64,
        /// Mode of the root of a tmpfs; 0: 0755.
        11 => mode: u32,
        /// The source is opened through no symbolic link, and is no device. Since 1.2, as what follows.
        12 => no_links: bool,
        /// What the host mounts below the source later appears here, too.
        13 => follows: bool,
    }
}

record! {
    /// A device node of the host that the container sees.
    pub struct Node {
        /// Path on the host.
        1 => source: PathBuf,
        /// Path in the container, below `/dev`.
        2 => target: PathBuf,
        /// A source that does not exist is skipped.
        3 => optional: bool,
    }
}

record! {
    /// One resource limit, numbers as in `<sys/resource.h>`; `u64::MAX` is no limit.
    pub struct Rlimit {
        /// Which: `RLIMIT_NOFILE` is 7.
        1 => resource: u32,
        /// Soft limit.
        2 => soft: u64,
        /// Hard limit.
        3 => hard: u64,
    }
}
