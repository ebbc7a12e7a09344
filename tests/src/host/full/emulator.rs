//! An emulator that runs: its command line, its process with a hard limit, its control socket. It dies
//! with its owner, however that ends. Depends on QEMU of the cache and on `watch`. Called by `saved` and
//! `boot`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::accelerator::Accelerator;
use super::port::Port;
use super::qmp::Qmp;
use crate::cache::{self, Cache};
use crate::host::watch;
use crate::recipe::Qemu;
use crate::relay::Relay;
use crate::tool;

/// No host lives longer, whatever its test forgets.
const LIFE: Duration = Duration::from_secs(2 * 3600);

/// The file of `Disk::Kept`, in the host's directory.
pub(super) const DISK: &str = "root.qcow2";

/// The kernel's words. What is off costs time in software and shows nothing here.
const WORDS: &str = "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off tsc=reliable no_timer_check audit=0 \
    cryptomgr.notests random.trust_cpu=on nokaslr apparmor=1 security=apparmor";

/// The machine that is emulated; a state is resumed in the same alone.
pub(super) const MACHINE: &[&str] = &[
    "-machine",
    "q35,sata=off,smbus=off,vmport=off,usb=off",
    "-cpu",
    "max",
    "-m",
    "2048",
    "-smp",
    "2",
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-action",
    "shutdown=pause",
    "-device",
    "virtio-serial-pci",
    "-device",
    "virtserialport,chardev=port,name=lab",
    "-device",
    "virtio-9p-pci,fsdev=share,mount_tag=share",
    "-device",
    "virtio-9p-pci,fsdev=visible,mount_tag=visible",
    "-device",
    "virtio-blk-pci,drive=root",
    // Tells the kernels of hosts resumed from one state that they are several.
    "-device",
    "vmgenid,guid=auto",
    "-device",
    "pcie-root-port,id=outlet,chassis=1",
];

/// What an emulator starts from.
#[derive(Debug)]
pub(super) struct Start<'paths> {
    /// Kernel, ramdisk and disk.
    pub(super) files: &'paths Path,
    /// Where changes of the disk go.
    pub(super) disk: Disk,
    /// What carries out the host's instructions.
    pub(super) accelerator: &'paths Accelerator,
    /// Whether it waits for a state instead of booting.
    pub(super) resumes: bool,
    /// What the host sees at `/srv/lab`.
    pub(super) visible: Option<&'paths Path>,
    /// The process whose network it is to have, if not the machine's.
    pub(super) network: Option<u32>,
}

/// Where changes of the disk go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Disk {
    /// To the disk itself, in any order: nobody uses it before they are all there.
    Own,
    /// Away with the emulator.
    Away,
    /// To a file of the host's own (`root.qcow2`). Killing the emulator takes away what was not flushed.
    Kept,
}

/// A running emulator and everything that leads into it.
#[derive(Debug)]
pub(super) struct Emulator {
    pub(super) qmp: Qmp,
    pub(super) port: Arc<Port>,
    directory: PathBuf,
    process: Mutex<Process>,
    _relay: Relay,
}

/// The watcher around it, and the input whose end is its end.
#[derive(Debug)]
struct Process {
    watcher: Child,
    owner: Option<ChildStdin>,
}

impl Emulator {
    /// Starts one whose sockets, logs and share are in `directory`.
    pub(super) fn start(cache: &Cache, qemu: &Qemu, directory: &Path, start: &Start<'_>) -> Result<Self> {
        let share = directory.join("lab");
        fs::create_dir_all(&share).with_context(|| format!("making {}", share.display()))?;
        let mirror = directory.join("mirror.sock");
        cache::remove(&mirror)?;
        let relay = Relay::on_socket(cache, &mirror)?;
        let log = File::create(directory.join("emulator.log"))?;
        let mut process = tool::start(
            watch::command(directory, LIFE, start.network)?
                .args(qemu.command())
                .args(arguments(directory, start))
                .env("TMPDIR", directory)
                .stdin(Stdio::piped())
                .stdout(log.try_clone()?)
                .stderr(log),
        )?;
        let owner = process.stdin.take();
        let port = Port::new(directory.join("port.sock"), mirror);
        let begun = Arc::clone(&port);
        let hear = move |event: &str| {
            if event == "RESET" {
                // Who waits for the host sees that it does not answer.
                let _ = begun.connect();
            }
        };
        let qmp = Qmp::connect(&directory.join("qmp.sock"), Duration::from_secs(20), hear);
        let qmp = qmp.map_err(|error| {
            // Without its input it ends.
            drop(process.stdin.take());
            error.context(said(directory))
        })?;
        let process = Mutex::new(Process { watcher: process, owner });
        let emulator = Self { qmp, port, directory: directory.to_owned(), process, _relay: relay };
        emulator.port.connect()?;
        Ok(emulator)
    }

    /// Waits until the host's systemd has started everything.
    pub(super) fn wait_until_up(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let left = || deadline.saturating_duration_since(Instant::now());
        let asked = self.greeted(deadline).and_then(|()| self.say("systemctl is-system-running --wait || true", left()));
        match asked {
            Ok(state) if ["running\n", "degraded\n"].contains(&state.as_str()) => Ok(()),
            Ok(state) => bail!("the host came up {state:?}{}", said(&self.directory)),
            Err(error) => {
                Err(error.context(format!("the host did not come up in {} s{}", limit.as_secs(), said(&self.directory))))
            }
        }
    }

    /// Waits until the agent answers, or the kernel has given up.
    fn greeted(&self, deadline: Instant) -> Result<()> {
        let before = self.panics();
        loop {
            match self.port.greeted(Duration::from_secs(1)) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) if self.panics() > before => bail!("its kernel panicked"),
                Err(_) => {}
            }
        }
    }

    /// How often a kernel in it has given up so far.
    fn panics(&self) -> usize {
        let console = fs::read(self.directory.join("console.log")).unwrap_or_default();
        String::from_utf8_lossy(&console).matches("Kernel panic").count()
    }

    /// Runs a line of shell in the host and gives what it says.
    pub(super) fn say(&self, line: &str, limit: Duration) -> Result<String> {
        let argv = ["sh", "-ec", line].map(str::to_owned);
        let mut process = self.port.start(&crate::host::command::within(None, &[], &argv))?;
        process.stdin = None;
        let output = crate::host::Running::new(process, Instant::now(), limit, line.to_owned()).wait()?;
        if output.code == Some(0) { Ok(output.stdout_text()) } else { bail!("{line}: {}", output.describe()) }
    }

    /// Ends it and waits until it has ended.
    pub(super) fn quit(self) -> Result<()> {
        self.qmp.execute("quit", &json!({})).map(drop)
    }

    /// Kills it, wherever it is, and waits until it is gone.
    pub(super) fn kill(&self) {
        self.port.disconnect();
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        // The end of its input ends the watcher, and with that the kernel kills what is in its namespace.
        process.owner = None;
        let _ = process.watcher.wait();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
    }
}

fn arguments(directory: &Path, start: &Start<'_>) -> Vec<String> {
    let at = |name: &str| directory.join(name).display().to_string();
    let of = |name: &str| start.files.join(name).display().to_string();
    let root = of("root.img");
    let disk = match start.disk {
        Disk::Own => format!("file={root},format=raw,cache=unsafe"),
        Disk::Away => format!("file={root},format=raw,snapshot=on"),
        Disk::Kept => {
            format!("file={},format=qcow2,backing.driver=raw,backing.file.driver=file,backing.file.filename={root}", at(DISK))
        }
    };
    let visible = start.visible.map_or_else(|| at("lab"), |path| path.display().to_string());
    let mut arguments: Vec<String> = MACHINE.iter().map(|word| (*word).to_owned()).collect();
    let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    add("-accel", start.accelerator.words().to_owned());
    add("-kernel", of("vmlinux"));
    add("-initrd", of("initrd"));
    add("-append", WORDS.to_owned());
    add("-drive", format!("id=root,if=none,discard=unmap,{disk}"));
    add("-chardev", format!("file,id=console,path={},append=on", at("console.log")));
    add("-serial", "chardev:console".to_owned());
    add("-chardev", format!("socket,id=port,path={},server=on,wait=off", at("port.sock")));
    add("-qmp", format!("unix:{},server=on,wait=off", at("qmp.sock")));
    add("-fsdev", format!("local,id=share,path={},security_model=none,multidevs=remap", at("lab")));
    add("-fsdev", format!("local,id=visible,path={visible},security_model=none,multidevs=remap,readonly=on"));
    if start.resumes {
        add("-incoming", "defer".to_owned());
    }
    arguments
}

/// The end of what the host's console and the emulator say, for messages.
fn said(directory: &Path) -> String {
    let mut text = String::new();
    for name in ["console.log", "emulator.log"] {
        let log = fs::read(directory.join(name)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        if !lines.is_empty() {
            text += &format!("\nthe end of its {name}:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
    text
}
