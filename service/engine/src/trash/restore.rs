//! `trash.restore`: what was deleted is there again, as it was, at rest. It has its name, or another one when somebody
//! has that by now; its hardware addresses, but those that somebody else has; and all of its data.

use super::{by_id, holds, question, questions};
use crate::instance::{expand, free_mac, guard};
use crate::job::Output;
use crate::ports::{Row, RowKey, State, Write};
use crate::recover::placed;
use crate::snapshot::settled;
use crate::step::{Outcome, Quota, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result, quota, volume};
use async_trait::async_trait;
use lxhost_model::name::SnapshotName;
use lxhost_model::snapshot::MAX;
use lxhost_model::{Action, Discarded, Instance, ObjectId, Pool, Snapshot, Timestamp, Trashed, Volume, VolumeSnapshot};

/// Brings something back.
pub struct Restore {
    id: ObjectId,
    name: Option<String>,
}

impl Restore {
    /// Brings back what is in the trash under `id`, with another `name` where there is one; of a snapshot that is its own.
    pub fn new(id: ObjectId, name: Option<String>) -> Self {
        Restore { id, name }
    }

    /// What it was, under the name that it is going to have.
    fn named(&self, state: &State) -> Result<Discarded> {
        let mut what = by_id(state, self.id)?.what.clone();
        let Some(name) = &self.name else { return Ok(what) };
        match &mut what {
            Discarded::Instance(instance, _) => instance.name = name.parse()?,
            Discarded::Snapshot(snapshot) => snapshot.name = name.parse()?,
            Discarded::Volume(volume, _) => volume.name = name.parse()?,
            Discarded::VolumeSnapshot(snapshot) => snapshot.name = name.parse()?,
        }
        Ok(what)
    }

    /// The steps and the last writes of an instance that comes back.
    async fn instance(&self, view: &View<'_>, was: &Instance, snapshots: &[Snapshot]) -> Result<(Vec<Step>, Vec<Write>)> {
        let state = &view.state;
        let mut taken = view.ports.host.taken_ids().await?;
        let mut instance = placed(state, was, &mut taken)?;
        for (device, _) in expand(state, was).devices.iter().filter(|(_, device)| device.kind() == "nic") {
            free_mac(state, &mut instance, device, || ObjectId::from_random(view.ports.host.random()));
        }
        (instance.status_since, instance.generation) = (view.now, 0);
        let pool = crate::instance::pool_of(state, &instance)?;
        // Profiles may say another size by now.
        let (from, to) = (by_id(state, self.id)?.quota, quota::of_root(state, &instance)?);
        let quota = Quota { pool: Pool::clone(&pool), of: instance.id, from, to, live: false };
        let steps = (from != to).then(|| Step::Quota(Box::new(quota))).into_iter().collect();
        let mut writes = vec![Write::Insert(Row::Instance(instance))];
        writes.extend(snapshots.iter().cloned().map(|one| Write::Insert(Row::Snapshot(one))));
        Ok((steps, writes))
    }
}

fn exists(what: &str) -> Error {
    Error::new(Kind::AlreadyExists, format!("{what} exists already; bring this one back with another name"))
}

/// A snapshot's name, how many there are, and the pool of what it is a snapshot of.
fn fits(name: &SnapshotName, mut others: impl Iterator<Item = SnapshotName> + Clone, title: &str) -> Result<()> {
    if others.clone().count() >= MAX {
        return Err(Error::new(Kind::LimitsExceeded, format!("{title} has {MAX} snapshots")));
    }
    match others.any(|other| other == *name) {
        true => Err(exists(&format!("snapshot {name} of {title}"))),
        false => Ok(()),
    }
}

/// That what it is a snapshot of is not there.
fn orphaned(state: &State, owner: ObjectId, kind: Kind, title: &str) -> Error {
    match holds(state, owner) {
        true => Error::new(Kind::InvalidState, format!("{title} is in the trash, too; bring that back first")),
        false => Error::new(kind, format!("{title} does not exist any more")),
    }
}

/// Its own time, unless that is over: who brings it back wants to have it.
fn kept(expires: Timestamp, now: Timestamp) -> Timestamp {
    if expires > now { expires } else { 0 }
}

fn check_instance(state: &State, instance: &Instance) -> Result<()> {
    if state.instance(&instance.project, &instance.name).is_some() {
        return Err(exists(&format!("instance {}", instance.name)));
    }
    let gone = instance.profiles.iter().find(|name| state.profile(&instance.project, name).is_none());
    if let Some(profile) = gone {
        let what = format!("profile {profile}, which it has, does not exist any more; lxctl profile create {profile}");
        return Err(Error::new(Kind::NoSuchProfile, what));
    }
    instance.config.iter().try_for_each(|(key, value)| lxhost_model::config::check_instance(key, value))
}

fn check_snapshot(state: &State, snapshot: &Snapshot) -> Result<()> {
    let (of, title) = (snapshot.instance.id, format!("instance {}", snapshot.instance.name));
    let owner = state.instances.get(&of).ok_or_else(|| orphaned(state, of, Kind::NoSuchInstance, &title))?;
    settled(owner)?;
    if owner.pool != snapshot.instance.pool {
        return Err(Error::new(Kind::Conflict, format!("{title} is on pool {} by now", owner.pool)));
    }
    fits(&snapshot.name, state.snapshots_of(of).map(|one| one.name.clone()), &title)
}

fn check_volume(state: &State, one: &Volume) -> Result<()> {
    match state.volume(&one.pool, &one.project, &one.name) {
        Some(_) => Err(exists(&format!("volume {}", one.title()))),
        None => Ok(()),
    }
}

fn check_volume_snapshot(state: &State, snapshot: &VolumeSnapshot) -> Result<()> {
    let (of, title) = (snapshot.volume.id, format!("volume {}", snapshot.volume.title()));
    let owner = volume::by_id(state, of).map_err(|_| orphaned(state, of, Kind::NoSuchVolume, &title))?;
    if owner.pool != snapshot.volume.pool {
        return Err(Error::new(Kind::Conflict, format!("{title} is on pool {} by now", owner.pool)));
    }
    fits(&snapshot.name, state.snapshots_of_volume(of).map(|one| one.name.clone()), &title)
}

#[async_trait]
impl Verb for Restore {
    fn name(&self) -> &'static str {
        "trash.restore"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        // Rules that allow names have to allow both.
        let mut asked = questions(state, self.id, Action::InstanceCreate, self.name());
        if let Ok(what) = self.named(state) {
            if self.name.is_some() {
                asked.push(question(&what, Action::InstanceCreate, self.name()));
            }
            // What it was allowed to be then it may not be allowed to be now.
            if let Discarded::Instance(instance, _) = &what {
                asked.extend(guard(state, instance, self.name()));
            }
        }
        asked
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn holds(&self, state: &State) -> Vec<ObjectId> {
        state.trash.get(&self.id).and_then(|one| one.what.owner()).into_iter().collect()
    }

    fn check(&self, state: &State) -> Result<()> {
        let trashed: &Trashed = &*by_id(state, self.id)?;
        if trashed.begun {
            let what = format!("{} {}: its removal was begun", trashed.what.kind(), trashed.what.title());
            return Err(Error::new(Kind::InvalidState, what));
        }
        match self.named(state)? {
            Discarded::Instance(instance, _) => check_instance(state, &instance),
            Discarded::Snapshot(snapshot) => check_snapshot(state, &snapshot),
            Discarded::Volume(volume, _) => check_volume(state, &volume),
            Discarded::VolumeSnapshot(snapshot) => check_volume_snapshot(state, &snapshot),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let (steps, mut writes) = match self.named(&view.state)? {
            Discarded::Instance(instance, snapshots) => self.instance(view, &instance, &snapshots).await?,
            Discarded::Snapshot(one) => {
                let one = Snapshot { expires: kept(one.expires, view.now), ..*one };
                (vec![], vec![Write::Insert(Row::Snapshot(one))])
            }
            Discarded::Volume(one, snapshots) => {
                let snapshots = snapshots.into_iter().map(Row::VolumeSnapshot);
                (vec![], std::iter::once(Row::Volume(*one)).chain(snapshots).map(Write::Insert).collect())
            }
            Discarded::VolumeSnapshot(one) => {
                let one = VolumeSnapshot { expires: kept(one.expires, view.now), ..*one };
                (vec![], vec![Write::Insert(Row::VolumeSnapshot(one))])
            }
        };
        writes.push(Write::Delete(RowKey::Trashed(self.id)));
        Ok(match steps.is_empty() {
            true => Plan::writes(writes),
            false => Plan { writes: vec![], steps, finish: writes, failed: vec![], recovery: Recovery::Undo },
        })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        let mut output = Output::default();
        for write in plan.writes.iter().chain(&plan.finish) {
            match write {
                Write::Insert(Row::Instance(instance)) => drop(output.objects.insert("instance", instance.id)),
                Write::Insert(Row::Volume(volume)) => drop(output.objects.insert("volume", volume.id)),
                _ => {}
            }
        }
        Ok(Finish { writes: plan.finish.clone(), output })
    }
}
