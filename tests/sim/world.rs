//! A private message bus with the limits of the system bus, and a daemon on it. Both are killed and
//! their directory is removed when the test ends, however it ends.

use crate::client::Client;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::DirEntry;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Longest a program may take to be ready.
const START: Duration = Duration::from_secs(60);

/// A process that does not outlive its owner, not even one that is killed.
struct Process(Child);

impl Process {
    /// What it has started; each is the first of a group of its own.
    fn children(&self) -> Vec<Pid> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).into_iter().flatten().flatten();
        let of_task = |task: DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let all = tasks.map(of_task).collect::<String>();
        all.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Commands in guests would go on without it.
        for child in self.children() {
            let _ = kill_process_group(child, Signal::KILL);
        }
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command whose process is killed with the thread that starts it.
fn bound(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// What a process holds of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    /// Resident memory.
    pub(crate) kilobytes: usize,
}

/// A bus and a daemon.
pub(crate) struct World {
    // Dropped in this order.
    daemon: Process,
    _bus: Process,
    address: String,
    dir: tempfile::TempDir,
}

impl World {
    /// A bus with a daemon that is ready.
    pub(crate) async fn start() -> World {
        let dir = tempfile::tempdir().unwrap();
        let (bus, address) = bus(dir.path());
        let daemon = daemon(dir.path(), &address, "state");
        World { daemon, _bus: bus, address, dir }
    }

    /// A connection of its own, as another program would have.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.address).await
    }

    /// Starts a second daemon on the same bus and returns how it ended: its exit code and its last words.
    pub(crate) fn second_daemon(&self) -> (Option<i32>, String) {
        let mut command = command(self.dir.path(), &self.address, "second");
        let ended = command.stderr(Stdio::piped()).output().unwrap();
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    }

    /// Files of the second daemon's state.
    pub(crate) fn second_state(&self) -> PathBuf {
        self.dir.path().join("second")
    }

    /// Tells the daemon to end, and waits until it has; returns its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.daemon.0), Signal::TERM).unwrap();
        self.daemon.0.wait().unwrap().code()
    }

    /// Process id of the daemon.
    pub(crate) fn daemon_pid(&self) -> u32 {
        self.daemon.0.id()
    }

    /// Where the bus is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What the daemon holds of the machine.
    pub(crate) fn held(&self) -> Held {
        let proc = PathBuf::from(format!("/proc/{}", self.daemon_pid()));
        let count = |name: &str| std::fs::read_dir(proc.join(name)).unwrap().count();
        let status = std::fs::read_to_string(proc.join("status")).unwrap();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kilobytes = rss.split_whitespace().next().unwrap().parse().unwrap();
        Held { descriptors: count("fd"), threads: count("task"), kilobytes }
    }

    /// Whether the daemon is still the one that was started.
    pub(crate) fn daemon_lives(&mut self) -> bool {
        self.daemon.0.try_wait().unwrap().is_none()
    }
}

/// A bus that starts the daemon for the first call, as the system bus does.
pub(crate) struct Idle {
    _bus: Process,
    address: String,
    _dir: tempfile::TempDir,
}

impl Idle {
    /// A bus without a daemon.
    pub(crate) fn start() -> Idle {
        let dir = tempfile::tempdir().unwrap();
        let (bus, address) = bus(dir.path());
        let services = dir.path().join("services");
        std::fs::create_dir(&services).unwrap();
        // Not bound to its parent, which is gone once the name is there; it ends with the bus.
        let (daemon, state) = (binary().display(), dir.path().join("state"));
        let run = format!("{daemon} --sim --address {address} --state {} --log-level warn", state.display());
        let service = format!("[D-BUS Service]\nName=org.lxhost1\nExec={run}\n");
        std::fs::write(services.join("org.lxhost1.service"), service).unwrap();
        Idle { _bus: bus, address, _dir: dir }
    }

    /// A connection to the bus.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.address).await
    }
}

/// Limits are those built into dbus-daemon, which are those of the system bus; so is the policy but for
/// the user of the tests, who may own the name as root may.
fn bus(dir: &Path) -> (Process, String) {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../units/dbus-1/org.lxhost1.conf");
    let config = format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={dir}/bus</listen>
  <servicedir>{dir}/services</servicedir>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <policy user="{uid}">
    <allow own="org.lxhost1"/>
  </policy>
  <include>{units}</include>
</busconfig>
"#,
        dir = dir.display(),
        uid = rustix::process::getuid().as_raw(),
        units = units.display(),
    );
    let path = dir.join("bus.conf");
    std::fs::write(&path, config).unwrap();
    let mut command = bound(Path::new("dbus-daemon"));
    command.arg("--nofork").arg("--nopidfile").arg("--nosyslog").arg("--print-address");
    command.arg(format!("--config-file={}", path.display()));
    let mut bus = Process(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("dbus-daemon and setpriv"));
    let mut address = String::new();
    BufReader::new(bus.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    assert!(address.starts_with("unix:"), "dbus-daemon did not start");
    (bus, address.trim().to_owned())
}

fn command(dir: &Path, address: &str, state: &str) -> Command {
    let mut command = bound(binary());
    command.arg("--sim").arg("--address").arg(address).arg("--state").arg(dir.join(state)).args(["--log-level", "warn"]);
    command.stdin(Stdio::null());
    command
}

/// A daemon that has said READY.
fn daemon(dir: &Path, address: &str, state: &str) -> Process {
    let notify = dir.join("notify");
    let socket = UnixDatagram::bind(&notify).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut command = command(dir, address, state);
    command.env("NOTIFY_SOCKET", &notify).env_remove("JOURNAL_STREAM");
    let mut daemon = Process(command.spawn().expect("lxhostd"));
    let started = Instant::now();
    let mut message = [0; 4096];
    loop {
        match socket.recv(&mut message) {
            Ok(n) if String::from_utf8_lossy(&message[..n]).lines().any(|line| line == "READY=1") => return daemon,
            _ => {}
        }
        assert!(daemon.0.try_wait().unwrap().is_none(), "lxhostd ended before it was ready");
        assert!(started.elapsed() < START, "lxhostd was not ready in time");
    }
}

/// The daemon of this build, brought up to date once per run.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("LXHOSTD") {
            return given.into();
        }
        // target/debug/deps/sim-… → target/debug
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--workspace", "--bin", "lxhostd"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "lxhostd does not build");
        profile.join("lxhostd")
    })
}
