//! Commands: the argument vector it is given, run on this machine as the user of this process, in
//! a process group of its own. With a terminal, setsid(1) makes that the controlling one.

use super::guest::Guests;
use crate::locked;
use lxhost_engine::ports::{Exec, ExecResult, LauncherEvent, Streams};
use lxhost_model::name::quoted;
use lxhost_model::{Error, Kind, ObjectId, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command under way. Dropping it kills the process group.
#[derive(Debug)]
pub(super) struct Handle {
    signals: UnboundedSender<Signal>,
    terminal: Option<OwnedFd>,
}

/// A command that was just started.
pub(super) struct Started {
    pub(super) pid: u32,
    child: Child,
    terminal: Option<OwnedFd>,
}

impl Handle {
    pub(super) fn signal(&self, signal: i32) -> Result<()> {
        let unknown = || Error::new(Kind::InvalidArgs, format!("there is no signal {signal}"));
        let signal = Signal::from_named_raw(signal).ok_or_else(unknown)?;
        self.signals.send(signal).map_err(|_| Error::new(Kind::NoSuchExec, "the command has ended"))
    }

    pub(super) fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        let none = || Error::new(Kind::InvalidArgs, "the command has no terminal");
        set_size(self.terminal.as_ref().ok_or_else(none)?, rows, columns)
    }
}

/// Checks what can be checked before anything is started.
///
/// # Errors
/// `NoSuchCommand`; `InvalidArgs` for no program or a directory that is none; `Unsupported` for
/// another user.
pub(super) fn check(exec: &Exec) -> Result<()> {
    let Some(program) = exec.argv.first() else {
        return Err(Error::new(Kind::InvalidArgs, "there is no program to run"));
    };
    if exec.argv.iter().any(|argument| argument.contains('\0')) {
        return Err(Error::new(Kind::InvalidArgs, "an argument holds a zero byte"));
    }
    let own = rustix::process::getuid().as_raw().to_string();
    if exec.user.as_ref().is_some_and(|user| user != "root" && *user != own) || exec.group.is_some() {
        return Err(Error::new(Kind::Unsupported, "a simulation runs commands as its own user only"));
    }
    if let Some(directory) = exec.cwd.as_ref().filter(|cwd| !Path::new(cwd).is_dir()) {
        return Err(Error::new(Kind::InvalidArgs, format!("there is no directory {}", quoted(directory))));
    }
    match find(program, &variable(exec, "PATH", PATH)) {
        Some(_) => Ok(()),
        None => Err(Error::new(Kind::NoSuchCommand, format!("there is no program {}", quoted(program)))),
    }
}

fn find(program: &str, path: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    path.split(':').map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}

fn variable(exec: &Exec, name: &str, default: &str) -> String {
    exec.environment.get(name).cloned().unwrap_or_else(|| default.to_owned())
}

fn command(program: &str, arguments: &[String], exec: &Exec) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().kill_on_drop(true);
    for (name, default) in [("PATH", PATH), ("HOME", "/"), ("USER", "root"), ("TERM", "dumb"), ("LANG", "C.UTF-8")] {
        command.env(name, variable(exec, name, default));
    }
    command.envs(&exec.environment).current_dir(exec.cwd.as_deref().unwrap_or("/"));
    command
}

/// Starts a command on the caller's streams.
///
/// # Errors
/// `InvalidArgs` when it cannot be executed.
pub(super) fn start(exec: &Exec, streams: Streams) -> Result<Started> {
    let mut command = command(&exec.argv[0], &exec.argv[1..], exec);
    command.stdin(streams.stdin).stdout(streams.stdout).stderr(streams.stderr).process_group(0);
    spawn(command, exec, None)
}

/// Starts a command on a new terminal; returns the terminal's master and path, too.
///
/// # Errors
/// As `start`; `Failed` when there is no terminal left.
pub(super) fn start_pty(exec: &Exec) -> Result<(Started, OwnedFd, String)> {
    let (master, path) = terminal(exec).map_err(|e| Error::io("open a terminal", &e))?;
    let open =
        || std::fs::File::options().read(true).write(true).custom_flags(rustix::fs::OFlags::NOCTTY.bits() as i32).open(&path);
    let io = |e| Error::io(format!("open {path}"), &e);
    let (stdin, stdout, stderr) = (open().map_err(io)?, open().map_err(io)?, open().map_err(io)?);
    let arguments: Vec<String> = ["--ctty".into(), "--".into()].into_iter().chain(exec.argv.iter().cloned()).collect();
    let mut command = command("setsid", &arguments, exec);
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
    let kept = master.try_clone().map_err(|e| Error::io("keep a terminal", &e))?;
    Ok((spawn(command, exec, Some(kept))?, master, path))
}

fn terminal(exec: &Exec) -> std::io::Result<(OwnedFd, String)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let path = ptsname(&master, Vec::new())?.to_string_lossy().into_owned();
    if let Some((rows, columns)) = exec.pty {
        tcsetwinsize(&master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
    }
    Ok((master, path))
}

fn set_size(terminal: &OwnedFd, rows: u16, columns: u16) -> Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).map_err(|e| Error::io("resize a terminal", &e.into()))
}

fn spawn(mut command: Command, exec: &Exec, terminal: Option<OwnedFd>) -> Result<Started> {
    let program = quoted(&exec.argv[0]);
    let child = command.spawn().map_err(|e| Error::new(Kind::InvalidArgs, format!("program {program} cannot be run: {e}")))?;
    let pid = child.id().ok_or_else(|| Error::failed(format!("program {program} has no process id")))?;
    Ok(Started { pid, child, terminal })
}

/// Follows a command to its end, passes signals on meanwhile, and tells how it ended.
pub(super) fn watch(
    id: ObjectId,
    session: u32,
    started: Started,
    guests: Arc<Mutex<Guests>>,
    events: UnboundedSender<LauncherEvent>,
) -> Handle {
    let (signals, receiver) = unbounded_channel();
    let Started { pid, child, terminal } = started;
    tokio::spawn(async move {
        let result = follow(pid, child, receiver).await;
        if let Some(guest) = locked(&guests).get_mut(&id) {
            guest.sessions.remove(&session);
        }
        drop(events.send(LauncherEvent::ExecEnded(id, session, result)));
    });
    Handle { signals, terminal }
}

/// Waits for the child. Only while it has not been waited for, its number is its own, so signals
/// are sent from here. When nobody can send any more, its container is gone: it is killed.
async fn follow(pid: u32, mut child: Child, mut signals: UnboundedReceiver<Signal>) -> ExecResult {
    let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
    loop {
        tokio::select! {
            ended = child.wait() => return ended.map_or(ExecResult::Lost, result),
            signal = signals.recv() => {
                if let Some(group) = group {
                    // Failing means that it is ending just now.
                    let _ = kill_process_group(group, signal.unwrap_or(Signal::KILL));
                }
                if signal.is_none() {
                    drop(child.wait().await);
                    return ExecResult::Lost;
                }
            }
        }
    }
}

fn result(status: ExitStatus) -> ExecResult {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExecResult::Exited(code),
        (None, Some(signal)) => ExecResult::Signaled(signal, status.core_dumped()),
        (None, None) => ExecResult::Lost,
    }
}
