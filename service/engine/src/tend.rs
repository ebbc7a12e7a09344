//! What a timer of the host has the daemon do once a minute: snapshots of instances and volumes that are due by
//! `snapshots.schedule` are taken, and those whose time is over are deleted, as is what was in the trash for its time. The last time that was looked after stands
//! in the record, so that what was missed while the host was off is made up for, once. Called by the skin, and once by
//! `Engine::start`.

use crate::core::{Core, Engine};
use crate::event::Event;
use crate::instance::expand;
use crate::ports::{Caller, Row, RowKey, State, Write};
use crate::snapshot::{Create, Delete, is_over};
use crate::verb::{Question, Verb};
use crate::{Kind, Result, trash, volume};
use lxhost_model::config::{Config, is_on};
use lxhost_model::schedule::{Minute, Schedule};
use lxhost_model::{Action, Instance, ObjectId, Status, Volume};
use std::sync::Arc;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::JoinSet;

/// Instances and volumes that are looked after at the same time.
const AT_ONCE: usize = 4;
/// Volatile key of the last minute that was looked after, with the schedule that it was looked after by.
const LAST: &str = "snapshots.last";
/// Key of the schedule.
const SCHEDULE: &str = "snapshots.schedule";
/// Minutes of a day. A clock that was further ahead than that was wrong.
const DAY: Minute = 24 * 60;

/// What a schedule wants of an instance.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// To be known from now on.
    Begin,
    /// Its time came while it did not run.
    Pass,
    Take,
}

impl Engine {
    /// Takes the snapshots that are due and deletes those whose time is over, unless that is under way. `wait`: until
    /// all of it is done. What fails is in the journal.
    ///
    /// # Errors
    /// Those of the authority.
    pub async fn tend(&self, caller: &Caller, wait: bool) -> Result<()> {
        let details = vec![("verb", "snapshot.tend".to_owned())];
        self.allow(caller, Question { action: Action::InstanceSnapshot, details }).await?;
        let core = self.core.clone();
        let tending = tokio::spawn(async move { tend(&core).await });
        if wait {
            let _ = tending.await;
        }
        Ok(())
    }
}

/// Has the host call once a minute for as long as there is something to look after.
pub(crate) async fn run(core: Arc<Core>, mut events: Receiver<Event>) {
    let mut called = None;
    loop {
        let wanted = is_wanted(&core.state());
        if called != Some(wanted) {
            match core.ports.host.call_every_minute(wanted).await {
                Ok(()) => called = Some(wanted),
                // It is tried again when there is more or less to look after.
                Err(error) => tracing::error!("the timer of scheduled snapshots: {error}"),
            }
        }
        if !changed(&mut events).await {
            return;
        }
    }
}

/// Waits until there may be more or less to look after; `false` when nothing will change any more.
async fn changed(events: &mut Receiver<Event>) -> bool {
    loop {
        match events.recv().await {
            Ok(Event::Committed { before, after, keys }) if keys.iter().any(|key| differs(&before, &after, key)) => return true,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => return false,
        }
    }
}

/// Whether a record says otherwise than before what is to be looked after.
fn differs(before: &State, after: &State, key: &RowKey) -> bool {
    match key {
        RowKey::Instance(id) => {
            let text = |state: &State| state.instances.get(id).and_then(|instance| text(state, instance).map(str::to_owned));
            text(before) != text(after)
        }
        RowKey::Snapshot(instance, id) => {
            let end = |state: &State| state.snapshots.get(&(*instance, *id)).map_or(0, |snapshot| snapshot.expires);
            end(before) != end(after)
        }
        RowKey::Volume(id) => {
            let text = |state: &State| state.volumes.get(id).and_then(|volume| volume.config.get(SCHEDULE).cloned());
            text(before) != text(after)
        }
        RowKey::VolumeSnapshot(volume, id) => {
            let end = |state: &State| state.volume_snapshots.get(&(*volume, *id)).map_or(0, |snapshot| snapshot.expires);
            end(before) != end(after)
        }
        RowKey::Profile(_) | RowKey::Trashed(_) => true,
        _ => false,
    }
}

fn is_wanted(state: &State) -> bool {
    let scheduled = |instance: &Arc<Instance>| schedule(state, instance).is_some_and(|(_, schedule)| schedule.comes());
    let volumes = || state.volumes.values().any(|volume| of_volume(volume).is_some_and(|(_, schedule)| schedule.comes()));
    !state.trash.is_empty()
        || state.snapshots.values().any(|snapshot| snapshot.expires > 0)
        || state.volume_snapshots.values().any(|snapshot| snapshot.expires > 0)
        || state.instances.values().any(scheduled)
        || volumes()
}

async fn tend(core: &Arc<Core>) {
    // Whoever calls while the last round is under way is called again in a minute.
    let Ok(_round) = core.tending.try_lock() else { return };
    let mut under_way = JoinSet::new();
    take_out(core).await;
    let state = core.state();
    let instances = state.instances.keys().map(|id| (*id, false));
    for (id, is_volume) in instances.chain(state.volumes.keys().map(|id| (*id, true))) {
        if under_way.len() >= AT_ONCE {
            under_way.join_next().await;
        }
        let core = core.clone();
        under_way.spawn(async move {
            match is_volume {
                true => look_after_volume(&core, id).await,
                false => look_after(&core, id).await,
            }
        });
    }
    while under_way.join_next().await.is_some() {}
    crate::room::look(core).await;
}

/// Removes for good what has been in the trash for its time. One that something is being done to has its turn in a minute.
async fn take_out(core: &Arc<Core>) {
    let now = core.ports.host.now();
    let over: Vec<ObjectId> = core.state().trash.values().filter(|one| one.expires <= now).map(|one| one.id).collect();
    for id in over.into_iter().filter(|id| !core.jobs.holds(*id)) {
        let _ = perform(core, trash::Delete::new(id)).await;
    }
}

/// Deletes what is over, then takes what is due. An instance that something is being done to has its turn in a minute.
async fn look_after(core: &Arc<Core>, id: ObjectId) {
    let (state, now) = (core.state(), core.ports.host.now());
    if state.snapshots_of(id).any(|snapshot| is_over(snapshot, now)) && !core.jobs.holds(id) {
        let _ = perform(core, Delete::over(id)).await;
    }
    let state = core.state();
    let Some(instance) = state.instances.get(&id).filter(|_| !core.jobs.holds(id)) else { return };
    let minute = core.ports.host.minute(now);
    let due = due(&state, instance, minute);
    // What is known from this minute on may be due in it.
    let until = if due == Due::Begin { minute - 1 } else { minute };
    let last = schedule(&state, instance).map(|(text, _)| format!("{until} {text}")).unwrap_or_default();
    let noted = match due {
        Due::Nothing => return,
        Due::Begin | Due::Pass => false,
        Due::Take => match scheduled(core, id, last.clone()).await {
            Err(error) if error.kind == Kind::Busy => return,
            // One that cannot be taken now is not tried every minute.
            result => result.is_ok(),
        },
    };
    if !noted && let Err(error) = note(core, id, &last).await {
        tracing::warn!(LXHOST_INSTANCE = %instance.name, "what was looked after could not be noted: {error}");
    }
}

/// The same for a volume, which is there whether something runs with it or not.
async fn look_after_volume(core: &Arc<Core>, id: ObjectId) {
    let (state, now) = (core.state(), core.ports.host.now());
    if state.snapshots_of_volume(id).any(|snapshot| volume::snapshot::is_over(snapshot, now)) && !core.jobs.holds(id) {
        let _ = perform(core, volume::snapshot::Delete::over(id)).await;
    }
    let state = core.state();
    let Some(volume) = state.volumes.get(&id).filter(|_| !core.jobs.holds(id)) else { return };
    let minute = core.ports.host.minute(now);
    let Some((text, schedule)) = of_volume(volume).filter(|(_, schedule)| schedule.comes()) else { return };
    let last = |minute: Minute| format!("{minute} {text}");
    let noted = match since(&volume.volatile, text, minute) {
        None => note_volume(core, id, &last(minute - 1)).await,
        Some(before) if schedule.latest(before, minute).is_none() || are_starting(core) => return,
        Some(_) => match scheduled_of_volume(core, id, last(minute)).await {
            Err(error) if error.kind == Kind::Busy => return,
            // One that cannot be taken now is not tried every minute.
            Err(_) => note_volume(core, id, &last(minute)).await,
            Ok(()) => return,
        },
    };
    if let Err(error) = noted {
        tracing::warn!("volume {}: what was looked after could not be noted: {error}", volume.title());
    }
}

/// Whether instances are being started together, as when the host has booted: they would find their volumes held.
fn are_starting(core: &Core) -> bool {
    core.jobs.all().iter().any(|job| job.result.is_none() && job.verb == "instance.start-many")
}

async fn scheduled_of_volume(core: &Arc<Core>, id: ObjectId, last: String) -> Result<()> {
    let create = volume::snapshot::Create::new(id, None, String::new(), false, core.ports.host.random())?;
    perform(core, create.noting(LAST, last)).await
}

async fn scheduled(core: &Arc<Core>, id: ObjectId, last: String) -> Result<()> {
    let create = Create::new(id, None, String::new(), false, core.ports.host.random())?;
    perform(core, create.noting(LAST, last)).await
}

async fn perform(core: &Arc<Core>, verb: impl Verb) -> Result<()> {
    let job = core.open(0, Box::new(verb))?;
    core.jobs.outcome(job).await.map(drop)
}

/// Says in the record of an instance that nobody does something to what was looked after.
async fn note(core: &Arc<Core>, id: ObjectId, last: &str) -> Result<()> {
    let _planning = core.planning.lock().await;
    let Some(instance) = core.state().instances.get(&id).cloned().filter(|_| !core.jobs.holds(id)) else { return Ok(()) };
    let mut instance = Instance::clone(&instance);
    instance.volatile.insert(LAST.to_owned(), last.to_owned());
    core.commit(vec![Write::Update(Row::Instance(instance))]).await.map(drop)
}

/// The same of a volume.
async fn note_volume(core: &Arc<Core>, id: ObjectId, last: &str) -> Result<()> {
    let _planning = core.planning.lock().await;
    let Some(volume) = core.state().volumes.get(&id).cloned().filter(|_| !core.jobs.holds(id)) else { return Ok(()) };
    let mut volume = Volume::clone(&volume);
    volume.volatile.insert(LAST.to_owned(), last.to_owned());
    core.commit(vec![Write::Update(Row::Volume(volume))]).await.map(drop)
}

/// What an instance says about its schedule, or the last of its profiles that says something.
fn text<'a>(state: &'a State, instance: &'a Instance) -> Option<&'a str> {
    let of_profile = |name| state.profile(&instance.project, name).and_then(|profile| profile.config.get(SCHEDULE));
    let text = instance.config.get(SCHEDULE).or_else(|| instance.profiles.iter().rev().find_map(of_profile));
    text.map(String::as_str)
}

/// The schedule of an instance, with its text.
fn schedule<'a>(state: &'a State, instance: &'a Instance) -> Option<(&'a str, Schedule)> {
    let text = text(state, instance)?;
    Some((text, text.parse().ok()?))
}

/// The same of a volume.
fn of_volume(volume: &Volume) -> Option<(&str, Schedule)> {
    let text = volume.config.get(SCHEDULE)?;
    Some((text, text.parse().ok()?))
}

/// The last minute that was looked after by the schedule `text`; `None`: it begins now.
fn since(volatile: &Config, text: &str, now: Minute) -> Option<Minute> {
    let last = volatile.get(LAST).and_then(|last| last.split_once(' '));
    // Another schedule begins when it is set.
    let last = last.filter(|(_, by)| *by == text).and_then(|(minute, _)| minute.parse::<Minute>().ok());
    last.filter(|last| *last <= now + DAY)
}

fn due(state: &State, instance: &Instance, now: Minute) -> Due {
    let Some((text, schedule)) = schedule(state, instance).filter(|(_, schedule)| schedule.comes()) else { return Due::Nothing };
    let Some(last) = since(&instance.volatile, text, now) else { return Due::Begin };
    if schedule.latest(last, now).is_none() {
        return Due::Nothing;
    }
    match instance.status {
        Status::Running | Status::Frozen => Due::Take,
        Status::Stopped if is_on(&expand(state, instance).config, "snapshots.schedule.stopped") => Due::Take,
        Status::Stopped | Status::Error => Due::Pass,
        _ => Due::Nothing,
    }
}
