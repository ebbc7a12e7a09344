//! Starts programs in a native host, by nsenter(1). Depends on `leader`'s pid. Called by `power`, `boot`
//! and, on a terminal, by the lab.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Native;
use crate::host::command::within;
use crate::host::running::{Input, Life, Process};
use crate::host::stream::Stream;
use crate::tool;

/// The command that runs `argv` in the host whose PID 1 is `leader`, as root or as an ordinary user.
#[must_use]
pub fn enter(leader: i32, user: Option<&str>, env: &[(String, String)], argv: &[String]) -> Command {
    entered(leader, &within(user, env, argv))
}

fn entered(leader: i32, argv: &[String]) -> Command {
    let mut command = Command::new("nsenter");
    command.arg("--all").arg(format!("--target={leader}")).arg("--").args(argv);
    command
}

impl Native {
    pub(super) fn start_process(&self, argv: &[String]) -> Result<Process> {
        let mut command = entered(self.leader()?, argv);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = tool::start(&mut command)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else { bail!("nsenter has no pipes") };
        Ok(Process {
            stdin: Some(Input(Box::new(stdin))),
            stdout: Stream::read(stdout),
            stderr: Stream::read(stderr),
            life: Box::new(child),
        })
    }
}

impl Life for Child {
    fn end(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("a child has a pid")?;
        let fd = pidfd_open(pid, PidfdFlags::empty())?;
        let limit = Timespec::try_from(limit)?;
        let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit))?;
        Ok(if ready > 0 { Some(self.wait()?) } else { None })
    }

    fn kill(&mut self) {
        if let (Ok(pid), Ok(None)) = (i32::try_from(self.id()), self.try_wait()) {
            // Gone in between is as good.
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.wait();
    }
}
