//! Runs a program in a transient service of PID 1 that can do nothing but what its spec names.
//!
//! The service is `Type=oneshot`: its start job ends when the program does. Depends on zbus and the
//! engine's port; called by the image store and the sources of images.

mod properties;
pub(crate) mod stderr;

use crate::units::{ManagerProxy, UnitError, Units};
use async_trait::async_trait;
use lxhost_engine::ports::{Sandbox, SandboxExit, SandboxSpec};
use lxhost_model::{Error, Kind, Result};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use stderr::Listener;

#[zbus::proxy(interface = "org.freedesktop.systemd1.Service", default_service = "org.freedesktop.systemd1")]
trait Service {
    #[zbus(property(emits_changed_signal = "false"))]
    fn exec_main_code(&self) -> zbus::Result<i32>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn exec_main_status(&self) -> zbus::Result<i32>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn result(&self) -> zbus::Result<String>;
}

/// The sandbox of a host with systemd.
#[derive(Debug)]
pub struct SystemdSandbox {
    units: Units,
    manager: ManagerProxy<'static>,
    roots: PathBuf,
    next: AtomicU32,
}

impl SystemdSandbox {
    /// Starts units through `units`; `connection` is the one that these use. Mount points are made in
    /// `sandbox/` below the daemon's runtime directory `run`.
    ///
    /// # Errors
    /// `Failed` when PID 1 is not on the bus.
    pub async fn new(units: Units, connection: &zbus::Connection, run: &Path) -> Result<Self> {
        let manager = ManagerProxy::new(connection).await.map_err(|e| Error::failed(format!("systemd: {e}")))?;
        let roots = run.join("sandbox");
        let left: Vec<PathBuf> = std::fs::read_dir(&roots).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        if !left.is_empty() {
            tokio::spawn(sweep(units.clone(), manager.clone(), left));
        }
        Ok(SystemdSandbox { units, manager, roots, next: AtomicU32::new(0) })
    }

    /// A name nobody else has: PID 1 keeps units longer than we live.
    fn unit_name(&self, first: &str) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros());
        format!("{first}-{:x}-{now:x}-{number}.service", std::process::id())
    }
}

#[async_trait]
impl Sandbox for SystemdSandbox {
    async fn run(&self, spec: SandboxSpec, progress: &(dyn for<'l> Fn(&'l str) + Send + Sync)) -> Result<SandboxExit> {
        let unit = self.unit_name(&spec.unit);
        let (mut listener, stderr) = Listener::new(spec.builds).map_err(|e| Error::io(format!("unit {unit}"), &e))?;
        let root = Root::new(&self.roots, &unit)?;
        if spec.served.is_some() {
            root.knows_root().map_err(|e| Error::io(format!("unit {unit}"), &e))?;
        }
        // From here on, whatever happens, the unit is stopped and released.
        let guard = Guard { manager: Some(self.manager.clone()), units: self.units.clone(), unit: unit.clone() };
        let started = async {
            let properties = properties::of(&spec, &root.0, &stderr);
            self.units.start_transient(&unit, &properties).await
        };
        let ended = {
            let mut started = std::pin::pin!(started);
            loop {
                tokio::select! {
                    end = &mut started => break end,
                    Some(line) = listener.next() => progress(&line),
                    else => {}
                }
            }
        };
        // Our copies of the program's descriptors: its pipes end when it ends.
        drop(spec);
        drop(stderr);
        listener.rest().for_each(|line| progress(&line));
        let exit = match ended {
            // The start job of a oneshot service fails when its program does.
            Ok(()) | Err(UnitError::Job { .. }) => self.outcome(&unit).await,
            Err(error) => Err(Error::failed(error.to_string())),
        };
        guard.release().await;
        Ok(SandboxExit { status: exit?, stderr: listener.last_words() })
    }
}

impl SystemdSandbox {
    /// How the unit's program ended. The unit is still loaded: we hold a reference (`AddRef`).
    async fn outcome(&self, unit: &str) -> Result<i32> {
        let failed = |error: zbus::Error| Error::failed(format!("unit {unit}: {error}"));
        let path = self.manager.get_unit(unit).await.map_err(failed)?;
        let service = ServiceProxy::builder(self.manager.inner().connection()).path(path);
        let service = service.cache_properties(zbus::proxy::CacheProperties::No).build().await.map_err(failed)?;
        let (result, code) = (service.result().await.map_err(failed)?, service.exec_main_code().await.map_err(failed)?);
        let status = service.exec_main_status().await.map_err(failed)?;
        match (result.as_str(), code) {
            ("timeout", _) => Err(Error::new(Kind::Timeout, format!("unit {unit} took too long"))),
            ("oom-kill", _) => Err(Error::failed(format!("unit {unit} used too much memory"))),
            // Statuses of 200 and more are systemd's own: the program was never started (systemd.exec(5)).
            (_, CLD_EXITED) if (200..=245).contains(&status) => {
                Err(Error::failed(format!("unit {unit} could not be set up (status {status}); see journalctl -u {unit}")))
            }
            (_, CLD_EXITED) => Ok(status),
            (_, CLD_KILLED | CLD_DUMPED) => Ok(128 + status),
            _ => Err(Error::failed(format!("unit {unit} could not be started: {result}"))),
        }
    }
}

/// Ends what a daemon that died had in sandboxes, and removes their mount points.
async fn sweep(units: Units, manager: ManagerProxy<'static>, left: Vec<PathBuf>) {
    for path in left {
        let Some(unit) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        // Most of them have ended; then there is nothing to stop or to forget.
        let _ = units.stop(&unit).await;
        let _ = manager.reset_failed_unit(&unit).await;
        drop(Root(path));
    }
}

/// A directory for the unit's mount points, removed with what systemd left in it: empty files and
/// directories.
struct Root(PathBuf);

impl Root {
    fn new(roots: &Path, unit: &str) -> Result<Root> {
        let path = roots.join(unit);
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&path);
        made.map(|()| Root(path)).map_err(|e| Error::io(format!("unit {unit}"), &e))
    }
}

impl Root {
    /// Who looks for users finds root, and none of this host or of the tree.
    fn knows_root(&self) -> std::io::Result<()> {
        let etc = self.0.join("etc");
        std::fs::create_dir(&etc)?;
        std::fs::write(etc.join("passwd"), "root:x:0:0:root:/:/usr/sbin/nologin\n")
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "a sandbox's mount points were left");
        }
    }
}

/// `si_code` of an exited, killed and dumped process (sigaction(2)).
const CLD_EXITED: i32 = 1;
const CLD_KILLED: i32 = 2;
const CLD_DUMPED: i32 = 3;

/// Stops the unit when the call is dropped before its end.
struct Guard {
    manager: Option<ManagerProxy<'static>>,
    units: Units,
    unit: String,
}

impl Guard {
    /// Lets go of a unit that has ended: PID 1 forgets it.
    async fn release(mut self) {
        if let Some(manager) = self.manager.take() {
            // Fails when the unit has succeeded, or is gone: nothing to forget then.
            let _ = manager.reset_failed_unit(&self.unit).await;
            let _ = manager.unref_unit(&self.unit).await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(manager) = self.manager.take() else { return };
        let (unit, units) = (std::mem::take(&mut self.unit), self.units.clone());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = units.stop(&unit).await {
                tracing::debug!(unit, %error, "a sandbox was not stopped");
            }
            let _ = manager.reset_failed_unit(&unit).await;
            let _ = manager.unref_unit(&unit).await;
        });
    }
}
