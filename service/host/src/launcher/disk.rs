//! Disks of containers that run: the monitor mounts and unmounts them; what keeps one busy is looked up here.

use lxhost_contract::Refusal;
use lxhost_engine::ports::launcher::DiskSpec;
use lxhost_model::{Error, Kind, ObjectId, Result};
use rustix::io::Errno;

use super::{HostLauncher, holders, spec};
use crate::monitor::MonitorError;

impl HostLauncher {
    pub(super) async fn attach_disk(&self, id: ObjectId, disk: &DiskSpec) -> Result<()> {
        let live = self.table.get(id)?;
        live.monitor.attach(spec::disk(disk)).await.map_err(|error| live.error(error))
    }

    pub(super) async fn detach_disk(&self, id: ObjectId, target: &str) -> Result<()> {
        // Disks end with the run.
        let Ok(live) = self.table.get(id) else { return Ok(()) };
        match live.monitor.detach(target).await {
            Err(MonitorError::Gone) => Ok(()),
            Err(MonitorError::Refused { reason: Refusal::Failed, subject, errno: Errno::BUSY }) => {
                let (leader, payload, path) = (live.leader, live.cgroup.join("payload"), target.to_owned());
                let found = tokio::task::spawn_blocking(move || holders::of(leader, &payload, &path)).await.unwrap_or_default();
                let why = match &found[..] {
                    [] => format!("{subject}: something inside uses it"),
                    found => format!("{target} is in use by {}", found.join(", ")),
                };
                Err(Error::new(Kind::InUse, format!("instance {}: {why}", live.machine)))
            }
            other => other.map_err(|error| live.error(error)),
        }
    }
}
