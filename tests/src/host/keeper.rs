//! The process around a host: PID 1 of a process namespace with a mount namespace of its own. It mounts
//! the host's root, runs systemd-nspawn, again after a reboot, and dies when its standard input closes;
//! with it the kernel kills whatever is left and drops the mounts. Depends on `spec` and mount(2).
//! Every program that boots hosts calls `run_if_asked` first.

use std::fs::{self, File};
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};

use super::network::WIRE;
use super::spec::{HostSpec, State, Upper};
use super::watch;
use crate::tool;

/// The argument that makes this program a keeper.
pub const ARGUMENT: &str = "--keep-host";
/// nspawn's exit status after a reboot when it does not register with a systemd of the machine.
const REBOOT: i32 = 133;

/// Becomes a keeper or a watcher, and never returns, when the program was started as one.
pub fn run_if_asked() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(ARGUMENT) => {}
        Some(watch::ARGUMENT) => {
            let watched = watch::run(arguments);
            if let Err(error) = &watched {
                eprintln!("{error:#}");
            }
            std::process::exit(i32::from(watched.is_err()));
        }
        _ => return,
    }
    let (directory, spec) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let result = serde_json::from_str(&spec)
        .context("reading the host's specification")
        .and_then(|spec| keep(Path::new(&directory), &spec));
    if let Err(error) = &result {
        println!("failed {error:#}");
    }
    std::process::exit(i32::from(result.is_err()));
}

enum Event {
    Order(String),
    OwnerGone,
    Exited(Option<i32>),
}

fn keep(directory: &Path, spec: &HostSpec) -> Result<()> {
    let lock = File::create(directory.join("lock"))?;
    lock.lock().context("locking the host's directory")?;
    prepare(directory, spec)?;
    report("prepared")?;
    let (sender, events) = mpsc::channel();
    listen(sender.clone());
    let mut host: Option<i32> = None;
    loop {
        match events.recv()? {
            Event::Order(order) if order == "boot" && host.is_none() => host = Some(start(directory, spec, sender.clone())?),
            Event::Order(order) => bail!("an order that does not fit: {order}"),
            Event::Exited(Some(REBOOT)) => host = Some(start(directory, spec, sender.clone())?),
            Event::Exited(status) => {
                host = None;
                report(&format!("off {}", status.unwrap_or(-1)))?;
            }
            Event::OwnerGone => return end(host, &events),
        }
    }
}

/// Kills the host's PID 1 so that nspawn can tidy up behind itself; the kernel does the rest.
fn end(host: Option<i32>, events: &mpsc::Receiver<Event>) -> Result<()> {
    let Some(nspawn) = host else { return Ok(()) };
    for child in super::native::children(nspawn.unsigned_abs()) {
        kill(i32::try_from(child)?);
    }
    match events.recv_timeout(Duration::from_secs(3)) {
        Ok(_) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(()),
    }
}

fn kill(pid: i32) {
    // Gone already is as good.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
}

fn report(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn listen(events: Sender<Event>) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if events.send(Event::Order(line)).is_err() {
                return;
            }
        }
        // An error means that the keeper is ending already.
        let _ = events.send(Event::OwnerGone);
    });
}

fn prepare(directory: &Path, spec: &HostSpec) -> Result<()> {
    // nspawn leaves empty directories in /run and /tmp of whoever kills it: let them be private ones.
    for place in ["/run", "/tmp"] {
        if !directory.starts_with(place) && !spec.tree.starts_with(place) && !std::env::current_exe()?.starts_with(place) {
            mount("tmpfs", place, "tmpfs", MountFlags::empty(), Some(c"mode=0755"))
                .with_context(|| format!("mounting {place}"))?;
        }
    }
    let upper = match &spec.upper {
        Upper::Directory(path) => path.clone(),
        Upper::Memory => {
            let path = made(directory, "memory")?;
            mount("tmpfs", &path, "tmpfs", MountFlags::empty(), Some(c"mode=0755,size=4g"))
                .context("mounting the root's memory")?;
            path
        }
    };
    let lower: Vec<String> = spec.layers.iter().rev().chain([&spec.tree]).map(|layer| layer.display().to_string()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        made(&upper, "upper")?.display(),
        made(&upper, "work")?.display()
    );
    let options = std::ffi::CString::new(options)?;
    mount("overlay", made(directory, "root")?, "overlay", MountFlags::empty(), Some(options.as_c_str()))
        .context("mounting the root")?;
    match spec.state {
        State::Plain if holds_overlays(directory)? => Ok(()),
        State::Plain | State::Ext4 => mount_image(directory, "ext4", "mkfs.ext4"),
        State::Btrfs => mount_image(directory, "btrfs", "mkfs.btrfs"),
        State::Xfs => mount_image(directory, "xfs", "mkfs.xfs"),
    }
}

fn made(parent: &Path, name: &str) -> Result<std::path::PathBuf> {
    let path = parent.join(name);
    fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(path)
}

/// Whether an overlay may have its upper directory on this filesystem.
fn holds_overlays(path: &Path) -> Result<bool> {
    const OVERLAYFS: i64 = 0x794c_7630;
    Ok(rustix::fs::statfs(path)?.f_type != OVERLAYFS)
}

fn mount_image(directory: &Path, kind: &str, mkfs: &str) -> Result<()> {
    let image = directory.join("state.img");
    File::create(&image)?.set_len(8 << 30)?;
    tool::run(Command::new(mkfs).arg("-q").arg(&image))?;
    // The loop device goes with the mount, and the mount with this namespace.
    tool::run(Command::new("mount").args(["-t", kind, "-o", "loop"]).arg(&image).arg(made(directory, "state")?))?;
    Ok(())
}

/// Starts nspawn and reports its end as an event; gives its pid.
fn start(directory: &Path, spec: &HostSpec, events: Sender<Event>) -> Result<i32> {
    let mut child = nspawn(directory, spec)?;
    let pid = i32::try_from(child.id())?;
    std::thread::spawn(move || {
        let status = child.wait().ok().and_then(|status| status.code());
        // An error means that the keeper is ending already.
        let _ = events.send(Event::Exited(status));
    });
    Ok(pid)
}

fn nspawn(directory: &Path, spec: &HostSpec) -> Result<Child> {
    let log = File::options().create(true).append(true).open(directory.join("console.log"))?;
    let bind = |from: &str, to: &str| format!("--bind={}:{to}", directory.join(from).display());
    let mut command = Command::new("systemd-nspawn");
    command
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .env("SYSTEMD_SECCOMP", "0")
        .env("SYSTEMD_NSPAWN_LOCK", "0")
        .args(["--quiet", "--boot", "--register=no", "--keep-unit", "--capability=all"])
        .args(["--rlimit=NOFILE=1048576", "--link-journal=no", "--resolv-conf=off", "--timezone=off"])
        .args(["--bind=/dev/fuse", "--bind=/dev/net/tun"])
        .arg(format!("--machine={}", spec.name))
        .arg(format!("--directory={}", directory.join("root").display()))
        .arg(bind("state", &spec.state_at))
        .arg(bind("lab", "/lab"));
    command.arg(if spec.network.is_some() { format!("--network-bridge={WIRE}") } else { "--private-network".to_owned() });
    if let Some(visible) = &spec.visible {
        command.arg(format!("--bind-ro={}:/srv/lab", visible.display()));
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    tool::start(&mut command)
}
