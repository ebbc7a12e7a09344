//! `storage volume file mount`: sshfs shows a volume in a directory for as long as it is in the foreground, or SFTP is
//! spoken on standard input and output.

use crate::bus::Session;
use crate::failure::Failure;
use lxhost_dbus::Options;
use lxhost_dbus::proxy::{FilesProxy, JobProxy};
use lxhost_model::Kind;
use lxhost_model::name::quoted;
use std::fs::File;
use std::io::IsTerminal;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use zbus::wire::OwnedObjectPath;

/// How long the daemon gets to see that nobody is there any more.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a guest planted in its volume leads a process of this host nowhere: links are shown, and not followed.
const OPTIONS: &str = "passive,nosuid,nodev,nosymfollow,fsname=lxhost";

/// Mounts `volume`, the one called `name`, on `target`.
pub(super) async fn run(session: &Session, volume: &str, name: &str, target: Option<&Path>) -> Result<(), Failure> {
    let name = name.strip_prefix("custom/").unwrap_or(name);
    if name.contains('/') {
        return Err(Failure::usage("a volume is mounted as a whole").hint(format!("leave out what follows {}", volume_of(name))));
    }
    let Some(target) = target else {
        let hint = "name a directory, or - for SFTP on standard input and output, as sftp -D and ssh want it";
        return Err(Failure::usage("where to?").hint(hint));
    };
    let proxy = session.volume(volume, name).await?;
    let files: FilesProxy<'static> = session.object(&proxy.inner().path().to_owned().into()).await?;
    if target == Path::new("-") {
        if std::io::stdin().is_terminal() {
            return Err(
                Failure::usage("SFTP is nothing to be typed").hint("sftp -D 'lxctl storage volume file mount POOL VOLUME -'")
            );
        }
        let (socket, job) = open(session, &files).await?;
        speak(socket).await.map_err(|e| Failure::io("speak SFTP", &e))?;
        return ended(session, &job).await;
    }
    let target = place(target)?;
    // Said before anybody serves anything.
    let sshfs = program("sshfs")?;
    let (socket, job) = open(session, &files).await?;
    let child = start(&sshfs, socket, &target)?;
    session.say(format!("Mounting {volume}/{name} on {}; Ctrl-C ends it", target.display()));
    let (status, asked) = attend(child).await?;
    let served = ended(session, &job).await;
    match asked || status.success() {
        true => served,
        // Why nobody served it says more than that nobody answered.
        false => served.and_then(|()| Err(Failure::of(Kind::Failed, format!("sshfs ended with {status}")))),
    }
}

fn volume_of(name: &str) -> &str {
    name.split('/').next().unwrap_or_default()
}

async fn open(session: &Session, files: &FilesProxy<'static>) -> Result<(OwnedFd, OwnedObjectPath), Failure> {
    let none = Options::new();
    let (socket, job) = session.allowed(|| files.open_sftp(&none)).await?;
    Ok((socket.into(), job))
}

fn duplicate(of: impl AsFd) -> std::io::Result<OwnedFd> {
    of.as_fd().try_clone_to_owned()
}

/// Copies between standard input and output and `socket`, until its other end is closed.
async fn speak(socket: OwnedFd) -> std::io::Result<()> {
    let (mut from, mut to) = (UnixStream::from(socket.try_clone()?), UnixStream::from(socket));
    // Not those that keep what has no end of a line yet.
    let (mut input, mut output) = (File::from(duplicate(std::io::stdin())?), File::from(duplicate(std::io::stdout())?));
    // A thread that reads a terminal or a pipe cannot be told to stop: it ends with us.
    std::thread::Builder::new().name("input".into()).spawn(move || {
        let _ = std::io::copy(&mut input, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    })?;
    let (tell, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("output".into()).spawn(move || {
        let copied = std::io::copy(&mut from, &mut output);
        // Who reads no more has left, and so has whoever serves.
        let _ = from.shutdown(Shutdown::Both);
        let _ = tell.send(copied);
    })?;
    match ended.await {
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// The directory that something is mounted on.
fn place(target: &Path) -> Result<std::path::PathBuf, Failure> {
    let shown = quoted(&target.to_string_lossy());
    let target = target.canonicalize().map_err(|e| Failure::io(&shown, &e))?;
    match target.is_dir() {
        true => Ok(target),
        false => Err(Failure::usage(format!("{shown} is no directory"))),
    }
}

/// Where a program is.
fn program(name: &str) -> Result<std::path::PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let what = format!("{name} is not installed; it is in package {name}");
        Failure::of(Kind::Unsupported, what).hint(format!("apt install {name}; or - as the target, for a client of your own"))
    })
}

fn start(sshfs: &Path, socket: OwnedFd, target: &Path) -> Result<Child, Failure> {
    let failed = |e: std::io::Error| Failure::io("run sshfs", &e);
    let output = socket.try_clone().map_err(failed)?;
    // The volume is where its server begins, whatever the path of that is called.
    let mut command = Command::new(sshfs);
    command.args(["-f", "-o", OPTIONS, "volume:"]).arg(target);
    command.stdin(Stdio::from(socket)).stdout(Stdio::from(output)).kill_on_drop(true);
    command.spawn().map_err(failed)
}

/// Waits for the end of sshfs, which unmounts when it is asked to end; and whether it was.
async fn attend(mut child: Child) -> Result<(ExitStatus, bool), Failure> {
    let signals = |kind| signal(kind).map_err(|e| Failure::io("wait for signals", &e));
    let (mut ctrl_c, mut term) = (signals(SignalKind::interrupt())?, signals(SignalKind::terminate())?);
    let mut hangup = signals(SignalKind::hangup())?;
    let mut asked = false;
    loop {
        tokio::select! {
            // What a terminal told both of us is heard before the end of the other.
            biased;
            _ = ctrl_c.recv() => {}
            _ = term.recv() => {}
            _ = hangup.recv() => {}
            status = child.wait() => return status.map(|status| (status, asked)).map_err(|e| Failure::io("run sshfs", &e)),
        }
        asked = true;
        // A second time does no harm.
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

/// How serving has ended, now that nobody asks any more: when this is over, the volume is free.
async fn ended(session: &Session, job: &OwnedObjectPath) -> Result<(), Failure> {
    let proxy: JobProxy<'static> = session.object(job).await?;
    let limit = u64::try_from(PATIENCE.as_micros()).unwrap_or(u64::MAX);
    // One that ended long ago is forgotten, and so is one of a daemon that was restarted.
    let Ok(end) = proxy.wait(limit).await else { return Ok(()) };
    match lxhost_model::Kind::from_dbus_name(&end.error) {
        Some(kind) if end.result != "canceled" => Err(Failure::of(kind, end.message)),
        _ => Ok(()),
    }
}
