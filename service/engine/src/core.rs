//! What all verbs share: the ports, the jobs, what is known of running instances, the event stream.
//!
//! [`Engine`] is the handle that skins hold; cloning it is cheap.

use crate::event::Event;
use crate::exec::Sessions;
use crate::job::{JobView, Jobs, Output};
use crate::live::{Live, LiveTable};
use crate::ports::{self, Caller, State, Write};
use crate::verb::{Verb, View};
use crate::{Error, Kind, Result, run};
use lxhost_model::job::JobId;
use lxhost_model::{Instance, ObjectId};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::broadcast;

/// Everything outside, as the engine sees it.
pub struct Ports {
    /// Records.
    pub store: Arc<dyn ports::Store>,
    /// Running containers.
    pub launcher: Arc<dyn ports::Launcher>,
    /// Storage.
    pub pools: Arc<dyn ports::PoolKinds>,
    /// File systems that pools bring with them.
    pub filesystems: Arc<dyn ports::Filesystems>,
    /// Definitions of what has no disk.
    pub definitions: Arc<dyn ports::Definitions>,
    /// Networks.
    pub networks: Arc<dyn ports::NetworkKinds>,
    /// Interfaces that join no network of ours.
    pub nics: Arc<dyn ports::NicKinds>,
    /// Proxies.
    pub proxies: Arc<dyn ports::Proxies>,
    /// Files of images.
    pub images: Arc<dyn ports::ImageFilesStore>,
    /// Backups of instances.
    pub backups: Arc<dyn ports::Backups>,
    /// Files of volumes.
    pub files: Arc<dyn ports::Files>,
    /// Remotes.
    pub sources: Vec<Arc<dyn ports::ImageSource>>,
    /// Polkit.
    pub authority: Arc<dyn ports::Authority>,
    /// This machine.
    pub host: Arc<dyn ports::Host>,
}

/// State behind an [`Engine`].
pub(crate) struct Core {
    pub(crate) ports: Ports,
    pub(crate) jobs: Jobs,
    pub(crate) live: LiveTable,
    pub(crate) sessions: Sessions,
    pub(crate) events: broadcast::Sender<Event>,
    /// Held from a plan's look at the records to its commit.
    pub(crate) planning: tokio::sync::Mutex<()>,
    /// Held while a definition is written, and while one is removed until what it is about is gone.
    pub(crate) defining: tokio::sync::Mutex<()>,
    /// Held while scheduled snapshots are looked after.
    pub(crate) tending: tokio::sync::Mutex<()>,
    /// Pools that were nearly full at the last look.
    pub(crate) tight: std::sync::Mutex<std::collections::BTreeSet<ObjectId>>,
    /// Whether somebody listens to the launcher.
    pub(crate) following: AtomicBool,
    pub(crate) faults: crate::faults::Faults,
}

/// How long after a failed job its instance is settled.
const UNSETTLED: Duration = Duration::from_millis(500);
/// Events a slow subscriber may fall behind before it has to read everything anew.
const EVENT_BACKLOG: usize = 4096;

/// The engine, as skins use it.
#[derive(Clone)]
pub struct Engine {
    pub(crate) core: Arc<Core>,
}

impl Engine {
    /// An engine over `ports`. Nothing happens until [`Engine::start`].
    pub fn new(ports: Ports) -> Self {
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let sessions = Sessions::new(ports.host.now());
        let (jobs, live, following) = (Jobs::default(), LiveTable::default(), AtomicBool::new(false));
        Engine {
            core: Arc::new(Core {
                ports,
                jobs,
                live,
                sessions,
                events,
                planning: tokio::sync::Mutex::default(),
                defining: tokio::sync::Mutex::default(),
                tending: tokio::sync::Mutex::default(),
                tight: Default::default(),
                following,
                faults: Default::default(),
            }),
        }
    }

    /// Adopts what runs, undoes or finishes what a crash interrupted, and follows the launcher's
    /// events from then on. Call once, before the first request is served.
    pub async fn start(&self) {
        crate::reconcile::run(&self.core).await;
        tokio::spawn(crate::define::run(self.core.clone(), self.subscribe()));
        tokio::spawn(crate::supervise::run(self.core.clone()));
        tokio::spawn(crate::watch::run(self.core.clone()));
        tokio::spawn(crate::leases::run(self.core.clone()));
        tokio::spawn(crate::tend::run(self.core.clone(), self.subscribe()));
        tokio::spawn(crate::room::run(self.core.clone(), self.subscribe()));
        tokio::spawn(crate::network::due::run(self.core.clone(), self.subscribe()));
    }

    /// Brings up again what should be up on this host: networks that somebody removed behind our back.
    pub fn repair(&self) {
        crate::reconcile::networks(&self.core);
    }

    /// The records now.
    pub fn state(&self) -> Arc<State> {
        self.core.ports.store.state()
    }

    /// What is known of a running instance; `None` when it does not run.
    pub fn live(&self, id: ObjectId) -> Option<Live> {
        self.core.live.get(id)
    }

    /// Events from now on. A receiver that lags has to read the state anew.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.core.events.subscribe()
    }

    /// This machine.
    pub fn host(&self) -> &dyn ports::Host {
        self.core.ports.host.as_ref()
    }

    /// The ports, for queries that read only.
    pub fn ports(&self) -> &Ports {
        &self.core.ports
    }

    /// Asks whether `caller` may do `verb`, then opens a job for it and returns at once.
    ///
    /// # Errors
    /// Those of the authority; `Busy` when another job holds the object; whatever the verb's own
    /// early check says. Later failures are the job's result.
    pub async fn submit(&self, caller: &Caller, verb: impl Verb) -> Result<JobId> {
        let granted = self.core.authorize(caller, &verb).await?;
        self.core.open_granted(caller.uid, Box::new(verb), Some(granted))
    }

    /// As [`Engine::submit`], and waits for the end of the job: for what is done in no time.
    ///
    /// # Errors
    /// As `submit`, and those of the verb.
    pub async fn perform(&self, caller: &Caller, verb: impl Verb) -> Result<Output> {
        let job = self.submit(caller, verb).await?;
        self.core.jobs.outcome(job).await
    }

    /// Asks whether `caller` may do `action` to what `details` describe.
    ///
    /// # Errors
    /// Those of the authority.
    pub async fn allow(&self, caller: &Caller, question: crate::Question) -> Result<()> {
        self.core.ask(caller, vec![question]).await
    }

    /// All jobs: those under way, and those that ended up to a minute ago.
    pub fn jobs(&self) -> Vec<JobView> {
        self.core.jobs.all()
    }

    /// A job.
    ///
    /// # Errors
    /// `NoSuchJob`.
    pub fn job(&self, id: JobId) -> Result<JobView> {
        self.core.jobs.get(id)
    }

    /// Waits until a job ends or `timeout` is over (`None`: no limit), and says how it stands then.
    ///
    /// # Errors
    /// `NoSuchJob`.
    pub async fn wait(&self, id: JobId, timeout: Option<Duration>) -> Result<JobView> {
        self.core.jobs.wait(id, timeout).await
    }

    /// Cancels a job: its own user may; others need `job.manage-others`.
    ///
    /// # Errors
    /// `NoSuchJob`; `InvalidState` when it cannot be stopped any more; those of the authority.
    pub async fn cancel(&self, caller: &Caller, id: JobId) -> Result<()> {
        let job = self.core.jobs.get(id)?;
        if caller.uid != job.uid {
            let action = lxhost_model::Action::JobManageOthers;
            self.allow(caller, crate::Question { action, details: vec![("verb", job.verb.to_owned())] }).await?;
        }
        self.core.jobs.cancel(id)
    }
}

impl Core {
    pub(crate) fn state(&self) -> Arc<State> {
        self.ports.store.state()
    }

    /// Commits `writes` and tells everybody.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<Arc<State>> {
        if writes.is_empty() {
            return Ok(self.state());
        }
        let keys = writes.iter().map(Write::key).collect();
        let before = self.state();
        let defining = if crate::define::forgets(&writes) { Some(self.defining.lock().await) } else { None };
        let forgotten = crate::define::forget(self, &writes).await;
        let after = match self.ports.store.commit(writes).await {
            Ok(after) => after,
            Err(error) => {
                crate::define::remember(self, forgotten).await;
                return Err(error);
            }
        };
        drop(defining);
        self.emit(Event::Committed { before, after: after.clone(), keys });
        Ok(after)
    }

    pub(crate) fn emit(&self, event: Event) {
        // No subscriber is no error: `--sim` tests and start-up have none.
        let _ = self.events.send(event);
    }

    pub(crate) fn view(&self, state: Arc<State>) -> View<'_> {
        View { state, ports: &self.ports, now: self.ports.host.now() }
    }

    /// Asks what `verb` asks now; returns the questions. They may be others after a long dialog: see `run.rs`.
    async fn authorize(&self, caller: &Caller, verb: &dyn Verb) -> Result<Vec<crate::Question>> {
        let questions = verb.questions(&self.state());
        self.ask(caller, questions.clone()).await?;
        Ok(questions)
    }

    pub(crate) async fn ask(&self, caller: &Caller, questions: Vec<crate::Question>) -> Result<()> {
        for mut question in questions {
            if !question.details.iter().any(|(key, _)| *key == "privileged") {
                let privileged = question.action == lxhost_model::Action::InstanceConfigurePrivileged;
                question.details.push(("privileged", privileged.to_string()));
            }
            self.ports.authority.check(caller, question.action, question.details).await?;
        }
        Ok(())
    }

    /// Opens a job for `verb`, which the daemon itself wants, and starts it.
    pub(crate) fn open(self: &Arc<Self>, uid: u32, verb: Box<dyn Verb>) -> Result<JobId> {
        self.open_granted(uid, verb, None)
    }

    /// Opens a job for `verb`, for which a caller was `granted` this, and starts it.
    fn open_granted(self: &Arc<Self>, uid: u32, verb: Box<dyn Verb>, granted: Option<Vec<crate::Question>>) -> Result<JobId> {
        let state = self.state();
        verb.check(&state)?;
        let alone = verb.holds(&state).into_iter().map(|id| (id, false));
        let beside = alone.chain(verb.shares(&state).into_iter().map(|id| (id, true))).collect();
        let job = self.jobs.open(self, uid, verb.name(), verb.object(), beside)?;
        let core = self.clone();
        let id = job.id();
        let named = crate::audit::name(self, &job);
        tokio::spawn(async move {
            let result = run::run(&core, &job, verb, granted).await;
            crate::audit::ended(&core, &job, named, &result);
            core.end(job, result);
        });
        Ok(id)
    }

    /// Ends a job and lets the instances it held settle.
    pub(crate) fn end(self: &Arc<Self>, job: crate::job::JobHandle, result: Result<Output>) {
        let (held, failed) = (job.held(), result.is_err());
        self.jobs.close(self, job, result);
        if !failed {
            return held.into_iter().for_each(|id| crate::supervise::settle(self, id));
        }
        // What failed may have been the attempt to settle: the next one has to wait, or there is no end of them.
        let core = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(UNSETTLED).await;
            held.into_iter().for_each(|id| crate::supervise::settle(&core, id));
        });
    }

    /// The record of an instance.
    pub(crate) fn instance(&self, id: ObjectId) -> Result<Arc<Instance>> {
        instance_of(&self.state(), id)
    }
}

/// The record of an instance in `state`.
pub(crate) fn instance_of(state: &State, id: ObjectId) -> Result<Arc<Instance>> {
    state.instances.get(&id).cloned().ok_or_else(|| Error::new(Kind::NoSuchInstance, "the instance does not exist any more"))
}
