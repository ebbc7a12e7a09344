//! Facts about this machine: the engine's `Host` port from /proc, /sys, /etc and uname(2), and the
//! findings of `lxctl doctor`. Reads only; the bus connection is the daemon's client one.

mod disk;
mod idmap;
mod kernel;
mod limits;
mod services;
mod shown;
mod source;
mod tools;

use async_trait::async_trait;
use lxhost_engine::ports::{Check, Host, Units};
use lxhost_model::schedule::Minute;
use lxhost_model::{IdRange, Result, Timestamp};
use source::Source;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use zbus::Connection;

/// What calls the daemon once a minute.
const TIMER: &str = "lxhost-snapshots.timer";

/// This machine.
pub struct Facts {
    source: Source,
    state_dir: PathBuf,
    bus: Option<Connection>,
    units: Option<Arc<dyn Units>>,
}

impl Facts {
    /// Facts of the machine whose files start at `/`, for a daemon that keeps its state in
    /// `state_dir`. Without `bus`, what only services can say is reported as unknown.
    pub fn new(state_dir: &Path, bus: Option<Connection>) -> Facts {
        Facts { source: Source::new(Path::new("/")), state_dir: state_dir.to_owned(), bus, units: None }
    }

    /// With PID 1, which has timers.
    #[must_use]
    pub fn with_units(self, units: Arc<dyn Units>) -> Facts {
        Facts { units: Some(units), ..self }
    }
}

#[async_trait]
impl Host for Facts {
    fn now(&self) -> Timestamp {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as Timestamp)
    }

    fn minute(&self, at: Timestamp) -> Minute {
        let zone = jiff::tz::TimeZone::system();
        let time = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_microsecond(at).ok()).unwrap_or_default();
        (time.as_second() + i64::from(zone.to_offset(time).seconds())).div_euclid(60)
    }

    async fn call_every_minute(&self, on: bool) -> Result<()> {
        let Some(units) = &self.units else { return Ok(()) };
        match on {
            true => units.start_service(TIMER).await,
            // PID 1 does not hear of a timer that nobody wants.
            false if units.is_active(TIMER).await? => units.stop_service(TIMER).await,
            false => Ok(()),
        }
    }

    /// From getrandom(2), which waits until the kernel has gathered enough at boot. Without chance
    /// nothing may get a name, so a kernel that refuses ends the daemon.
    fn random(&self) -> [u8; 16] {
        use rustix::rand::{GetRandomFlags, getrandom};
        let mut bytes = [0; 16];
        loop {
            match getrandom(&mut bytes, GetRandomFlags::empty()) {
                Ok(16) => return bytes,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "the kernel gives no random bytes");
                    std::process::abort();
                }
            }
        }
    }

    fn architecture(&self) -> String {
        rustix::system::uname().machine().to_string_lossy().into_owned()
    }

    fn kernel(&self) -> String {
        rustix::system::uname().release().to_string_lossy().into_owned()
    }

    fn memory(&self) -> u64 {
        let info = rustix::system::sysinfo();
        (info.totalram as u64).saturating_mul(u64::from(info.mem_unit.max(1)))
    }

    fn boot_id(&self) -> String {
        self.source.word("proc/sys/kernel/random/boot_id").unwrap_or_default()
    }

    fn state_dir(&self) -> PathBuf {
        self.state_dir.clone()
    }

    async fn taken_ids(&self) -> Result<Vec<IdRange>> {
        idmap::taken(&self.source)
    }

    async fn path_of(&self, file: OwnedFd) -> Result<String> {
        // A path may lead through a file system that does not answer.
        let found = tokio::task::spawn_blocking(move || shown::path_of(&file)).await;
        found.unwrap_or_else(|lost| Err(lxhost_model::Error::failed(format!("look at a path: {lost}"))))
    }

    async fn checks(&self) -> Vec<Check> {
        let mut found = services::systemd(&self.source, self.bus.as_ref()).await;
        found.extend(kernel::checks(&self.source, &self.kernel()));
        found.extend(disk::checks(&self.state_dir, &self.kernel()));
        found.extend(tools::checks(&self.source));
        found.extend(services::polkit(&self.source, self.bus.as_ref()).await);
        found.extend(services::machined(self.bus.as_ref()).await);
        found.extend(limits::checks(&self.source));
        found
    }
}

/// A finding that needs nothing done.
fn ok(name: &str, message: impl Into<String>) -> Check {
    Check { name: name.into(), state: "ok", message: message.into(), hint: String::new() }
}

/// A finding that lxhost can live with.
fn warn(name: &str, message: impl Into<String>, hint: impl Into<String>) -> Check {
    Check { name: name.into(), state: "warn", message: message.into(), hint: hint.into() }
}

/// A finding without whose remedy containers do not work.
fn fail(name: &str, message: impl Into<String>, hint: impl Into<String>) -> Check {
    Check { name: name.into(), state: "fail", message: message.into(), hint: hint.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_differs_each_time_and_time_does_not_stand_still() {
        let facts = Facts::new(Path::new("/"), None);
        assert_ne!(facts.random(), facts.random());
        let year_2024 = 1_704_067_200_000_000;
        assert!(facts.now() > year_2024);
    }

    #[test]
    fn the_machine_says_what_it_is() {
        let facts = Facts::new(Path::new("/var/lib/lxhost"), None);
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
        let kib: u64 = meminfo.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(facts.memory().abs_diff(kib * 1024) <= facts.memory() / 10, "{} and {kib} KiB", facts.memory());
        assert_eq!(facts.architecture(), std::env::consts::ARCH);
        assert_eq!(facts.kernel(), std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim());
        assert_eq!(facts.boot_id().len(), 36);
    }

    #[tokio::test]
    async fn a_failed_check_says_what_to_do() {
        let empty = tempfile::tempdir().unwrap();
        let facts = Facts { source: Source::new(empty.path()), state_dir: empty.path().join("gone"), bus: None, units: None };
        let checks = facts.checks().await;
        assert!(checks.iter().any(|c| c.state == "fail"));
        for check in checks {
            assert!(["ok", "warn", "fail"].contains(&check.state));
            assert_eq!(check.state == "ok", check.hint.is_empty(), "{check:?}");
            assert!(!check.message.is_empty() && !check.message.contains('\n'), "{check:?}");
        }
    }
}
