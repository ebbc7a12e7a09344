//! A start, and finding again what was started by another daemon.
//!
//! Order: the monitor mounts the root while PID 1 makes the scope; then the payload is born and the veth pairs are
//! made in its namespace while it mounts the rest; then it goes, is verified, and only then is it running.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lxhost_engine::ports::launcher::{LaunchSpec, Ready, Running};
use lxhost_model::{Error, Kind, ObjectId, Result};
use tokio::time::timeout;

use super::error::{launch_error, unit_error};
use super::live::Live;
use super::{HostLauncher, inside, nic, record, spec};
use crate::machined::Machine;
use crate::monitor::{Created, Launching, Monitor, MonitorError, read_exit_record};
use crate::units::{ScopeSpec, UnitError, cgroup_of_scope, scope_of};
use crate::verify::{Missing, verify};

/// How long a monitor may take to answer. It never waits for anything itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the remains of an earlier scope of the same name may take to be forgotten by PID 1.
const REMAINS: Duration = Duration::from_secs(2);

impl HostLauncher {
    pub(super) async fn start(&self, spec: LaunchSpec, ready: Ready) -> Result<Running> {
        let result = self.try_start(&spec, ready).await;
        if result.is_err() {
            // Dropping the launch has ended the monitor; what it and PID 1 leave is waited for.
            let own = !matches!(&result, Err(error) if error.kind == Kind::AlreadyExists);
            if own && let Err(error) = self.remove(spec.id, &spec.machine).await {
                tracing::warn!(LXHOST_INSTANCE = %spec.machine, "after a failed start: {error}");
            }
        }
        result
    }

    async fn try_start(&self, spec: &LaunchSpec, ready: Ready) -> Result<Running> {
        let unit = scope_of(&spec.machine);
        let dir = self.runtime_dir(spec.id);
        make_runtime_dir(&dir)?;
        record::write(&dir, &self.about(spec).await?)?;
        let message = spec::launch_message(spec, &dir, &self.seccomp);
        let failed = |error| launch_error(&spec.machine, error);
        let mut launching = Launching::begin(&self.program, message).await.map_err(failed)?;
        if let Err(error) = self.make_scope(spec, &unit, launching.pid()).await {
            // PID 1 finds no process when the monitor has failed meanwhile: its reason is the better one.
            return Err(launching.failure().await.map_or(error, failed));
        }
        let cgroup = cgroup_of_scope(&unit);
        let created = patiently(launching.scope_ready(&cgroup)).await.map_err(failed)?;
        self.make_links(spec, &created).await?;
        ready.await?;
        let (monitor, events, started) = patiently(launching.go()).await.map_err(failed)?;
        match verify(started.pid, &spec::expectation(spec)) {
            // An init that has ended already has nothing to isolate; its end is reported as any other.
            Ok(()) | Err(Missing::Gone { .. }) => {}
            Err(missing) => return Err(Error::failed(format!("instance {}: {missing}", spec.machine))),
        }
        let live = Live::new(spec.id, &spec.machine, started.pid, cgroup, monitor);
        for nic in &spec.nics {
            inside::configure(&live, nic).await.map_err(|error| error.context(format!("instance {}", spec.machine)))?;
        }
        let running = live.running(since_now());
        live.keep_namespace(&record::read(&dir)).await;
        self.follow(Arc::new(live), events);
        self.register(spec, started.pid).await;
        Ok(running)
    }

    async fn make_scope(&self, spec: &LaunchSpec, unit: &str, pid: u32) -> Result<()> {
        let scope = ScopeSpec {
            unit: unit.to_owned(),
            description: format!("Container {}", spec.machine),
            pid,
            stop_timeout: spec.stop_timeout,
            memory: spec.limits.memory,
            tasks: spec.limits.processes,
            cpu_quota: spec.limits.cpu_quota,
        };
        let begin = tokio::time::Instant::now();
        loop {
            match self.units.start_scope(&scope).await {
                // The scope of the run before, whose last process has ended and which PID 1 has not yet forgotten.
                Err(UnitError::Exists { .. }) if begin.elapsed() < REMAINS && !self.is_active(unit).await => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                other => return other.map_err(|error| unit_error(&spec.machine, error)),
            }
        }
    }

    async fn is_active(&self, unit: &str) -> bool {
        self.units.is_active(unit).await.unwrap_or(true)
    }

    async fn about(&self, spec: &LaunchSpec) -> Result<Vec<record::Made>> {
        let mut about = Vec::new();
        for nic in &spec.nics {
            about.push(nic::about(&self.netlink, nic).await?);
        }
        Ok(about)
    }

    async fn make_links(&self, spec: &LaunchSpec, created: &Created) -> Result<()> {
        for nic in &spec.nics {
            let made = nic::make(&self.netlink, created.pid, nic).await;
            made.map_err(|error| error.context(format!("instance {}", spec.machine)))?;
        }
        Ok(())
    }

    /// Tells machined, without anybody waiting for it.
    async fn register(&self, spec: &LaunchSpec, leader: u32) {
        // Whoever asks for an address that holds on a link is told that link: one port of a bridge reaches nobody.
        let mut interfaces = BTreeSet::new();
        for nic in &spec.nics {
            let Some(end) = nic.host_end() else { continue };
            if let Ok(Some(link)) = self.netlink.link(&end.name).await {
                interfaces.insert(link.controller.unwrap_or(link.index).cast_signed());
            }
        }
        let interfaces = interfaces.into_iter().collect();
        let machine = Machine { name: spec.machine.clone(), id: *spec.id.bytes(), leader, interfaces };
        let machines = self.machines.clone();
        tokio::spawn(async move {
            if let Err(error) = machines.register(&machine).await {
                tracing::info!(LXHOST_INSTANCE = %machine.name, "machined does not know it: {error}");
            }
        });
    }

    pub(super) async fn take_over(&self, id: ObjectId, machine: &str) -> Result<Option<Running>> {
        if let Ok(live) = self.table.get(id) {
            return Ok(Some(live.running(since_now())));
        }
        let dir = self.runtime_dir(id);
        let adopted = match patiently(Monitor::adopt(&dir)).await {
            // It ended between the connection and its answer: a launch that is undone, or the last moment of a run.
            Err(MonitorError::Gone) => None,
            other => other.map_err(|error| launch_error(machine, error))?,
        };
        let Some(adopted) = adopted else {
            let record = read_exit_record(&dir).map_err(|error| launch_error(machine, error))?;
            self.remove(id, machine).await?;
            if let Some(record) = record {
                self.table.report_record(id, &record);
            }
            return Ok(None);
        };
        let welcome = adopted.welcome;
        let live = Live::new(id, machine, welcome.payload_pid, welcome.cgroup.clone(), adopted.monitor);
        live.remember(&welcome);
        live.keep_namespace(&record::read(&dir)).await;
        let live = Arc::new(live);
        let mut running = live.running(since_boot(welcome.started_usec));
        let number = |id: u64| u32::try_from(id).ok();
        let alive = welcome.sessions.iter().filter(|session| session.exited.is_none());
        running.sessions = alive.filter_map(|session| number(session.id)).collect();
        for end in welcome.sessions.into_iter().filter_map(|session| session.exited) {
            self.table.report_session(&live, &end);
        }
        self.follow(live, adopted.events);
        Ok(Some(running))
    }
}

async fn patiently<T>(work: impl Future<Output = std::result::Result<T, MonitorError>>) -> std::result::Result<T, MonitorError> {
    timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(MonitorError::Io { what: "wait for the monitor".to_owned(), source: ErrorKind::TimedOut.into() }))
}

fn make_runtime_dir(dir: &Path) -> Result<()> {
    let fail = |error| Error::io(format!("make {}", dir.display()), &error);
    if let Some(parent) = dir.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o711).create(parent).map_err(fail)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(fail),
    }
}

fn since_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_micros() as u64
}

/// A moment of CLOCK_BOOTTIME on the wall clock.
fn since_boot(usec: u64) -> u64 {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let boot = boot.tv_sec as u64 * 1_000_000 + boot.tv_nsec as u64 / 1000;
    since_now().saturating_sub(boot.saturating_sub(usec))
}
