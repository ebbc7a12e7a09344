//! Commands inside instances: sessions that outlive the daemon and, when asked, their caller.
//!
//! Data never comes through here: descriptors are handed to the launcher, which hands them on.

use crate::core::{Core, instance_of};
use crate::event::Event;
use crate::ports::{Caller, Exec, ExecResult, Streams};
use crate::retention::Ended;
use crate::verb::Question;
use crate::{Engine, Error, Kind, Result};
use lxhost_model::{Action, Instance, ObjectId, Status};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long the result of an ended command can be asked.
const RETENTION: Duration = Duration::from_secs(30);
/// How long a command gets between SIGHUP and SIGKILL when its caller is gone.
const GRACE: Duration = Duration::from_secs(5);
/// Most commands under way in all instances.
const MAX_SESSIONS: usize = 4096;
/// Most ended commands kept.
const MAX_ENDED: usize = 1000;
const SIGHUP: i32 = 1;
const SIGKILL: i32 = 9;

/// A command, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecView {
    /// Session number.
    pub session: u32,
    /// Instance it runs in.
    pub instance: ObjectId,
    /// User who asked; 0 for those found at start-up.
    pub uid: u32,
    /// Process id on the host.
    pub pid: u32,
    /// Whether it has a terminal.
    pub interactive: bool,
    /// How it ended, once it has.
    pub result: Option<ExecResult>,
}

struct Entry {
    view: watch::Sender<ExecView>,
    /// Bus name of the caller with whom it ends; `None` when detached.
    owner: Option<String>,
}

/// All commands under way or just ended.
pub(crate) struct Sessions {
    last: AtomicU32,
    entries: Mutex<BTreeMap<u32, Entry>>,
    ended: Ended,
}

impl Sessions {
    /// Numbers start at the clock, so that those of an earlier daemon's sessions are not used again.
    pub(crate) fn new(now: u64) -> Self {
        let seconds = (now / 1_000_000) as u32;
        let ended = Ended::new(MAX_ENDED, RETENTION, |core, session| core.sessions.forget(core, session));
        Sessions { last: AtomicU32::new(seconds.wrapping_mul(64)), entries: Mutex::default(), ended }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<u32, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, instance: ObjectId, uid: u32, owner: Option<String>, interactive: bool) -> Result<u32> {
        let mut entries = self.locked();
        if entries.values().filter(|entry| entry.view.borrow().result.is_none()).count() >= MAX_SESSIONS {
            return Err(Error::new(Kind::TooManyOperations, format!("{MAX_SESSIONS} commands are under way already")));
        }
        let session = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
        let view = ExecView { session, instance, uid, pid: 0, interactive, result: None };
        entries.insert(session, Entry { view: watch::channel(view).0, owner });
        Ok(session)
    }

    /// Takes over a session that an earlier daemon started.
    pub(crate) fn adopt(&self, session: u32, instance: ObjectId) {
        let view = ExecView { session, instance, uid: 0, pid: 0, interactive: false, result: None };
        self.locked().insert(session, Entry { view: watch::channel(view).0, owner: None });
    }

    /// Records how a command ended. Unknown sessions are those of callers that gave up.
    pub(crate) fn end(core: &Arc<Core>, session: u32, result: ExecResult) {
        let known = match core.sessions.locked().get(&session) {
            Some(entry) => entry.view.send_if_modified(|view| view.result.is_none() && view.result.replace(result).is_none()),
            None => false,
        };
        if !known {
            return;
        }
        core.emit(Event::ExecEnded(session));
        core.sessions.ended.keep(core, session, |core| &core.sessions.ended);
    }

    /// Ends what an instance's end has ended.
    pub(crate) fn lose(core: &Arc<Core>, instance: ObjectId) {
        let lost: Vec<u32> = core
            .sessions
            .locked()
            .values()
            .map(|e| e.view.borrow().clone())
            .filter(|v| v.instance == instance && v.result.is_none())
            .map(|v| v.session)
            .collect();
        lost.into_iter().for_each(|session| Sessions::end(core, session, ExecResult::Lost));
    }

    fn forget(&self, core: &Core, session: u32) {
        if self.locked().remove(&session).is_some() {
            core.emit(Event::ExecForgotten(session));
        }
    }

    fn view(&self, session: u32) -> Result<watch::Receiver<ExecView>> {
        let gone = || Error::new(Kind::NoSuchExec, format!("exec session {session} does not exist, or ended a while ago"));
        self.locked().get(&session).map(|entry| entry.view.subscribe()).ok_or_else(gone)
    }
}

impl Engine {
    /// Asks whether `caller` may run `exec` in the instance, and whether it can.
    async fn enter(&self, caller: &Caller, id: ObjectId, exec: &Exec) -> Result<Arc<Instance>> {
        let state = self.state();
        let mut questions = crate::instance::questions(&state, id, Action::InstanceExec, "instance.exec");
        for question in &mut questions {
            question.details.push(("user", exec.user.clone().unwrap_or_else(|| "root".to_owned())));
            question.details.push(("program", exec.argv.first().cloned().unwrap_or_default()));
            question.details.push(("command_line", exec.argv.join(" ")));
        }
        self.core.ask(caller, questions).await?;
        let instance = instance_of(&self.state(), id)?;
        match instance.status {
            Status::Frozen | Status::Freezing => {
                Err(Error::new(Kind::InvalidState, format!("instance {} is frozen; resume it first", instance.name)))
            }
            status if status.can_exec() => Ok(instance),
            _ => Err(crate::instance::not_running(&instance)),
        }
    }

    /// Runs a command on the caller's descriptors; returns its session.
    ///
    /// # Errors
    /// Those of the authority and of the launcher; `NotRunning`; `TooManyOperations`.
    pub async fn exec(&self, caller: &Caller, id: ObjectId, mut exec: Exec, streams: Streams, detach: bool) -> Result<u32> {
        self.enter(caller, id, &exec).await?;
        let owner = (!detach).then(|| caller.bus_name.clone());
        exec.session = self.core.sessions.open(id, caller.uid, owner, false)?;
        let session = exec.session;
        let launcher = &self.core.ports.launcher;
        let started = self.running(launcher.exec(id, exec, streams)).await;
        self.started(session, started)
    }

    /// Runs a command on a terminal of its own; returns session, master and the terminal's path inside.
    ///
    /// # Errors
    /// As [`Engine::exec`].
    pub async fn exec_pty(&self, caller: &Caller, id: ObjectId, mut exec: Exec, detach: bool) -> Result<(u32, OwnedFd, String)> {
        self.enter(caller, id, &exec).await?;
        let owner = (!detach).then(|| caller.bus_name.clone());
        exec.session = self.core.sessions.open(id, caller.uid, owner, true)?;
        let session = exec.session;
        match self.running(self.core.ports.launcher.exec_pty(id, exec)).await {
            Ok((pid, master, path)) => Ok((self.started(session, Ok(pid))?, master, path)),
            Err(error) => {
                self.core.sessions.locked().remove(&session);
                Err(error)
            }
        }
    }

    /// `run` between two failpoints. What runs is not taken back by an error after it.
    async fn running<T>(&self, run: impl Future<Output = Result<T>>) -> Result<T> {
        self.core.faults.at(&["instance.exec", "run", "before"]).await?;
        let started = run.await?;
        let _ = self.core.faults.at(&["instance.exec", "run", "after"]).await;
        Ok(started)
    }

    fn started(&self, session: u32, started: Result<u32>) -> Result<u32> {
        match started {
            Ok(pid) => {
                if let Some(entry) = self.core.sessions.locked().get(&session) {
                    entry.view.send_modify(|view| view.pid = pid);
                }
                self.core.emit(Event::ExecNew(session));
                Ok(session)
            }
            Err(error) => {
                self.core.sessions.locked().remove(&session);
                Err(error)
            }
        }
    }

    /// All commands under way or just ended.
    pub fn execs(&self) -> Vec<ExecView> {
        self.core.sessions.locked().values().map(|entry| entry.view.borrow().clone()).collect()
    }

    /// A command.
    ///
    /// # Errors
    /// `NoSuchExec`.
    pub fn exec_view(&self, session: u32) -> Result<ExecView> {
        Ok(self.core.sessions.view(session)?.borrow().clone())
    }

    /// Waits for the end of a command or for `timeout` (`None`: no limit). Once its end was told, it may be
    /// forgotten.
    ///
    /// # Errors
    /// `NoSuchExec`.
    pub async fn exec_wait(&self, session: u32, timeout: Option<Duration>) -> Result<Option<ExecResult>> {
        let mut view = self.core.sessions.view(session)?;
        let ended = view.wait_for(|view| view.result.is_some());
        match timeout {
            None => drop(ended.await),
            Some(limit) => drop(tokio::time::timeout(limit, ended).await),
        }
        let result = view.borrow().result;
        Ok(result)
    }

    /// Sends a signal to a command. Its own user may; others need `instance.exec`.
    ///
    /// # Errors
    /// `NoSuchExec`, those of the authority and of the launcher.
    pub async fn exec_signal(&self, caller: &Caller, session: u32, signal: i32) -> Result<()> {
        let view = self.mine(caller, session).await?;
        self.core.ports.launcher.exec_signal(view.instance, session, signal).await
    }

    /// Changes the size of a command's terminal. Its own user may; others need `instance.exec`.
    ///
    /// # Errors
    /// As [`Engine::exec_signal`].
    pub async fn exec_resize(&self, caller: &Caller, session: u32, rows: u16, columns: u16) -> Result<()> {
        let view = self.mine(caller, session).await?;
        self.core.ports.launcher.exec_resize(view.instance, session, rows, columns).await
    }

    /// Ends a command: SIGHUP, then SIGKILL.
    ///
    /// # Errors
    /// As [`Engine::exec_signal`].
    pub async fn exec_close(&self, caller: &Caller, session: u32) -> Result<()> {
        self.mine(caller, session).await?;
        close(&self.core, session).await;
        Ok(())
    }

    /// The bus name `name` is gone: ends the commands that were to end with it.
    pub async fn caller_gone(&self, name: &str) {
        let owned: Vec<u32> =
            self.core.sessions.locked().iter().filter(|(_, e)| e.owner.as_deref() == Some(name)).map(|(s, _)| *s).collect();
        for session in owned {
            let core = self.core.clone();
            tokio::spawn(async move { close(&core, session).await });
        }
    }

    async fn mine(&self, caller: &Caller, session: u32) -> Result<ExecView> {
        let view = self.exec_view(session)?;
        if view.uid != caller.uid {
            let question = Question { action: Action::InstanceExec, details: vec![("instance-id", view.instance.to_string())] };
            self.core.ask(caller, vec![question]).await?;
        }
        Ok(view)
    }
}

async fn close(core: &Arc<Core>, session: u32) {
    let Ok(mut view) = core.sessions.view(session) else { return };
    let instance = view.borrow().instance;
    for signal in [SIGHUP, SIGKILL] {
        if view.borrow().result.is_some() {
            return;
        }
        // A session that ended meanwhile cannot be signalled; its result is on the way.
        let _ = core.ports.launcher.exec_signal(instance, session, signal).await;
        let _ = tokio::time::timeout(GRACE, view.wait_for(|view| view.result.is_some())).await;
    }
}
