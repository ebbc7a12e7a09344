//! Boots a host and takes it away again. Depends on unshare(1), `keeper` and `cgroup`. Called by suites
//! through `Host::boot`, and by every program once through `sweep`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::cgroup::Cgroup;
use super::{Keeper, Native, leader};
use crate::cache::{self, Cache};
use crate::host::keeper;
use crate::host::machine::say;
use crate::host::spec::HostSpec;
use crate::host::watch::joined;
use crate::relay::Relay;
use crate::tool;

/// A boot takes two seconds; on a busy machine it may take many times that.
const BOOT_LIMIT: Duration = Duration::from_secs(90);

impl Native {
    /// Boots a host and waits until its systemd has started everything.
    ///
    /// # Errors
    /// When the machine lacks a tool or a right, or the host does not come up; the message has the end
    /// of its console.
    pub fn boot(cache: &Cache, spec: &HostSpec) -> Result<Self> {
        let (id, directory) = crate::host::directory(cache)?;
        let host = Self::prepare(cache, spec, &id, &directory);
        if host.is_err() {
            cache::remove(&directory)?;
        }
        let host = host?;
        host.switch_on()?;
        Ok(host)
    }

    fn prepare(cache: &Cache, spec: &HostSpec, id: &str, directory: &Path) -> Result<Self> {
        for name in ["lab", "state"] {
            fs::create_dir_all(directory.join(name))?;
        }
        let relay = Relay::on_socket(cache, &directory.join("lab/mirror.sock"))?;
        let cgroup = Cgroup::create(id)?;
        let mut process = tool::start(
            joined(spec.network, "unshare")
                .args(["--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--propagation=private", "--"])
                .arg(std::env::current_exe()?)
                .arg(keeper::ARGUMENT)
                .arg(directory)
                .arg(serde_json::to_string(spec)?)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        )?;
        let (Some(orders), Some(reports)) = (process.stdin.take(), process.stdout.take()) else { bail!("unshare has no pipes") };
        let keeper = Mutex::new(Keeper { process, orders: Some(orders), reports: BufReader::new(reports), leader: None });
        let host = Self { directory: directory.to_owned(), keeper, cgroup, _relay: relay };
        {
            let mut keeper = host.keeper();
            keeper.expect("prepared")?;
            for pid in leader::children(keeper.process.id()) {
                host.cgroup.adopt(pid)?;
            }
        }
        Ok(host)
    }

    /// Boots a host that was prepared or is off.
    pub(super) fn switch_on(&self) -> Result<()> {
        self.keeper().order("boot")?;
        self.wait_until_up(None)
    }

    /// Waits until a PID 1 other than `before` has started everything.
    pub(super) fn wait_until_up(&self, before: Option<i32>) -> Result<()> {
        let deadline = Instant::now() + BOOT_LIMIT;
        let unshare = self.keeper().process.id();
        while Instant::now() < deadline {
            self.listen(Duration::from_millis(15))?;
            if let Some(report) = self.keeper().said()? {
                bail!("the host ended while it booted ({report}){}", self.console());
            }
            // Whoever asks before PID 1 listens is refused at once, and asking again and again takes what the boot needs.
            let listens = |leader: &i32| Path::new(&format!("/proc/{leader}/root/run/systemd/private")).exists();
            let Some(found) = leader::find(unshare).filter(|found| Some(*found) != before).filter(listens) else { continue };
            self.keeper().leader = Some(found);
            let left = deadline.saturating_duration_since(Instant::now());
            let state = say(self, &["systemctl", "is-system-running", "--wait"], left)?;
            if ["running\n", "degraded\n"].contains(&state.stdout_text().as_str()) {
                return Ok(());
            }
        }
        bail!("the host did not come up in {} s{}", BOOT_LIMIT.as_secs(), self.console())
    }

    /// Waits until the keeper says something, at most so long.
    pub(super) fn listen(&self, limit: Duration) -> Result<()> {
        let reports = self.keeper().reports.get_ref().as_fd().try_clone_to_owned()?;
        poll(&mut [PollFd::new(&reports, PollFlags::IN)], Some(&Timespec::try_from(limit)?))?;
        Ok(())
    }

    /// The end of its console, for messages.
    pub(super) fn console(&self) -> String {
        let console = fs::read_to_string(self.directory.join("console.log")).unwrap_or_default();
        let lines: Vec<&str> = console.lines().collect();
        format!("; the end of its console:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"))
    }

    pub(super) fn keeper(&self) -> std::sync::MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The host's PID 1 as the machine counts.
    ///
    /// # Errors
    /// When the host is off.
    pub fn leader(&self) -> Result<i32> {
        self.keeper().leader.context("the host is off")
    }
}

impl Keeper {
    pub(super) fn order(&mut self, order: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("the host is being taken away")?;
        writeln!(orders, "{order}").context("the host's keeper is gone")
    }

    /// The keeper's next report, if it has made one.
    pub(super) fn said(&mut self) -> Result<Option<String>> {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut waiting = [PollFd::new(self.reports.get_ref(), PollFlags::IN)];
        if self.reports.buffer().is_empty() && poll(&mut waiting, Some(&now))? == 0 {
            return Ok(None);
        }
        self.expect("").map(Some)
    }

    /// Reads the keeper's next report, which has to begin with `wanted`.
    pub(super) fn expect(&mut self, wanted: &str) -> Result<String> {
        let mut line = String::new();
        self.reports.read_line(&mut line)?;
        let line = line.trim_end().to_owned();
        if line.starts_with(wanted) { Ok(line) } else { bail!("the host's keeper says {line:?}, not {wanted:?}") }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let directory = self.directory.clone();
        let mut keeper = self.keeper();
        keeper.leader = None;
        // Closing its input is the order to end.
        keeper.orders = None;
        let _ = keeper.process.wait();
        if let Err(error) = cache::remove(&directory) {
            eprintln!("a host left something: {error:#}");
        }
    }
}

/// Removes what hosts of killed programs left in the cache and in cgroupfs. Hosts that live are kept.
///
/// # Errors
/// When something of theirs cannot be removed.
pub(crate) fn sweep(cache: &Cache) -> Result<()> {
    for entry in fs::read_dir(cache.directory("hosts")?)?.flatten() {
        let directory: PathBuf = entry.path();
        let lock = File::options().write(true).open(directory.join("lock"));
        let dead = lock.is_ok_and(|lock| lock.try_lock().is_ok());
        if dead {
            drop(Cgroup::left_behind(&entry.file_name().to_string_lossy())?);
            cache::remove(&directory)?;
        }
    }
    Ok(())
}
