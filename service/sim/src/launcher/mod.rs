//! Containers that "run" at once: a record each, events, and a console with an echo. Commands are
//! run for real, as plain processes of this user on this machine, or refused: see `session`.

mod console;
mod guest;
mod session;

use crate::{Faults, SimNetworks, locked};
use async_trait::async_trait;
use guest::{Guest, Guests};
use lxhost_engine::ports::{
    Counters, DiskSpec, Exec, LaunchSpec, Launcher, LauncherEvent, NicSpec, Ready, Running, Streams, Whom,
};
use lxhost_model::instance::{Exit, ExitReason};
use lxhost_model::{Error, Kind, ObjectId, Result};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const SIGKILL: i32 = 9;
/// What systemd takes as "power off" (SIGRTMIN+4), "halt" (SIGRTMIN+3) and other inits (SIGPWR).
const POWER_OFF: [i32; 3] = [38, 37, 30];

/// Starts simulated containers.
#[derive(Debug)]
pub struct SimLauncher {
    guests: Arc<Mutex<Guests>>,
    networks: Arc<SimNetworks>,
    run_commands: bool,
    deaf: AtomicBool,
    faults: Arc<Faults>,
    events: UnboundedSender<LauncherEvent>,
    receiver: tokio::sync::Mutex<UnboundedReceiver<LauncherEvent>>,
}

impl SimLauncher {
    pub(crate) fn new(networks: Arc<SimNetworks>, run_commands: bool, faults: Arc<Faults>) -> SimLauncher {
        let (events, receiver) = unbounded_channel();
        SimLauncher {
            guests: Arc::default(),
            networks,
            run_commands,
            deaf: AtomicBool::new(false),
            faults,
            events,
            receiver: tokio::sync::Mutex::new(receiver),
        }
    }

    /// Whether guests ignore being asked to shut down, until this is called again.
    pub fn ignore_shut_down(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::Relaxed);
    }

    /// The guest ends by itself.
    ///
    /// # Errors
    /// `NotRunning`.
    pub fn end(&self, id: ObjectId, reason: ExitReason, status: i32) -> Result<()> {
        match self.remove(id) {
            true => self.tell(LauncherEvent::Exited(id, Exit { reason, status })),
            false => return Err(not_running(id)),
        }
        Ok(())
    }

    /// PID 1 of the host asks for an orderly stop.
    pub fn request_stop(&self, id: ObjectId) {
        self.tell(LauncherEvent::StopRequested(id));
    }

    /// What the guest was started with.
    pub fn spec(&self, id: ObjectId) -> Option<LaunchSpec> {
        locked(&self.guests).get(&id).map(|guest| guest.spec.clone())
    }

    /// Instances that run.
    pub fn running(&self) -> Vec<ObjectId> {
        locked(&self.guests).keys().copied().collect()
    }

    fn tell(&self, event: LauncherEvent) {
        drop(self.events.send(event));
    }

    fn with<T>(&self, id: ObjectId, change: impl FnOnce(&mut Guest) -> Result<T>) -> Result<T> {
        locked(&self.guests).get_mut(&id).map_or_else(|| Err(not_running(id)), change)
    }

    /// Ends a guest and its sessions.
    fn remove(&self, id: ObjectId) -> bool {
        locked(&self.guests).remove(&id).is_some()
    }

    /// Boots after a tick, as a guest would: ready first, then with addresses.
    fn boot(&self, id: ObjectId) {
        let (guests, networks, events) = (Arc::clone(&self.guests), Arc::clone(&self.networks), self.events.clone());
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            let mut guests = locked(&guests);
            let Some(guest) = guests.get_mut(&id) else { return };
            guest.running.ready = true;
            let address = |nic: &NicSpec| Some((nic.name.clone(), networks.address_of(nic.mac.as_deref()?)?));
            guest.running.addresses = guest.spec.nics.iter().filter_map(address).collect();
            drop(events.send(LauncherEvent::Ready(id)));
            if !guest.running.addresses.is_empty() {
                drop(events.send(LauncherEvent::Addresses(id, guest.running.addresses.clone())));
            }
        });
    }

    /// Shuts down after a tick.
    fn wind_down(&self, id: ObjectId) {
        let (guests, events) = (Arc::clone(&self.guests), self.events.clone());
        tokio::spawn(async move {
            drop(events.send(LauncherEvent::Stopping(id)));
            tokio::task::yield_now().await;
            if locked(&guests).remove(&id).is_some() {
                drop(events.send(LauncherEvent::Exited(id, Exit { reason: ExitReason::Poweroff, status: 0 })));
            }
        });
    }

    /// The guest is asked to shut down: at once, or when it is thawed.
    fn ask_to_stop(&self, id: ObjectId) -> Result<()> {
        let now = self.with(id, |guest| {
            guest.asked_to_stop = guest.running.frozen;
            Ok(!guest.running.frozen)
        })?;
        if now && !self.deaf.load(Ordering::Relaxed) {
            self.wind_down(id);
        }
        Ok(())
    }

    /// Checks that a command may be started.
    fn admit(&self, id: ObjectId, exec: &Exec) -> Result<()> {
        self.with(id, |guest| match guest.running.frozen {
            true => Err(Error::new(Kind::InvalidState, format!("{} is frozen", guest.spec.machine))),
            false => Ok(()),
        })?;
        match self.run_commands {
            true => session::check(exec),
            false => Err(Error::new(Kind::Unsupported, "this simulation runs no commands")),
        }
    }

    fn begin(&self, id: ObjectId, exec: &Exec, started: session::Started) -> Result<u32> {
        let pid = started.pid;
        self.with(id, |guest| {
            // Under the lock, so that a command that ends at once is not removed before it is there.
            let handle = session::watch(id, exec.session, started, Arc::clone(&self.guests), self.events.clone());
            guest.sessions.insert(exec.session, handle);
            Ok(pid)
        })
    }
}

fn not_running(id: ObjectId) -> Error {
    Error::new(Kind::NotRunning, format!("instance {id} does not run"))
}

#[async_trait]
impl Launcher for SimLauncher {
    async fn launch(&self, spec: LaunchSpec, ready: Ready) -> Result<Running> {
        self.faults.pass("launcher.launch")?;
        ready.await?;
        let id = spec.id;
        let mut guests = locked(&self.guests);
        if guests.values().any(|guest| guest.spec.machine == spec.machine || guest.spec.id == id) {
            return Err(Error::new(Kind::AlreadyExists, format!("{} runs already", spec.machine)));
        }
        let guest = Guest::new(spec);
        let running = guest.running.clone();
        guests.insert(id, guest);
        drop(guests);
        self.boot(id);
        Ok(running)
    }

    async fn adopt(&self, id: ObjectId, _machine: &str) -> Result<Option<Running>> {
        self.faults.pass("launcher.adopt")?;
        Ok(locked(&self.guests).get(&id).map(Guest::now))
    }

    async fn shut_down(&self, id: ObjectId) -> Result<()> {
        self.faults.pass("launcher.shut_down")?;
        self.ask_to_stop(id)
    }

    async fn signal(&self, id: ObjectId, _whom: Whom, signal: i32) -> Result<()> {
        self.faults.pass("launcher.signal")?;
        match signal {
            SIGKILL => self.end(id, ExitReason::Killed, SIGKILL),
            signal if POWER_OFF.contains(&signal) => self.ask_to_stop(id),
            // An init ignores what it has no handler for (pid_namespaces(7)).
            _ => self.with(id, |_| Ok(())),
        }
    }

    async fn kill(&self, id: ObjectId, _machine: &str) -> Result<()> {
        self.faults.pass("launcher.kill")?;
        if self.remove(id) {
            self.tell(LauncherEvent::Exited(id, Exit { reason: ExitReason::Killed, status: SIGKILL }));
        }
        Ok(())
    }

    async fn forget(&self, _id: ObjectId) -> Result<()> {
        self.faults.pass("launcher.forget")
    }

    async fn plug(&self, id: ObjectId, nic: &NicSpec) -> Result<()> {
        self.faults.pass("launcher.plug")?;
        let address = nic.mac.as_deref().and_then(|mac| self.networks.address_of(mac));
        let addresses = self.with(id, |guest| {
            guest.spec.nics.retain(|other| other.name != nic.name);
            guest.spec.nics.push(nic.clone());
            guest.running.addresses.retain(|(name, _)| *name != nic.name);
            guest.running.addresses.extend(address.map(|address| (nic.name.clone(), address)));
            Ok(guest.running.addresses.clone())
        })?;
        self.tell(LauncherEvent::Addresses(id, addresses));
        Ok(())
    }

    async fn unplug(&self, id: ObjectId, name: &str) -> Result<()> {
        self.faults.pass("launcher.unplug")?;
        let left = self.with(id, |guest| {
            guest.spec.nics.retain(|nic| nic.name != name);
            guest.running.addresses.retain(|(nic, _)| nic != name);
            Ok(guest.running.addresses.clone())
        });
        if let Ok(addresses) = left {
            self.tell(LauncherEvent::Addresses(id, addresses));
        }
        Ok(())
    }

    async fn attach(&self, id: ObjectId, disk: &DiskSpec) -> Result<()> {
        self.faults.pass("launcher.attach")?;
        self.with(id, |guest| {
            guest.spec.disks.retain(|other| other.target != disk.target);
            guest.spec.disks.push(disk.clone());
            Ok(())
        })
    }

    async fn detach(&self, id: ObjectId, target: &str) -> Result<()> {
        self.faults.pass("launcher.detach")?;
        let _ = self.with(id, |guest| {
            guest.spec.disks.retain(|disk| disk.target != target);
            Ok(())
        });
        Ok(())
    }

    async fn freeze(&self, id: ObjectId) -> Result<()> {
        self.faults.pass("launcher.freeze")?;
        self.with(id, |guest| {
            guest.running.frozen = true;
            Ok(())
        })
    }

    async fn thaw(&self, id: ObjectId) -> Result<()> {
        self.faults.pass("launcher.thaw")?;
        let stop = self.with(id, |guest| {
            guest.running.frozen = false;
            Ok(std::mem::take(&mut guest.asked_to_stop))
        })?;
        if stop {
            self.ask_to_stop(id)?;
        }
        Ok(())
    }

    async fn exec(&self, id: ObjectId, exec: Exec, streams: Streams) -> Result<u32> {
        self.faults.pass("launcher.exec")?;
        self.admit(id, &exec)?;
        self.begin(id, &exec, session::start(&exec, streams)?)
    }

    async fn exec_pty(&self, id: ObjectId, exec: Exec) -> Result<(u32, OwnedFd, String)> {
        self.faults.pass("launcher.exec_pty")?;
        self.admit(id, &exec)?;
        let (started, master, path) = session::start_pty(&exec)?;
        Ok((self.begin(id, &exec, started)?, master, path))
    }

    async fn exec_signal(&self, id: ObjectId, session: u32, signal: i32) -> Result<()> {
        self.faults.pass("launcher.exec_signal")?;
        self.with(id, |guest| guest.session(session)?.signal(signal))
    }

    async fn exec_resize(&self, id: ObjectId, session: u32, rows: u16, columns: u16) -> Result<()> {
        self.faults.pass("launcher.exec_resize")?;
        self.with(id, |guest| guest.session(session)?.resize(rows, columns))
    }

    async fn console(&self, id: ObjectId) -> Result<OwnedFd> {
        self.faults.pass("launcher.console")?;
        let log = self.with(id, |guest| Ok(Arc::clone(&guest.console)))?;
        console::open(log)
    }

    async fn console_resize(&self, id: ObjectId, rows: u16, columns: u16) -> Result<()> {
        self.faults.pass("launcher.console_resize")?;
        // No terminal is behind it; the log is where a size can be seen.
        self.with(id, |guest| {
            console::keep(&mut locked(&guest.console), format!("[{columns}x{rows}]").as_bytes());
            Ok(())
        })
    }

    async fn console_log(&self, id: ObjectId) -> Result<OwnedFd> {
        self.faults.pass("launcher.console_log")?;
        let log = self.with(id, |guest| Ok(locked(&guest.console).clone()))?;
        crate::images::memory_file("console log", &log)
    }

    async fn counters(&self, id: ObjectId) -> Result<Counters> {
        self.with(id, |guest| Ok(Counters { processes: Some(guest.sessions.len() as u64), ..Counters::default() }))
    }

    async fn next_event(&self) -> Option<LauncherEvent> {
        self.receiver.lock().await.recv().await
    }
}
