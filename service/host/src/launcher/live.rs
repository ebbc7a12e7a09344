//! The containers that run, as this daemon knows them, and what their monitors say about them.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lxhost_contract::{End, Event, ExecExited, Exited, InterfaceAddress, Phase, Welcome};
use lxhost_engine::ports::launcher::{ExecResult, LauncherEvent, Running};
use lxhost_model::instance::{Exit, ExitReason};
use lxhost_model::{Error, Kind, ObjectId, Result};
use lxhost_netlink::Handle;
use tokio::sync::{Notify, OnceCell};

use super::HostLauncher;
use super::error::request_error;
use super::record::{self, Made, What};
use crate::monitor::{Events, ExitRecord, Monitor, MonitorError, read_exit_record};
use crate::units::scope_of;

/// One container that runs.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: ObjectId,
    pub(super) machine: String,
    pub(super) leader: u32,
    pub(super) cgroup: PathBuf,
    pub(super) monitor: Monitor,
    /// We have killed it ourselves.
    pub(super) killed: AtomicBool,
    /// Its monitor has closed: what PID 1 says of the scope from now on is our own doing.
    ended: AtomicBool,
    /// Its monitor has closed and everything about it was cleaned up.
    pub(super) gone: Notify,
    /// Its network namespace, once somebody has asked for it.
    guest: OnceCell<Handle>,
    said: Mutex<Said>,
}

/// What its monitor has said.
#[derive(Debug, Default)]
struct Said {
    ready: bool,
    frozen: bool,
    addresses: Vec<(String, IpAddr)>,
}

impl Live {
    pub(super) fn new(id: ObjectId, machine: &str, leader: u32, cgroup: PathBuf, monitor: Monitor) -> Self {
        Self {
            id,
            machine: machine.to_owned(),
            leader,
            cgroup,
            monitor,
            killed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            gone: Notify::new(),
            guest: OnceCell::new(),
            said: Mutex::default(),
        }
    }

    /// Its network namespace.
    pub(super) async fn guest(&self) -> Result<&Handle> {
        let open = async || {
            let socket = self.monitor.route_socket().await.map_err(|error| self.error(error))?;
            Handle::through(socket).map_err(|error| Error::failed(format!("instance {}: {error}", self.machine)))
        };
        self.guest.get_or_try_init(open).await
    }

    /// Its network namespace, if it was asked for.
    pub(super) fn kept_namespace(&self) -> Option<&Handle> {
        self.guest.get()
    }

    /// Keeps the namespace alive beyond the container's end where a link of the host has to be brought back from it.
    pub(super) async fn keep_namespace(&self, made: &[Made]) {
        if made.iter().any(|made| matches!(made.what, What::Physical(_)))
            && let Err(error) = self.guest().await
        {
            tracing::warn!("links of the host come back by the kernel's own doing: {error}");
        }
    }

    pub(super) fn remember(&self, welcome: &Welcome) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.ready = welcome.ready && welcome.phase == Phase::Running;
        said.frozen = welcome.frozen;
        said.addresses = addresses(&welcome.addresses);
    }

    pub(super) fn running(&self, since: u64) -> Running {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        Running {
            leader: self.leader,
            ready: said.ready || super::init::says_nothing(self.leader),
            frozen: said.frozen,
            since,
            addresses: said.addresses.clone(),
            sessions: Vec::new(),
        }
    }

    pub(super) fn error(&self, error: MonitorError) -> Error {
        request_error(&self.machine, error)
    }
}

/// An event, and the session to acknowledge once the engine has dealt with it.
type Queued = (LauncherEvent, Option<(Arc<Live>, u64)>);

/// All containers that run, and the queue of what happens to them.
#[derive(Debug)]
pub(super) struct Table {
    live: Mutex<HashMap<ObjectId, Arc<Live>>>,
    queue: Mutex<VecDeque<Queued>>,
    more: Notify,
    /// The session whose end the engine was told last.
    told: Mutex<Option<(Arc<Live>, u64)>>,
}

impl std::fmt::Debug for HostLauncher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostLauncher").field("run_dir", &self.run_dir).finish_non_exhaustive()
    }
}

impl Table {
    pub(super) fn new() -> Self {
        Self { live: Mutex::default(), queue: Mutex::default(), more: Notify::new(), told: Mutex::default() }
    }

    /// The container, which has to run.
    pub(super) fn get(&self, id: ObjectId) -> Result<Arc<Live>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.get(&id).cloned().ok_or_else(|| Error::new(Kind::NotRunning, format!("instance {id} does not run")))
    }

    pub(super) fn insert(&self, live: Arc<Live>) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(live.id, live);
    }

    /// Forgets a container, unless another run of it has begun.
    pub(super) fn forget(&self, gone: &Arc<Live>) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if live.get(&gone.id).is_some_and(|found| Arc::ptr_eq(found, gone)) {
            live.remove(&gone.id);
        }
    }

    fn push(&self, event: LauncherEvent, acknowledge: Option<(Arc<Live>, u64)>) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back((event, acknowledge));
        self.more.notify_one();
    }

    /// The next event. Asking for it says that the one before was dealt with.
    pub(super) async fn next_event(&self) -> Option<LauncherEvent> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((live, session)) = told {
            // A monitor that has ended meanwhile has nothing to forget.
            let _ = live.monitor.exec_acknowledge(session).await;
        }
        loop {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match next {
                Some((event, acknowledge)) => {
                    *self.told.lock().unwrap_or_else(PoisonError::into_inner) = acknowledge;
                    return Some(event);
                }
                None => self.more.notified().await,
            }
        }
    }

    /// PID 1 wants a scope to end in an orderly way.
    pub(super) fn stop_requested(&self, unit: &str) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let found = live.values().find(|live| scope_of(&live.machine) == unit).cloned();
        drop(live);
        let ours = |live: &Arc<Live>| live.killed.load(Ordering::Relaxed) || live.ended.load(Ordering::Relaxed);
        if let Some(live) = found.filter(|live| !ours(live)) {
            self.push(LauncherEvent::StopRequested(live.id), None);
        }
    }

    /// A session has ended.
    pub(super) fn report_session(&self, live: &Arc<Live>, end: &ExecExited) {
        let Ok(session) = u32::try_from(end.id) else {
            // One of the launcher's own.
            let (live, own) = (Arc::clone(live), end.id);
            tokio::spawn(async move { live.monitor.exec_acknowledge(own).await });
            return;
        };
        self.push(LauncherEvent::ExecEnded(live.id, session, result(end)), Some((Arc::clone(live), end.id)));
    }

    /// A run has ended while no daemon was there.
    pub(super) fn report_record(&self, id: ObjectId, record: &ExitRecord) {
        for end in &record.sessions {
            if let Ok(session) = u32::try_from(end.id) {
                self.push(LauncherEvent::ExecEnded(id, session, result(end)), None);
            }
        }
        let exit = record.exited.as_ref().map_or(Exit { reason: ExitReason::Lost, status: 0 }, |end| exit(end, false));
        self.push(LauncherEvent::Exited(id, exit), None);
    }
}

impl HostLauncher {
    /// Turns what a monitor says into events, until it has ended.
    pub(super) fn follow(&self, live: Arc<Live>, mut events: Events) {
        self.table.insert(Arc::clone(&live));
        let (table, units, netlink) = (Arc::clone(&self.table), self.units.clone(), self.netlink.clone());
        let dir = self.runtime_dir(live.id);
        tokio::spawn(async move {
            let mut end = None;
            while let Some(incoming) = events.next().await {
                match incoming.event {
                    Event::Ready(_) => {
                        live.said.lock().unwrap_or_else(PoisonError::into_inner).ready = true;
                        table.push(LauncherEvent::Ready(live.id), None);
                    }
                    Event::Stopping(_) => table.push(LauncherEvent::Stopping(live.id), None),
                    Event::Addresses(changed) => {
                        let list = addresses(&changed.list);
                        live.said.lock().unwrap_or_else(PoisonError::into_inner).addresses.clone_from(&list);
                        table.push(LauncherEvent::Addresses(live.id, list), None);
                    }
                    Event::ExecExited(ended) => table.report_session(&live, &ended),
                    Event::Exited(exited) => end = Some(exited),
                    Event::Failed(failed) => {
                        tracing::warn!(LXHOST_INSTANCE = %live.machine, errno = failed.errno, "monitor: {}", failed.step);
                    }
                    other => tracing::debug!(LXHOST_INSTANCE = %live.machine, "monitor: {other:?}"),
                }
            }
            live.ended.store(true, Ordering::Relaxed);
            // Without a last word: killed, or too slow a reader we were. Its record may still tell.
            let end = end.or_else(|| read_exit_record(&dir).ok().flatten().and_then(|record| record.exited));
            if let Err(error) =
                super::stop::clear(&units, &netlink, &live.machine, &record::read(&dir), live.kept_namespace()).await
            {
                tracing::warn!(LXHOST_INSTANCE = %live.machine, "after its end: {error}");
            }
            table.forget(&live);
            let killed = live.killed.load(Ordering::Relaxed);
            let lost = Exit { reason: if killed { ExitReason::Killed } else { ExitReason::Lost }, status: 0 };
            table.push(LauncherEvent::Exited(live.id, end.as_ref().map_or(lost, |end| exit(end, killed))), None);
            live.gone.notify_waiters();
        });
    }
}

fn result(end: &ExecExited) -> ExecResult {
    if end.signal == 0 { ExecResult::Exited(end.code) } else { ExecResult::Signaled(end.signal as i32, end.core) }
}

fn exit(end: &Exited, killed: bool) -> Exit {
    let (reason, status) = match end.end {
        End::PowerOff => (ExitReason::Poweroff, 0),
        End::Reboot => (ExitReason::Reboot, 0),
        End::Exit if end.code == 0 => (ExitReason::Poweroff, 0),
        End::Exit => (ExitReason::Crash, end.code),
        End::Signal => (ExitReason::Crash, end.signal as i32),
    };
    Exit { reason: if killed && reason == ExitReason::Crash { ExitReason::Killed } else { reason }, status }
}

fn addresses(list: &[InterfaceAddress]) -> Vec<(String, IpAddr)> {
    list.iter()
        .filter_map(|row| {
            let bytes = row.address.0.as_slice();
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()?;
            Some((row.interface.clone(), address))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_a_crash_unless_it_was_ours() {
        let end = Exited { end: End::Signal, code: 0, signal: 9 };
        assert_eq!(exit(&end, false), Exit { reason: ExitReason::Crash, status: 9 });
        assert_eq!(exit(&end, true), Exit { reason: ExitReason::Killed, status: 9 });
    }

    #[test]
    fn a_guest_that_powers_off_while_we_kill_it_has_powered_off() {
        let end = Exited { end: End::PowerOff, code: 0, signal: 0 };
        assert_eq!(exit(&end, true).reason, ExitReason::Poweroff);
    }

    #[test]
    fn addresses_of_another_length_are_left_out() {
        let row = |bytes: &[u8]| InterfaceAddress {
            interface: "eth0".to_owned(),
            address: lxhost_contract::Bytes(bytes.to_vec()),
            prefix: 24,
        };
        let found = addresses(&[row(&[10, 0, 0, 2]), row(&[1, 2, 3]), row(&[0; 16])]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].1, IpAddr::from([10, 0, 0, 2]));
    }
}
