//! The engine's `Launcher` on a real host: PID 1's scope, the monitor, the veth pairs, the check from /proc, machined.
//!
//! Depends on `units`, `monitor`, `verify`, `machined` and `netlink`. Keeps in memory only what monitors can say again.

mod counters;
mod disk;
mod error;
mod holders;
pub(crate) mod init;
mod inside;
mod launch;
mod live;
mod nic;
mod rates;
mod record;
mod session;
mod spec;
mod stop;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lxhost_engine::ports::NicSpec;
use lxhost_engine::ports::launcher::{
    Counters, DiskSpec, Exec, LaunchSpec, Launcher, LauncherEvent, Ready, Running, Streams, Whom,
};
use lxhost_model::{Error, ObjectId, Result};
use lxhost_netlink::Handle;

use self::live::Table;
use crate::machined::Machines;
use crate::seccomp::{Allowed, SeccompFailure, compile};
use crate::units::{UnitError, Units};

/// How long a systemd that has just been started may take until it handles its stop signal, and how often it is
/// looked at: nothing tells when it does.
const INIT_PATIENCE: Duration = Duration::from_secs(5);
const INIT_STEP: Duration = Duration::from_millis(5);

/// Why there is no launcher.
#[derive(Debug, thiserror::Error)]
pub enum LauncherFailure {
    /// PID 1 cannot be talked to.
    #[error(transparent)]
    Units(#[from] UnitError),
    /// No filter can be compiled.
    #[error(transparent)]
    Seccomp(#[from] SeccompFailure),
}

/// Containers on this host.
pub struct HostLauncher {
    program: PathBuf,
    run_dir: PathBuf,
    units: Units,
    machines: Machines,
    netlink: Handle,
    seccomp: Vec<u8>,
    table: Arc<Table>,
}

impl HostLauncher {
    /// Uses `connection` as a client only; `run_dir` is `/run/lxhost/instances`, `program` the monitor.
    ///
    /// # Errors
    /// `Units`, `Seccomp`.
    pub async fn new(
        connection: &zbus::Connection,
        units: Units,
        netlink: Handle,
        program: PathBuf,
        run_dir: PathBuf,
    ) -> std::result::Result<Self, LauncherFailure> {
        let table = Arc::new(Table::new());
        let mut requests = units.stop_requests().await?;
        let to = Arc::clone(&table);
        tokio::spawn(async move {
            while let Some(unit) = requests.recv().await {
                to.stop_requested(&unit);
            }
        });
        let machines = Machines::new(connection);
        Ok(Self { program, run_dir, units, machines, netlink, seccomp: compile(Allowed::default())?, table })
    }

    fn runtime_dir(&self, id: ObjectId) -> PathBuf {
        self.run_dir.join(id.to_string())
    }
}

#[async_trait]
impl Launcher for HostLauncher {
    async fn launch(&self, spec: LaunchSpec, ready: Ready) -> Result<Running> {
        self.start(spec, ready).await
    }

    async fn adopt(&self, id: ObjectId, machine: &str) -> Result<Option<Running>> {
        self.take_over(id, machine).await
    }

    async fn shut_down(&self, id: ObjectId) -> Result<()> {
        let live = self.table.get(id)?;
        if init::is_sysvinit(live.leader) && live.tell(init::SYSVINIT).await.is_ok() {
            return Ok(());
        }
        let signal = init::stop_signal(live.leader);
        let begin = tokio::time::Instant::now();
        while signal == init::SYSTEMD && !init::would_arrive(live.leader, signal) && begin.elapsed() < INIT_PATIENCE {
            tokio::time::sleep(INIT_STEP).await;
        }
        live.monitor.signal(signal).await.map_err(|error| live.error(error))
    }

    async fn signal(&self, id: ObjectId, whom: Whom, signal: i32) -> Result<()> {
        self.send_signal(id, whom, signal).await
    }

    async fn kill(&self, id: ObjectId, machine: &str) -> Result<()> {
        self.remove(id, machine).await
    }

    async fn forget(&self, id: ObjectId) -> Result<()> {
        let dir = self.runtime_dir(id);
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("remove {}", dir.display()), &error))
            }
            _ => Ok(()),
        }
    }

    async fn plug(&self, id: ObjectId, nic: &NicSpec) -> Result<()> {
        self.plug_in(id, nic).await
    }

    async fn unplug(&self, id: ObjectId, name: &str) -> Result<()> {
        self.unplug_from(id, name).await
    }

    async fn attach(&self, id: ObjectId, disk: &DiskSpec) -> Result<()> {
        self.attach_disk(id, disk).await
    }

    async fn detach(&self, id: ObjectId, target: &str) -> Result<()> {
        self.detach_disk(id, target).await
    }

    async fn freeze(&self, id: ObjectId) -> Result<()> {
        let live = self.table.get(id)?;
        live.monitor.freeze().await.map_err(|error| live.error(error))
    }

    async fn thaw(&self, id: ObjectId) -> Result<()> {
        let live = self.table.get(id)?;
        live.monitor.thaw().await.map_err(|error| live.error(error))
    }

    async fn exec(&self, id: ObjectId, exec: Exec, streams: Streams) -> Result<u32> {
        self.run(id, exec, streams).await
    }

    async fn exec_pty(&self, id: ObjectId, exec: Exec) -> Result<(u32, OwnedFd, String)> {
        self.run_on_terminal(id, exec).await
    }

    async fn exec_signal(&self, id: ObjectId, session: u32, signal: i32) -> Result<()> {
        let live = self.table.get(id)?;
        let signal = u32::try_from(signal).map_err(|_| Error::failed("a signal is a positive number"))?;
        live.monitor.exec_signal(session.into(), signal).await.map_err(|error| live.error(error))
    }

    async fn exec_resize(&self, id: ObjectId, session: u32, rows: u16, columns: u16) -> Result<()> {
        let live = self.table.get(id)?;
        live.monitor.exec_resize(session.into(), rows, columns).await.map_err(|error| live.error(error))
    }

    async fn console(&self, id: ObjectId) -> Result<OwnedFd> {
        self.open_console(id).await
    }

    async fn console_resize(&self, id: ObjectId, rows: u16, columns: u16) -> Result<()> {
        let live = self.table.get(id)?;
        live.monitor.console_resize(rows, columns).await.map_err(|error| live.error(error))
    }

    async fn console_log(&self, id: ObjectId) -> Result<OwnedFd> {
        self.open_console_log(id).await
    }

    async fn counters(&self, id: ObjectId) -> Result<Counters> {
        let live = self.table.get(id)?;
        Ok(counters::read(&live.cgroup.join("payload")))
    }

    async fn next_event(&self) -> Option<LauncherEvent> {
        self.table.next_event().await
    }
}
