//! The process around an emulator: PID 1 of a process namespace that ends when its standard input does,
//! when its time is over, or when what it started ends; with it the kernel kills whatever is left. It
//! holds the lock that says that a host's directory is in use. Depends on unshare(1). Called by
//! `host::full` and, as the process itself, by `keeper::run_if_asked`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The argument that makes this program a watcher.
pub(super) const ARGUMENT: &str = "--watch-process";

/// A command that runs the words added to it, in the network of another process if one is named.
pub(super) fn command(directory: &Path, life: Duration, network: Option<u32>) -> Result<Command> {
    let mut command = joined(network, "unshare");
    command.args(["--pid", "--fork", "--kill-child=KILL", "--"]);
    command.arg(std::env::current_exe()?).arg(ARGUMENT).arg(directory).arg(life.as_secs().to_string());
    Ok(command)
}

/// A command that starts in the network of another process if one is named.
pub(super) fn joined(network: Option<u32>, program: &str) -> Command {
    match network {
        None => Command::new(program),
        Some(pid) => {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net=/proc/{pid}/ns/net")).args(["--", program]);
            command
        }
    }
}

/// Watches the process of these arguments to its end.
pub(super) fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let directory = arguments.next().context("which directory")?;
    let life = arguments.next().context("how long")?.parse()?;
    let lock = File::create(Path::new(&directory).join("lock"))?;
    lock.lock().context("locking the host's directory")?;
    let program = arguments.next().context("which program")?;
    let mut child = Command::new(&program).args(arguments).stdin(Stdio::null()).spawn().context(program)?;
    let (sender, ended) = mpsc::channel();
    let owner = sender.clone();
    thread::spawn(move || {
        // The owner writes nothing: what comes is its end.
        let _ = std::io::stdin().read(&mut [0]);
        let _ = owner.send(None);
    });
    thread::spawn(move || sender.send(child.wait().ok()));
    match ended.recv_timeout(Duration::from_secs(life)) {
        Ok(None) => Ok(()),
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => bail!("the emulator ended: {status}"),
        Err(_) => bail!("the host's {life} s are over"),
    }
}
