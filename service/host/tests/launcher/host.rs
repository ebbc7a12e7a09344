//! What every test needs: a launcher, a BusyBox tree, and an end that leaves nothing.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lxhost_engine::ports::launcher::{Exec, ExecResult, LaunchSpec, Launcher, LauncherEvent, Limits, RootSpec, Running, Streams};
use lxhost_host::launcher::HostLauncher;
use lxhost_model::instance::ExitReason;
use lxhost_model::{IdRange, ObjectId};

static NEXT: AtomicU32 = AtomicU32::new(1);
const APPLETS: [&str; 23] = [
    "sh", "true", "false", "cat", "sleep", "id", "pwd", "env", "stty", "tty", "mount", "umount", "reboot", "poweroff", "mknod",
    "ls", "grep", "wc", "dd", "init", "kill", "head", "ip",
];
const LONGEST: Duration = Duration::from_secs(30);

/// The monitor's program, or the reason why there is nothing to test with.
pub(crate) fn runtime() -> Option<PathBuf> {
    let Some(program) = std::env::var_os("LXHOST_TEST_RUNTIME") else {
        println!("skipped: LXHOST_TEST_RUNTIME does not name the monitor on a test host");
        return None;
    };
    if !Path::new("/run/systemd/system").is_dir() {
        println!("skipped: systemd is not PID 1 here");
        return None;
    }
    Some(program.into())
}

/// One container and the launcher that holds it.
pub(crate) struct Guest {
    pub(crate) launcher: HostLauncher,
    pub(crate) id: ObjectId,
    pub(crate) machine: String,
    pub(crate) running: Running,
    pub(crate) dir: PathBuf,
    program: PathBuf,
}

impl Guest {
    /// A launcher, as a daemon that starts has it.
    pub(crate) async fn launcher(program: &Path) -> HostLauncher {
        let connection = zbus::Connection::system().await.unwrap();
        let netlink = lxhost_netlink::Handle::open().unwrap();
        HostLauncher::new(
            &connection,
            lxhost_host::units::Units::new(&connection).await.unwrap(),
            netlink,
            program.to_owned(),
            "/run/lxhost/instances".into(),
        )
        .await
        .unwrap()
    }

    /// Where a container of this number lives, and what it is launched with.
    pub(crate) fn plan(init: &[&str]) -> (LaunchSpec, PathBuf) {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0x5a; 16];
        bytes[..4].copy_from_slice(&std::process::id().to_be_bytes());
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        let dir = PathBuf::from(format!("/var/lib/lxhost/test-{}-{number}", std::process::id()));
        let spec = LaunchSpec {
            id: ObjectId::from_random(bytes),
            machine: format!("t{}-{number}", std::process::id()),
            hostname: format!("guest{number}"),
            ids: IdRange { base: 1_000_000 + number * IdRange::SIZE, size: IdRange::SIZE },
            root: RootSpec::Tree { path: dir.clone() },
            nics: Vec::new(),
            mounts: Vec::new(),
            disks: Vec::new(),
            init: init.iter().map(ToString::to_string).collect(),
            environment: [("FROM_CONFIG".to_owned(), "yes".to_owned())].into(),
            limits: Limits::default(),
            nesting: false,
            stop_timeout: 10,
        };
        (spec, dir)
    }

    /// A BusyBox tree with this init.
    pub(crate) async fn start(program: &Path, init: &[&str]) -> Self {
        let (spec, dir) = Self::plan(init);
        make_tree(&dir);
        Self::start_from(program, spec, dir).await
    }

    pub(crate) async fn start_from(program: &Path, spec: LaunchSpec, dir: PathBuf) -> Self {
        let launcher = Self::launcher(program).await;
        let (id, machine) = (spec.id, spec.machine.clone());
        let running = launcher.launch(spec, Box::pin(async { Ok(()) })).await.unwrap();
        Self { launcher, id, machine, running, dir, program: program.to_owned() }
    }

    /// Another daemon: nothing of the first one is left in memory.
    pub(crate) async fn restart_daemon(self) -> Self {
        let Self { launcher, id, machine, dir, program, .. } = self;
        drop(launcher);
        let launcher = Self::launcher(&program).await;
        let running = launcher.adopt(id, &machine).await.unwrap().expect("the container runs on");
        Self { launcher, id, machine, running, dir, program }
    }

    pub(crate) async fn next(&self) -> LauncherEvent {
        let event = tokio::time::timeout(LONGEST, self.launcher.next_event()).await;
        event.expect("an event within half a minute").expect("a launcher that goes on")
    }

    /// The next event that is not about readiness or addresses.
    pub(crate) async fn next_end(&self) -> LauncherEvent {
        loop {
            match self.next().await {
                LauncherEvent::Ready(_) | LauncherEvent::Addresses(..) | LauncherEvent::Stopping(_) => {}
                event => return event,
            }
        }
    }

    /// How it ended. Ends of commands before that may be told again: they count as seen with the next question only.
    pub(crate) async fn exit(&self) -> (ExitReason, i32) {
        loop {
            match self.next_end().await {
                LauncherEvent::Exited(id, exit) => {
                    assert_eq!(id, self.id);
                    return (exit.reason, exit.status);
                }
                LauncherEvent::ExecEnded(..) => {}
                other => panic!("not an end: {other:?}"),
            }
        }
    }

    /// Runs a shell line; its output, its errors, its result.
    pub(crate) async fn sh(&self, session: u32, line: &str) -> (String, String, ExecResult) {
        let exec = Exec { session, argv: vec!["sh".into(), "-c".into(), line.into()], ..Exec::default() };
        self.command(exec, b"").await
    }

    pub(crate) async fn command(&self, exec: Exec, input: &[u8]) -> (String, String, ExecResult) {
        let session = exec.session;
        let (stdin, mut to) = std::io::pipe().unwrap();
        let (out, stdout) = std::io::pipe().unwrap();
        let (err, stderr) = std::io::pipe().unwrap();
        let streams = Streams { stdin: stdin.into(), stdout: stdout.into(), stderr: stderr.into() };
        self.launcher.exec(self.id, exec, streams).await.unwrap();
        std::io::Write::write_all(&mut to, input).unwrap();
        drop(to);
        let output = tokio::task::spawn_blocking(move || (read_all(out), read_all(err)));
        let end = self.next_end().await;
        let LauncherEvent::ExecEnded(_, ended, result) = end else { panic!("not the end of a command: {end:?}") };
        assert_eq!(ended, session);
        let (out, err) = output.await.unwrap();
        (out, err, result)
    }

    pub(crate) fn scope(&self) -> PathBuf {
        PathBuf::from(format!("/sys/fs/cgroup/machine.slice/lxhost-{}.scope", self.machine))
    }

    pub(crate) fn monitor_pid(&self) -> u32 {
        let procs = std::fs::read_to_string(self.scope().join("supervisor/cgroup.procs")).unwrap();
        procs.trim().parse().unwrap()
    }

    /// Kills it and checks that nothing is left.
    pub(crate) async fn finish(self) {
        self.launcher.kill(self.id, &self.machine).await.unwrap();
        assert!(!self.scope().exists(), "the scope is left");
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn read_all(pipe: impl Into<OwnedFd>) -> String {
    let mut bytes = Vec::new();
    std::fs::File::from(pipe.into()).read_to_end(&mut bytes).unwrap();
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// A root of BusyBox alone.
pub(crate) fn make_tree(dir: &Path) {
    for name in ["bin", "etc", "proc", "sys", "dev", "run", "root", "tmp"] {
        std::fs::create_dir_all(dir.join(name)).unwrap();
    }
    std::fs::copy("/bin/busybox", dir.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", dir.join("bin").join(applet)).unwrap();
    }
    std::fs::write(dir.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/tmp:/bin/sh\n").unwrap();
    std::fs::write(dir.join("etc/group"), "root:x:0:\nada:x:1000:\nstaff:x:50:ada\n").unwrap();
}
