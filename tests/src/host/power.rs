//! Power: reboot, power off, crash and on again, with the root and `/var/lib/lxhost` kept. Depends on
//! the keeper, which runs the host again. Called by suites.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Host;

impl Host {
    /// Reboots in an orderly way and waits until everything is up again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn reboot(&self) -> Result<()> {
        let before = self.leader()?;
        // The command's own connection may end before its answer.
        let _ = self.command(["systemctl", "reboot"]).timeout(Duration::from_secs(10)).output();
        self.wait_until_up(Some(before))
    }

    /// Powers off in an orderly way and waits until it is off.
    ///
    /// # Errors
    /// When it was off, or ends in another way.
    pub fn power_off(&self) -> Result<()> {
        self.leader()?;
        let _ = self.command(["systemctl", "poweroff"]).timeout(Duration::from_secs(10)).output();
        self.now_off("off 0")
    }

    /// Kills every process in it at once, as a power cut does (what was written stays written).
    ///
    /// # Errors
    /// When it was off.
    pub fn crash(&self) -> Result<()> {
        kill(Pid::from_raw(self.leader()?), Signal::SIGKILL)?;
        self.now_off("off")
    }

    /// Boots it again after `power_off` or `crash`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn power_on(&self) -> Result<()> {
        self.switch_on()
    }

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
