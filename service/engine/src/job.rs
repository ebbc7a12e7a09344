//! Jobs: who holds which object, how far each one is, how it ended. Ended jobs stay for a minute so
//! that a client which missed the signal can still ask.

use crate::core::Core;
use crate::event::Event;
use crate::ports::Progress;
use crate::retention::Ended;
use crate::verb::Plan;
use crate::{Error, Kind, Result};
use lxhost_model::job::{JobId, JobResult, JobRow, JobState};
use lxhost_model::{ObjectId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// How long an ended job can be asked.
const RETENTION: Duration = Duration::from_secs(60);
/// Most ended jobs kept.
const MAX_ENDED: usize = 1000;

/// What a job made, for its caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Objects by noun: `instance`, `image`, `network`, `pool`.
    pub objects: BTreeMap<&'static str, ObjectId>,
    /// Texts by key, such as `fingerprint`.
    pub texts: BTreeMap<&'static str, String>,
    /// What was chosen for the caller, worth a line each.
    pub notes: Vec<String>,
}

impl Output {
    /// An output that is one object.
    pub fn object(noun: &'static str, id: ObjectId) -> Self {
        Output { objects: BTreeMap::from([(noun, id)]), ..Output::default() }
    }

    /// Adds what `other` has.
    pub fn merge(&mut self, other: Output) {
        self.objects.extend(other.objects);
        self.texts.extend(other.texts);
        self.notes.extend(other.notes);
    }
}

/// A job as it is now.
#[derive(Debug, Clone)]
pub struct JobView {
    /// Its number.
    pub id: JobId,
    /// What it does.
    pub verb: &'static str,
    /// The object it holds.
    pub object: Option<ObjectId>,
    /// User who asked.
    pub uid: u32,
    /// When it was opened.
    pub created: Timestamp,
    /// Where it is.
    pub state: JobState,
    /// What is being done.
    pub phase: String,
    /// 0.0 to 1.0; negative = unknown.
    pub progress: f64,
    /// How it ended, once it has.
    pub result: Option<JobResult>,
    /// What it made.
    pub output: Output,
    /// Whether it can be stopped.
    pub cancelable: bool,
}

/// Who holds an object: one job for itself, or several that only look at it.
struct Hold {
    jobs: BTreeSet<JobId>,
    shared: bool,
}

struct Entry {
    view: watch::Sender<JobView>,
    cancel: watch::Sender<bool>,
}

/// All jobs.
pub(crate) struct Jobs {
    table: Mutex<Table>,
    ended: Ended,
    turns: Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

#[derive(Default)]
struct Table {
    last: JobId,
    entries: BTreeMap<JobId, Entry>,
    held: BTreeMap<ObjectId, Hold>,
}

/// A job under way, as its runner holds it.
pub(crate) struct JobHandle {
    view: watch::Sender<JobView>,
    cancel: watch::Receiver<bool>,
    core: Weak<Core>,
    notes: Mutex<Output>,
    /// Everything that it holds.
    held: Vec<ObjectId>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Jobs {
    fn default() -> Self {
        let forget = |core: &Core, id: JobId| {
            if locked(&core.jobs.table).entries.remove(&id).is_some() {
                core.emit(Event::JobForgotten(id));
            }
        };
        Jobs { table: Mutex::default(), ended: Ended::new(MAX_ENDED, RETENTION, forget), turns: Mutex::default() }
    }
}

impl Jobs {
    /// Numbers from here on are larger than `last`.
    pub(crate) fn continue_after(&self, last: JobId) {
        let mut table = locked(&self.table);
        table.last = table.last.max(last);
    }

    /// Opens a job that holds `object`, and more `beside` it: for itself, or shared with jobs that do no more than that.
    pub(crate) fn open(
        &self,
        core: &Arc<Core>,
        uid: u32,
        verb: &'static str,
        object: Option<ObjectId>,
        beside: Vec<(ObjectId, bool)>,
    ) -> Result<JobHandle> {
        let handle = {
            let mut table = locked(&self.table);
            let wanted: Vec<(ObjectId, bool)> = object.into_iter().map(|id| (id, false)).chain(beside).collect();
            wanted.iter().try_for_each(|(id, shared)| table.is_free(*id, *shared))?;
            table.last = table.last.wrapping_add(1).max(1);
            let id = table.last;
            let view = JobView {
                id,
                verb,
                object,
                uid,
                created: core.ports.host.now(),
                state: JobState::Running,
                phase: String::new(),
                progress: -1.0,
                result: None,
                output: Output::default(),
                cancelable: true,
            };
            let (view, _) = watch::channel(view);
            let (cancel, canceled) = watch::channel(false);
            table.entries.insert(id, Entry { view: view.clone(), cancel });
            let held = wanted.iter().map(|(object, _)| *object).collect();
            for (object, shared) in wanted {
                table.held.entry(object).or_insert(Hold { jobs: BTreeSet::new(), shared }).jobs.insert(id);
            }
            JobHandle { view, cancel: canceled, core: Arc::downgrade(core), notes: Mutex::default(), held }
        };
        core.emit(Event::JobNew(handle.id()));
        Ok(handle)
    }

    /// Ends a job, releases what it held, and forgets it after a minute.
    pub(crate) fn close(&self, core: &Arc<Core>, job: JobHandle, result: Result<Output>) {
        let id = job.id();
        let (result, output) = match result {
            Ok(mut output) => {
                output.notes.splice(0..0, std::mem::take(&mut locked(&job.notes).notes));
                (JobResult::Done, output)
            }
            Err(error) if error.kind == Kind::Canceled => (JobResult::Canceled, Output::default()),
            Err(error) => (JobResult::Failed(error), Output::default()),
        };
        locked(&self.table).held.retain(|_, hold| {
            hold.jobs.remove(&id);
            !hold.jobs.is_empty()
        });
        job.view.send_modify(|view| {
            view.state = JobState::Done;
            view.progress = 1.0;
            view.result = Some(result);
            view.output = output;
        });
        core.emit(Event::JobEnded(id));
        self.ended.keep(core, id, |core| &core.jobs.ended);
    }

    /// Whether a job holds `object`.
    pub(crate) fn holds(&self, object: ObjectId) -> bool {
        locked(&self.table).held.contains_key(&object)
    }

    /// Whether a job holds `object` for itself.
    pub(crate) fn holds_alone(&self, object: ObjectId) -> bool {
        locked(&self.table).held.get(&object).is_some_and(|hold| !hold.shared)
    }

    pub(crate) fn all(&self) -> Vec<JobView> {
        locked(&self.table).entries.values().map(|entry| entry.view.borrow().clone()).collect()
    }

    pub(crate) fn get(&self, id: JobId) -> Result<JobView> {
        let table = locked(&self.table);
        table.entries.get(&id).map(|entry| entry.view.borrow().clone()).ok_or_else(|| no_such_job(id))
    }

    pub(crate) fn cancel(&self, id: JobId) -> Result<()> {
        let table = locked(&self.table);
        let entry = table.entries.get(&id).ok_or_else(|| no_such_job(id))?;
        if entry.view.borrow().result.is_some() {
            return Err(Error::new(Kind::InvalidState, format!("job {id} has ended already")));
        }
        if !entry.view.borrow().cancelable {
            return Err(Error::new(Kind::InvalidState, format!("job {id} cannot be stopped any more")));
        }
        entry.view.send_modify(|view| view.state = JobState::Canceling);
        entry.cancel.send_replace(true);
        Ok(())
    }

    /// Waits for the end of a job, or for `timeout`.
    pub(crate) async fn wait(&self, id: JobId, timeout: Option<Duration>) -> Result<JobView> {
        let mut view = self.watch(id)?;
        let ended = view.wait_for(|view| view.result.is_some());
        match timeout {
            None => drop(ended.await),
            Some(limit) => drop(tokio::time::timeout(limit, ended).await),
        }
        let now = view.borrow().clone();
        Ok(now)
    }

    /// Waits for the end of a job; its error is ours.
    pub(crate) async fn outcome(&self, id: JobId) -> Result<Output> {
        let view = self.wait(id, None).await?;
        match view.result {
            Some(JobResult::Done) => Ok(view.output),
            Some(JobResult::Failed(error)) => Err(error),
            Some(JobResult::Canceled) => Err(Error::new(Kind::Canceled, "the job was cancelled")),
            None => Err(Error::new(Kind::ShuttingDown, "the daemon is stopping")),
        }
    }

    /// As [`Jobs::outcome`]; shows the child's progress as `parent`'s, and cancels it with it.
    pub(crate) async fn follow(&self, id: JobId, parent: &JobHandle) -> Result<Output> {
        let mut view = self.watch(id)?;
        loop {
            let now = view.borrow_and_update().clone();
            if now.result.is_some() {
                return self.outcome(id).await;
            }
            parent.report(&now.phase, now.progress);
            tokio::select! {
                changed = view.changed() => if changed.is_err() { return self.outcome(id).await },
                () = parent.canceled() => {
                    // Already ended is as good as cancelled.
                    let _ = self.cancel(id);
                    return self.outcome(id).await;
                }
            }
        }
    }

    fn watch(&self, id: JobId) -> Result<watch::Receiver<JobView>> {
        let table = locked(&self.table);
        table.entries.get(&id).map(|entry| entry.view.subscribe()).ok_or_else(|| no_such_job(id))
    }

    /// Waits for the turn to do what `key` names; the guard ends the turn.
    pub(crate) async fn turn(&self, key: Option<String>) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        let key = key?;
        let turn = {
            let mut turns = locked(&self.turns);
            turns.retain(|_, turn| turn.strong_count() > 0);
            match turns.get(&key).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    let turn = Arc::new(tokio::sync::Mutex::new(()));
                    turns.insert(key, Arc::downgrade(&turn));
                    turn
                }
            }
        };
        Some(turn.lock_owned().await)
    }
}

impl Table {
    /// Refuses what another job holds.
    fn is_free(&self, object: ObjectId, shared: bool) -> Result<()> {
        let Some(hold) = self.held.get(&object).filter(|hold| !(hold.shared && shared)) else { return Ok(()) };
        let holder = hold.jobs.first().and_then(|job| self.entries.get(job));
        let verb = holder.map_or("", |holder| holder.view.borrow().verb);
        let what = format!("another operation ({verb}) is under way on it; try again when it has ended");
        Err(Error::new(Kind::Busy, what))
    }
}

fn no_such_job(id: JobId) -> Error {
    Error::new(Kind::NoSuchJob, format!("job {id} does not exist, or ended more than a minute ago"))
}

impl JobHandle {
    /// Objects that no other job may hold, or not in another way.
    pub(crate) fn held(&self) -> Vec<ObjectId> {
        self.held.clone()
    }

    pub(crate) fn id(&self) -> JobId {
        self.view.borrow().id
    }

    pub(crate) fn uid(&self) -> u32 {
        self.view.borrow().uid
    }

    pub(crate) fn verb(&self) -> &'static str {
        self.view.borrow().verb
    }

    pub(crate) fn object(&self) -> Option<ObjectId> {
        self.view.borrow().object
    }

    /// Says what is being done now.
    pub(crate) fn phase(&self, phase: &str) {
        self.report(phase, -1.0);
    }

    /// Remembers what a prerequisite chose for the caller.
    pub(crate) fn note(&self, output: Output) {
        locked(&self.notes).merge(output);
    }

    /// Ends when somebody cancels the job; never otherwise.
    pub(crate) async fn canceled(&self) {
        let mut cancel = self.cancel.clone();
        if cancel.wait_for(|canceled| *canceled).await.is_err() {
            std::future::pending().await
        }
    }

    /// Says whether the job can be stopped from now on.
    pub(crate) fn may_be_canceled(&self, cancelable: bool) {
        self.view.send_modify(|view| view.cancelable = cancelable);
    }

    pub(crate) fn refuse_if_canceled(&self) -> Result<()> {
        match *self.cancel.borrow() {
            true => Err(Error::new(Kind::Canceled, "the job was cancelled")),
            false => Ok(()),
        }
    }

    /// The record that lets a restarted daemon go on.
    pub(crate) fn row(&self, plan: &Plan) -> Result<JobRow> {
        let view = self.view.borrow();
        let plan = serde_json::to_string(plan).map_err(|e| Error::failed(format!("job {}: {e}", view.id)))?;
        Ok(JobRow { id: view.id, verb: view.verb.to_owned(), object: view.object, uid: view.uid, created: view.created, plan })
    }
}

impl Progress for JobHandle {
    fn report(&self, phase: &str, fraction: f64) {
        let changed = self.view.send_if_modified(|view| {
            // A percent is the least anybody sees; less would only wake listeners.
            let moved = (view.progress - fraction).abs() >= 0.01;
            if view.phase == phase && !moved {
                return false;
            }
            phase.clone_into(&mut view.phase);
            view.progress = fraction;
            true
        });
        if let (true, Some(core)) = (changed, self.core.upgrade()) {
            core.emit(Event::JobProgress(self.id()));
        }
    }
}
