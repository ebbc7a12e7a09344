//! Power of a native host: the keeper runs nspawn again. Depends on `boot`. Called through `Host`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Native;
use crate::host::machine::{Machine, say};
use crate::host::running::Process;

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
        self.now_off("off 0")
    }

    fn crash(&self) -> Result<()> {
        kill(Pid::from_raw(self.leader()?), Signal::SIGKILL)?;
        self.now_off("off")
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
        self.now_off("off")
    }

    fn now_off(&self, wanted: &str) -> Result<()> {
        let mut keeper = self.keeper();
        keeper.expect(wanted)?;
        keeper.leader = None;
        Ok(())
    }
}
