//! From the engine's wish to the monitor's orders: what every container gets beside its own configuration.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lxhost_contract::{Bytes, IdRange, Launch, Mount, MountKind, Node, Overlay, Rlimit, Root};
use lxhost_engine::ports::launcher::{DiskSource, DiskSpec, LaunchSpec, RootSpec};

use crate::verify::Expectation;

/// CAP_SYS_MODULE, SYS_RAWIO, SYS_TIME, MAC_OVERRIDE, MAC_ADMIN, SYSLOG, WAKE_ALARM, BLOCK_SUSPEND: nothing that works in
/// a user namespace, and with them in the bounding set a Debian guest tries, fails and ends `degraded`.
const DROPPED: [u32; 8] = [16, 17, 25, 32, 33, 34, 35, 36];

/// Devices of the host that are harmless in a container.
const NODES: [&str; 8] = ["null", "zero", "full", "random", "urandom", "tty", "fuse", "net/tun"];

/// What tells about the whole host or could be used against it (container interface of systemd; the list of moby).
const MASKED: [&str; 17] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/security",
];
const READ_ONLY: [&str; 3] = ["/proc/bus", "/proc/irq", "/proc/sysrq-trigger"];

const UNLIMITED: u64 = u64::MAX;
/// Resource limits of an init and of every command: number, soft, hard. Nothing is inherited from the daemon.
const LIMITS: [(u32, u64, u64); 16] = [
    (0, UNLIMITED, UNLIMITED),
    (1, UNLIMITED, UNLIMITED),
    (2, UNLIMITED, UNLIMITED),
    (3, 8 << 20, UNLIMITED),
    (4, 0, UNLIMITED),
    (5, UNLIMITED, UNLIMITED),
    (6, UNLIMITED, UNLIMITED),
    (7, 1024, 524_288),
    (8, 8 << 20, 8 << 20),
    (9, UNLIMITED, UNLIMITED),
    (10, UNLIMITED, UNLIMITED),
    (11, 65_536, 65_536),
    (12, 819_200, 819_200),
    (13, 0, 0),
    (14, 0, 0),
    (15, UNLIMITED, UNLIMITED),
];

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Most of the host's os-release that is shown.
const OS_RELEASE_BYTES: usize = 4096;

/// The bounding set of every container.
pub(super) fn capabilities() -> u64 {
    let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap");
    let last = last.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(40u32).min(62);
    DROPPED.iter().fold((1u64 << (last + 1)) - 1, |kept, bit| kept & !(1 << bit))
}

/// What must be found in /proc afterwards.
pub(super) fn expectation(spec: &LaunchSpec) -> Expectation {
    Expectation { ids: vec![(0, spec.ids.base, spec.ids.size)], seccomp: true, capabilities: capabilities() }
}

/// The launch message.
pub(super) fn launch_message(spec: &LaunchSpec, runtime_dir: &Path, seccomp: &[u8]) -> Launch {
    let ids = vec![IdRange { inside: 0, outside: spec.ids.base, count: spec.ids.size }];
    // A program that is named is a plain one; an init system wants no controlling terminal (its gettys do).
    let is_plain = !spec.init.is_empty();
    let mut env: Vec<OsString> = vec![PATH.into(), "container=lxhost".into(), "TERM=xterm-256color".into()];
    env.extend(spec.environment.iter().map(|(name, value)| format!("{name}={value}").into()));
    Launch {
        id: spec.id.to_string(),
        name: spec.machine.clone(),
        hostname: spec.hostname.clone(),
        uuid: spec.id.uuid(),
        uids: ids.clone(),
        gids: ids,
        root: root(&spec.root),
        mounts: spec.mounts.iter().map(mount).collect(),
        nodes: NODES.map(node).to_vec(),
        argv: spec.init.iter().map(OsString::from).collect(),
        env,
        stop_signal: 0,
        seccomp: Bytes(seccomp.to_vec()),
        capabilities: capabilities(),
        rlimits: LIMITS.map(|(resource, soft, hard)| Rlimit { resource, soft, hard }).to_vec(),
        read_only: READ_ONLY.map(PathBuf::from).to_vec(),
        masked: MASKED.map(PathBuf::from).to_vec(),
        rows: 24,
        columns: 80,
        runtime_dir: runtime_dir.to_owned(),
        nesting: spec.nesting,
        controlling_tty: is_plain,
        run_size: 0,
        oom_score: 0,
        os_release: Bytes(os_release()),
        disks: spec.disks.iter().map(disk).collect(),
    }
}

/// A disk in the words of the contract.
pub(super) fn disk(disk: &DiskSpec) -> Mount {
    let usual = Mount { target: PathBuf::from(&disk.target), read_only: disk.read_only, suid: true, ..Mount::default() };
    match &disk.source {
        DiskSource::Tree(path) => Mount { source: path.clone(), idmapped: true, ..usual },
        DiskSource::Host(host) => Mount {
            source: PathBuf::from(&host.path),
            idmapped: host.mapped,
            recursive: host.recursive,
            optional: !host.required,
            no_links: true,
            follows: host.follows,
            ..usual
        },
        DiskSource::Memory(size) => Mount { kind: MountKind::Tmpfs, size: size.unwrap_or(0), mode: 0o1777, ..usual },
    }
}

fn root(root: &RootSpec) -> Root {
    match root {
        RootSpec::Overlay { lowers, dir } => Root::Overlay(Overlay { lowers: lowers.clone(), dir: dir.clone() }),
        RootSpec::Tree { path } => Root::Tree(path.clone()),
    }
}

fn mount(mount: &lxhost_engine::ports::MountSpec) -> Mount {
    Mount {
        source: mount.source.clone(),
        target: PathBuf::from(&mount.target),
        read_only: mount.read_only,
        idmapped: true,
        suid: true,
        ..Mount::default()
    }
}

fn node(name: &str) -> Node {
    let path = Path::new("/dev").join(name);
    Node { source: path.clone(), target: path, optional: true }
}

fn os_release() -> Vec<u8> {
    let read = std::fs::read("/etc/os-release").or_else(|_| std::fs::read("/usr/lib/os-release"));
    let mut bytes = read.unwrap_or_default();
    bytes.truncate(OS_RELEASE_BYTES);
    bytes
}
