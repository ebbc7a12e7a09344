//! Ends: signals, and the removal of everything that a run may have left.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lxhost_contract::CONSOLE_NAME;
use lxhost_engine::ports::launcher::Whom;
use lxhost_model::{Error, Kind, ObjectId, Result};
use lxhost_netlink::Handle;
use rustix::process::{Pid, Signal};

use super::record::{self, Made};
use super::{HostLauncher, nic};
use crate::units::{Units, scope_of};

/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);
const SIGKILL: i32 = 9;

impl HostLauncher {
    pub(super) async fn send_signal(&self, id: ObjectId, whom: Whom, signal: i32) -> Result<()> {
        let live = self.table.get(id)?;
        let invalid = || Error::new(Kind::InvalidArgs, format!("{signal} is not a signal"));
        let number = u32::try_from(signal).ok().filter(|number| (1..=64).contains(number)).ok_or_else(invalid)?;
        if signal == SIGKILL {
            live.killed.store(true, Ordering::Relaxed);
        }
        match whom {
            Whom::Leader => live.monitor.signal(number).await.map_err(|error| live.error(error)),
            Whom::All if signal == SIGKILL => live.monitor.kill().await.map_err(|error| live.error(error)),
            Whom::All => {
                let signal = Signal::from_named_raw(signal).ok_or_else(invalid)?;
                signal_tree(&live.cgroup.join("payload"), signal, 0);
                Ok(())
            }
        }
    }

    /// Kills and removes everything of an instance. Done when nothing is left.
    pub(super) async fn remove(&self, id: ObjectId, machine: &str) -> Result<()> {
        if let Ok(live) = self.table.get(id) {
            live.killed.store(true, Ordering::Relaxed);
            let gone = live.gone.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            // A monitor that is gone already is what we want.
            let _ = live.monitor.kill().await;
            // The kernel takes tens of milliseconds for either, so they go together.
            let made = record::read(&self.runtime_dir(id));
            let guest = live.kept_namespace();
            let ended = async { self.table.get(id).is_err() || tokio::time::timeout(PATIENCE, gone).await.is_ok() };
            // What cannot be cut now is tried again by whoever cleans up after its end.
            let (ended, _) = tokio::join!(ended, cut(&self.netlink, machine, &made, guest));
            if !ended {
                tracing::warn!(LXHOST_INSTANCE = %machine, "its monitor does not end; killing the scope");
            } else {
                return Ok(());
            }
        }
        let dir = self.runtime_dir(id);
        clear(&self.units, &self.netlink, machine, &record::read(&dir), None).await?;
        tidy(&dir).map_err(|error| Error::io(format!("tidy {}", dir.display()), &error))
    }
}

/// Removes what was for one run; the console's last words stay until the next.
fn tidy(dir: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name() == CONSOLE_NAME {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes sure that scope and links are gone.
pub(super) async fn clear(units: &Units, netlink: &Handle, machine: &str, made: &[Made], guest: Option<&Handle>) -> Result<()> {
    let unit = scope_of(machine);
    let fail = |error: crate::units::UnitError| Error::failed(format!("instance {machine}: {error}"));
    units.kill(&unit).await.map_err(fail)?;
    let stopped = tokio::time::timeout(PATIENCE, units.stop(&unit)).await;
    stopped.map_err(|_| Error::new(Kind::Timeout, format!("{unit} does not stop")))?.map_err(fail)?;
    cut(netlink, machine, made, guest).await
}

/// Removes the host's ends of its interfaces, and brings back what was the host's. One that fails does not keep the
/// others.
async fn cut(netlink: &Handle, machine: &str, made: &[Made], guest: Option<&Handle>) -> Result<()> {
    let mut failed = None;
    for made in made {
        if let Err(error) = nic::cut_one(netlink, made, guest).await {
            failed = failed.or(Some(error.context(format!("instance {machine}"))));
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Signals every process of a cgroup and those below it. A process that comes meanwhile is missed, as with kill(1).
fn signal_tree(cgroup: &Path, signal: Signal, depth: usize) {
    const DEEPEST: usize = 32;
    let processes = std::fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
    let Ok(entries) = std::fs::read_dir(cgroup) else { return };
    for entry in entries.flatten() {
        if depth < DEEPEST && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            signal_tree(&entry.path(), signal, depth + 1);
        }
    }
}
