//! Running containers: from a launch specification to a verified init, and what is done to it then.
//! On a real host: PID 1's scope, the monitor, netlink and machined, together in `host/launcher`.

use super::NicSpec;
use async_trait::async_trait;
use lxhost_model::device::HostPath;
use lxhost_model::instance::Exit;
use lxhost_model::{IdRange, ObjectId, Result};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// How the root filesystem is put together. All paths hold unshifted ids; they are idmapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootSpec {
    /// Read-only `lowers` (topmost first) under `dir/upper`, with `dir/work`.
    Overlay {
        /// Unpacked images.
        lowers: Vec<PathBuf>,
        /// Directory that holds `upper` and `work`.
        dir: PathBuf,
    },
    /// One tree of the instance's own.
    Tree {
        /// Its directory.
        path: PathBuf,
    },
}

/// A directory of the host that the container sees (idmapped).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// Directory on the host.
    pub source: PathBuf,
    /// Absolute path inside; made if missing.
    pub target: String,
    /// Whether the container may only read it (locked).
    pub read_only: bool,
}

/// A disk of a container: mounted after everything else, and to be taken away while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSpec {
    /// What is on it.
    pub source: DiskSource,
    /// Absolute path inside; made if missing.
    pub target: String,
    /// Whether the container may only read it (locked).
    pub read_only: bool,
}

/// What is on a disk. What lies on the host is idmapped, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskSource {
    /// A directory of ours.
    Tree(PathBuf),
    /// A path of the host: opened through no symbolic link, and no device.
    Host(HostPath),
    /// Memory: bytes; `None`: as much as the kernel gives.
    Memory(Option<u64>),
}

/// Limits of the scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// `MemoryMax=`, bytes.
    pub memory: Option<u64>,
    /// `TasksMax=`.
    pub processes: Option<u64>,
    /// `CPUQuotaPerSecUSec=`: microseconds of CPU per second.
    pub cpu_quota: Option<u64>,
}

/// Everything needed to start one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchSpec {
    /// The instance: container_uuid, machine id, runtime directory `/run/lxhost/instances/<id>`.
    pub id: ObjectId,
    /// Name towards machined and units; the scope is `lxhost-<machine>.scope`.
    pub machine: String,
    /// Host name inside.
    pub hostname: String,
    /// Host ids of the container.
    pub ids: IdRange,
    /// Root filesystem.
    pub root: RootSpec,
    /// Interfaces.
    pub nics: Vec<NicSpec>,
    /// Further directories.
    pub mounts: Vec<MountSpec>,
    /// Disks, those whose paths lead to others first.
    pub disks: Vec<DiskSpec>,
    /// Program and arguments of its first process; empty = the first of /sbin/init,
    /// /etc/init, /bin/init, /bin/sh that exists inside.
    pub init: Vec<String>,
    /// Environment of the first process beside what the container interface sets.
    pub environment: BTreeMap<String, String>,
    /// Limits.
    pub limits: Limits,
    /// Whether it may run containers itself: it gets a whole view of proc and sysfs to mount more of them.
    pub nesting: bool,
    /// Seconds an orderly stop may take when PID 1 of the host stops the scope.
    pub stop_timeout: u32,
}

/// A container that runs, as the launcher knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Process id of its init on the host.
    pub leader: u32,
    /// Whether its init has said READY.
    pub ready: bool,
    /// Whether it is frozen.
    pub frozen: bool,
    /// When it was started, microseconds since the epoch.
    pub since: u64,
    /// Addresses inside, by interface, as last reported.
    pub addresses: Vec<(String, IpAddr)>,
    /// Exec sessions that are still under way (after an adoption).
    pub sessions: Vec<u32>,
}

/// A command to run inside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exec {
    /// Session number, unique per daemon lifetime and state directory.
    pub session: u32,
    /// Program and arguments; looked up in the guest's PATH.
    pub argv: Vec<String>,
    /// Environment; `HOME`, `USER`, `PATH`, `TERM`, `LANG` get sensible values when unset.
    pub environment: BTreeMap<String, String>,
    /// Working directory; the user's home when `None`.
    pub cwd: Option<String>,
    /// User by name or number, looked up inside; root when `None`.
    pub user: Option<String>,
    /// Group by name or number, looked up inside; the user's when `None`.
    pub group: Option<String>,
    /// Rows and columns of a terminal, when one is wanted.
    pub pty: Option<(u16, u16)>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecResult {
    /// With this exit status.
    Exited(i32),
    /// By this signal; the flag says whether a core was dumped.
    Signaled(i32, bool),
    /// Its container ended, and nothing more is known.
    Lost,
}

/// Standard streams of a command without a terminal.
#[derive(Debug)]
pub struct Streams {
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// What the outside world tells the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LauncherEvent {
    /// The guest's init has finished booting (sd_notify READY=1).
    Ready(ObjectId),
    /// The guest has begun to shut down by itself.
    Stopping(ObjectId),
    /// Nothing of it runs any more; its scope, links and mounts are gone.
    Exited(ObjectId, Exit),
    /// PID 1 asks for an orderly stop (`systemctl stop`, `machinectl poweroff`, host shutdown).
    StopRequested(ObjectId),
    /// Addresses inside changed; the whole new list. Event-driven: the monitor keeps a route netlink socket
    /// that was opened in the container's network namespace and listens to RTMGRP_IPV4/IPV6_IFADDR.
    Addresses(ObjectId, Vec<(String, IpAddr)>),
    /// A command ended.
    ExecEnded(ObjectId, u32, ExecResult),
}

/// What to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The first process alone.
    Leader,
    /// Every process.
    All,
}

/// Live counters, from the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// CPU time used, nanoseconds.
    pub cpu: Option<u64>,
    /// Memory in use, bytes.
    pub memory: Option<u64>,
    /// Highest memory use, bytes.
    pub memory_peak: Option<u64>,
    /// Processes.
    pub processes: Option<u64>,
}

/// What a guest waits for that is done meanwhile.
pub type Ready = futures_util::future::BoxFuture<'static, Result<()>>;

/// Starts containers and handles them while they run.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Starts a container and returns when its init runs and its isolation was verified from /proc. The init is not
    /// let go before `ready` is. On failure nothing of it is left.
    ///
    /// # Errors
    /// `AlreadyExists` when a unit of that name is there and not ours; `Failed` naming the step.
    async fn launch(&self, spec: LaunchSpec, ready: Ready) -> Result<Running>;

    /// Finds a container that an earlier daemon started and takes it over; `None` when it does not
    /// run. If it ended in the meantime, its recorded exit comes as an `Exited` event.
    async fn adopt(&self, id: ObjectId, machine: &str) -> Result<Option<Running>>;

    /// Asks the init to shut down in the way it understands (systemd: SIGRTMIN+3 = 37; others:
    /// SIGPWR or SIGTERM), to the leader alone. Returns at once; `Exited` follows.
    async fn shut_down(&self, id: ObjectId) -> Result<()>;

    /// Sends a signal.
    async fn signal(&self, id: ObjectId, whom: Whom, signal: i32) -> Result<()>;

    /// Kills everything of it and returns when nothing is left (scope, links, mounts). Idempotent;
    /// also cleans up after a launch that a crash interrupted.
    async fn kill(&self, id: ObjectId, machine: &str) -> Result<()>;

    /// Removes what outlives a run: console log and recorded exit. For an instance that is being deleted. Idempotent.
    async fn forget(&self, id: ObjectId) -> Result<()>;

    /// Gives a running container an interface, or makes the one of that name be as `nic` says. Idempotent; on
    /// failure nothing of a new interface is left.
    ///
    /// # Errors
    /// `NotRunning`; `Conflict` when the name inside or of the host's end is somebody else's.
    async fn plug(&self, id: ObjectId, nic: &NicSpec) -> Result<()>;

    /// Takes the interface called `name` inside from a running container; a physical one is the host's again.
    /// Idempotent, also when the container does not run.
    async fn unplug(&self, id: ObjectId, name: &str) -> Result<()>;

    /// Gives a running container a disk; one that it has already is left. On failure nothing of it is left.
    ///
    /// # Errors
    /// `NotRunning`; `Unsupported` for a file system whose mounts cannot map ids.
    async fn attach(&self, id: ObjectId, disk: &DiskSpec) -> Result<()>;

    /// Takes the disk at `target` from a running container. Idempotent, also when the container does not run.
    ///
    /// # Errors
    /// `InUse`, naming what holds it.
    async fn detach(&self, id: ObjectId, target: &str) -> Result<()>;

    /// Freezes all its processes and waits until they are. Idempotent.
    async fn freeze(&self, id: ObjectId) -> Result<()>;

    /// Lets its processes run again. Idempotent.
    async fn thaw(&self, id: ObjectId) -> Result<()>;

    /// Runs a command with the caller's file descriptors. Returns its pid once it is running.
    ///
    /// # Errors
    /// `NotRunning`, `InvalidState` (frozen), `NoSuchCommand`, `NotExecutable`, `InvalidArgs` (no such user,
    /// group or directory; the message says which).
    async fn exec(&self, id: ObjectId, exec: Exec, streams: Streams) -> Result<u32>;

    /// Runs a command on a new terminal of the guest; returns pid, the terminal's master and its
    /// path inside.
    async fn exec_pty(&self, id: ObjectId, exec: Exec) -> Result<(u32, OwnedFd, String)>;

    /// Signals a command's process group (pty) or process.
    async fn exec_signal(&self, id: ObjectId, session: u32, signal: i32) -> Result<()>;

    /// Changes the size of a command's terminal.
    async fn exec_resize(&self, id: ObjectId, session: u32, rows: u16, columns: u16) -> Result<()>;

    /// A stream to the console: what is written goes in, what the guest prints comes out.
    async fn console(&self, id: ObjectId) -> Result<OwnedFd>;

    /// Gives the console the size of the terminal that looks at it.
    async fn console_resize(&self, id: ObjectId, rows: u16, columns: u16) -> Result<()>;

    /// The console's ring buffer, readable to its end.
    async fn console_log(&self, id: ObjectId) -> Result<OwnedFd>;

    /// Counters from the kernel.
    async fn counters(&self, id: ObjectId) -> Result<Counters>;

    /// Next thing that happened; one consumer only. `None` at shutdown.
    async fn next_event(&self) -> Option<LauncherEvent>;
}
