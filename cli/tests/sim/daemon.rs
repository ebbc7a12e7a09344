//! A private bus and a simulating daemon for one test; both end with this value.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

const LXCTL: &str = env!("CARGO_BIN_EXE_lxctl");
const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:dir=DIRECTORY</listen><auth>EXTERNAL</auth><policy context="default">
<allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>"#;

/// Bus and daemon.
pub(crate) struct Sim {
    bus: Child,
    daemon: Child,
    address: String,
    directory: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Sim {
    pub(crate) fn start() -> Sim {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("bus.conf");
        std::fs::write(&config, CONFIG.replace("DIRECTORY", &directory.path().display().to_string())).unwrap();
        let mut bus = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg("--print-address")
            .arg(format!("--config-file={}", config.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is needed for this test");
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        let notify = directory.path().join("notify");
        let ready = UnixDatagram::bind(&notify).unwrap();
        ready.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let daemon = Command::new(lxhostd())
            .args(["--sim", "--address", &address, "--state"])
            .arg(directory.path().join("state"))
            .env("NOTIFY_SOCKET", &notify)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sim = Sim { bus, daemon, address, directory };
        let mut message = [0; 1024];
        loop {
            let n = ready.recv(&mut message).expect("lxhostd --sim became ready");
            if String::from_utf8_lossy(&message[..n]).lines().any(|line| line == "READY=1") {
                return sim;
            }
        }
    }

    /// An lxctl on this bus, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(LXCTL);
        command.args(args).stdin(Stdio::null());
        self.environment(&mut command);
        command
    }

    /// The environment of an lxctl on this bus.
    pub(crate) fn environment(&self, command: &mut Command) {
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address).env("TZ", "UTC").env("TERM", "xterm").env_remove("LXHOST_PROJECT");
    }

    /// Runs lxctl to its end.
    pub(crate) fn run(&self, args: &[&str]) -> End {
        self.command(args).output().unwrap().into()
    }

    /// Runs lxctl, which has to succeed, and gives what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let end = self.run(args);
        assert_eq!(end.code, 0, "{args:?}: {}", end.err);
        end.out
    }

    /// Runs lxctl, which has to fail with `code` and say nothing on standard output; gives the error.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        let end = self.run(args);
        assert_eq!((end.code, end.out.as_str()), (code, ""), "{args:?}: {}", end.err);
        assert!(end.err.starts_with("Error: "), "{args:?}: {}", end.err);
        end.err
    }

    /// A directory of this test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Ends the daemon alone.
    pub(crate) fn without_daemon(&mut self) {
        end(&mut self.daemon);
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        end(&mut self.daemon);
        end(&mut self.bus);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

impl From<Output> for End {
    fn from(output: Output) -> End {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        End { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// The daemon beside the lxctl under test; built when `cargo test` has not built it.
fn lxhostd() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace", "--bin", "lxhostd"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(build.status().unwrap().success(), "lxhostd does not build");
        Path::new(LXCTL).with_file_name("lxhostd")
    })
}
