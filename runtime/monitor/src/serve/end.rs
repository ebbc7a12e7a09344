//! The end: the init is gone, so nothing of the payload may stay, and the daemon must learn it even if it is away.

use std::time::{Duration, Instant};

use lxhost_contract::{CONSOLE_NAME, EXIT_NAME, End, Event, Exited, Phase};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::Server;
use crate::failure::{During, Failure};

/// How long killed processes may take: one in uninterruptible sleep is PID 1's to wait for.
const PATIENCE: Duration = Duration::from_secs(5);

impl Server {
    /// Cleans up, records, reports.
    pub(super) fn end(mut self, status: WaitStatus) -> Result<(), Failure> {
        self.phase = Phase::Exited;
        if let Err(failure) = self.empty_payload() {
            self.complain(&failure);
        }
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if let Some(event) = self.sessions.on_exit(pid, status) {
                self.broadcast(event);
            }
        }
        let last_words = self.console.drain();
        let written = self.of.dir.write(CONSOLE_NAME, &last_words).during("record of the console");
        let exited = exited(status);
        let mut record = Vec::new();
        let ends = self.sessions.ends().map(Event::from);
        for event in std::iter::once(Event::from(exited.clone())).chain(ends) {
            let bytes = event.to_bytes(0);
            record.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            record.extend_from_slice(&bytes);
        }
        // Recorded before it is said: who hears it may rely on the file.
        let recorded = self.of.dir.write(EXIT_NAME, &[&record]).during("record of the exit");
        for failure in [written, recorded].into_iter().filter_map(Result::err) {
            self.complain(&failure);
        }
        self.of.dir.remove_socket();
        self.broadcast(exited);
        Ok(())
    }

    /// Kills what the end of the pid namespace has left: processes that were entered and not yet born into it.
    fn empty_payload(&self) -> Result<(), Failure> {
        let cgroup = &self.of.cgroup;
        let events = cgroup.events().during("cgroup.events")?;
        let begin = Instant::now();
        if cgroup.is_populated() {
            cgroup.kill().during("cgroup.kill")?;
        }
        while cgroup.is_populated() {
            if begin.elapsed() > PATIENCE {
                return Err(Failure::new("empty the payload", rustix::io::Errno::TIMEDOUT));
            }
            let tenth = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            let _ = poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&tenth));
            let mut bytes = [0; 128];
            let _ = rustix::io::pread(&events, &mut bytes, 0);
        }
        Ok(())
    }
}

/// reboot(2) in a pid namespace ends its init by SIGHUP (restart) or SIGINT (halt, power off).
fn exited(status: WaitStatus) -> Exited {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exited { end: End::Exit, code, signal: 0 },
        (_, Some(libc::SIGHUP)) => Exited { end: End::Reboot, ..Exited::default() },
        (_, Some(libc::SIGINT)) => Exited { end: End::PowerOff, ..Exited::default() },
        (_, signal) => Exited { end: End::Signal, code: 0, signal: signal.unwrap_or(0) as u32 },
    }
}
