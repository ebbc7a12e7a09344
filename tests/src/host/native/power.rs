//! Power of a native host: the keeper runs nspawn again. Depends on `boot`. Called through `Host`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Native;
use crate::host::machine::{Machine, say};
use crate::host::running::Process;

/// How long an orderly shutdown may take: guests are stopped first.
const STOP_LIMIT: Duration = Duration::from_secs(120);
/// Killed processes may be a moment on their way out.
const CRASH_LIMIT: Duration = Duration::from_secs(30);
/// No limit that anybody would live to see.
const EVER: Duration = Duration::from_secs(1 << 30);
/// What the keeper says of a host that is off, however it ended.
const OFF: &str = "off";

impl Machine for Native {
    fn start(&self, argv: &[String]) -> Result<Process> {
        self.start_process(argv)
    }

    fn reboot(&self) -> Result<()> {
        let before = self.leader()?;
        // The command's own connection may end before its answer.
        let _ = say(self, &["systemctl", "reboot"], Duration::from_secs(10));
        self.wait_until_up(Some(before))
    }

    fn power_off(&self) -> Result<()> {
        self.leader()?;
        let _ = say(self, &["systemctl", "poweroff"], Duration::from_secs(10));
        self.now_off("off 0", STOP_LIMIT)
    }

    fn crash(&self) -> Result<()> {
        kill(Pid::from_raw(self.leader()?), Signal::SIGKILL)?;
        self.now_off(OFF, CRASH_LIMIT)
    }

    fn hang(&self) -> Result<()> {
        Ok(kill(Pid::from_raw(self.leader()?), Signal::SIGSTOP)?)
    }

    fn power_on(&self) -> Result<()> {
        self.switch_on()
    }

    fn share(&self) -> PathBuf {
        self.directory.join("lab")
    }

    fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Native {
    /// Waits until it powers off by itself.
    ///
    /// # Errors
    /// When it was off.
    pub fn wait_off(&self) -> Result<()> {
        self.leader()?;
        self.now_off(OFF, EVER)
    }

    /// Waits until the keeper says that the host is off; others may ask the keeper meanwhile, and take the host down.
    fn now_off(&self, wanted: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            self.listen(Duration::from_secs(1))?;
            let mut keeper = self.keeper();
            if keeper.leader.is_none() {
                ensure!(wanted == OFF, "somebody else has ended the host");
                return Ok(());
            }
            if let Some(report) = keeper.said()? {
                keeper.leader = None;
                ensure!(report.starts_with(wanted), "the host's keeper says {report:?}, not {wanted:?}");
                return Ok(());
            }
        }
        bail!("the host did not go off in {} s{}", limit.as_secs(), self.console())
    }
}
