//! The daemon of a stage's host. Depends on `stage`. Called by suites.

use anyhow::Result;

use super::Stage;

impl Stage {
    /// The pid of the daemon; `0` when none runs.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub fn daemon(&self) -> Result<String> {
        Ok(self.host.succeed(["systemctl", "show", "-P", "MainPID", "lxhostd.service"])?.trim().to_owned())
    }

    /// Kills the daemon and waits until systemd has started another that answers: what is asked before the dead one
    /// has left the bus is lost with it.
    ///
    /// # Errors
    /// When no other comes in half a minute.
    pub fn kill_daemon(&self) -> Result<()> {
        let before = self.daemon()?;
        // A daemon that dies this often is not started any more.
        self.host.succeed(["systemctl", "reset-failed", "lxhostd.service"])?;
        self.host.succeed(["kill", "-KILL", &before])?;
        self.eventually("another daemon", || {
            let now = self.daemon()?;
            let answers = self.lxctl("list").output()?.code == Some(0);
            Ok((now != before && now != "0" && answers).then_some(()))
        })
    }
}
