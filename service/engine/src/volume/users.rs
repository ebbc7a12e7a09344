//! Who uses a volume: instances and profiles that have it among their devices, and the instances it is held still for.
//! Called by the verbs on volumes.

use super::by_id;
use crate::instance::expand;
use crate::ports::State;
use crate::step::Step;
use crate::verb::View;
use crate::{Error, Kind, Result};
use lxhost_model::device::Devices;
use lxhost_model::name::ProjectName;
use lxhost_model::{Instance, ObjectId, Pool, Profile, Status, Volume};
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// Who has a volume among its devices.
#[derive(Debug, Clone)]
pub enum User {
    /// An instance, of its own.
    Instance(Arc<Instance>),
    /// A profile.
    Profile(Arc<Profile>),
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            User::Instance(instance) => write!(f, "instance {}", instance.name),
            User::Profile(profile) => write!(f, "profile {}", profile.name),
        }
    }
}

/// Those who have `volume` among their devices.
pub fn users(state: &State, volume: &Volume) -> Vec<User> {
    let uses = |project: &ProjectName, devices: &Devices| {
        *project == volume.project && devices.values().any(|device| volume.is_of(device))
    };
    let instances = state.instances.values().filter(move |instance| uses(&instance.project, &instance.devices));
    let profiles = state.profiles.values().filter(move |profile| uses(&profile.project, &profile.devices));
    let mut all: Vec<User> = instances.cloned().map(User::Instance).chain(profiles.cloned().map(User::Profile)).collect();
    all.sort_by_cached_key(ToString::to_string);
    all
}

/// Refuses what may not be done to a volume that somebody has.
pub(super) fn unused(state: &State, volume: &Volume) -> Result<()> {
    let names: Vec<String> = users(state, volume).iter().map(User::to_string).collect();
    match names.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::InUse, format!("volume {} is used by {}", volume.title(), names.join(", ")))),
    }
}

/// Instances that have `volume`, of their own or by a profile.
fn instances(state: &State, volume: &Volume) -> Vec<Arc<Instance>> {
    let has = |instance: &&Arc<Instance>| {
        instance.project == volume.project && expand(state, instance).devices.values().any(|device| volume.is_of(device))
    };
    state.instances.values().filter(has).cloned().collect()
}

/// The instances that have a volume, to be held while something is done to it that none of them may start or stop under.
/// Who is given the volume meanwhile would share it, and cannot.
#[derive(Default)]
pub(super) struct Held(OnceLock<BTreeSet<ObjectId>>);

impl Held {
    /// Those to be held.
    pub(super) fn ids(&self, state: &State, volume: ObjectId) -> Vec<ObjectId> {
        let all = || by_id(state, volume).map(|volume| instances(state, &volume)).unwrap_or_default();
        self.0.get_or_init(|| all().iter().map(|instance| instance.id).collect()).iter().copied().collect()
    }

    /// Those of them that run or stand still.
    ///
    /// # Errors
    /// `NoSuchVolume`; `Conflict` when one has come that is not held.
    pub(super) fn live(&self, state: &State, volume: ObjectId) -> Result<Vec<Arc<Instance>>> {
        let (held, volume) = (self.ids(state, volume), by_id(state, volume)?);
        let now = instances(state, &volume);
        if let Some(new) = now.iter().find(|instance| !held.contains(&instance.id)) {
            let what = format!("instance {} was given volume {} meanwhile; try again", new.name, volume.title());
            return Err(Error::new(Kind::Conflict, what));
        }
        Ok(now.into_iter().filter(|instance| instance.status.is_live()).collect())
    }
}

/// Steps around `step`, for which those of `users` that run stand still unless `pool` takes what there is at once.
pub(super) fn still(view: &View<'_>, pool: &Pool, users: &[Arc<Instance>], step: Step) -> Result<Vec<Step>> {
    let running: Vec<ObjectId> = match view.ports.pools.driver(&pool.driver)?.snapshots_at_once() {
        true => vec![],
        false => users.iter().filter(|user| user.status == Status::Running).map(|user| user.id).collect(),
    };
    let mut steps: Vec<Step> = running.iter().map(|id| Step::Freeze(*id)).collect();
    steps.push(step);
    steps.extend(running.iter().map(|id| Step::Thaw(*id)));
    Ok(steps)
}

/// Refuses what may not be done to a volume under instances that run.
///
/// # Errors
/// `NoSuchVolume`; `InUse`, naming them.
pub(super) fn at_rest(state: &State, volume: ObjectId) -> Result<()> {
    let volume = by_id(state, volume)?;
    let all = instances(state, &volume);
    let names: Vec<&str> = all.iter().filter(|one| one.status.is_live()).map(|one| one.name.as_str()).collect();
    match names.is_empty() {
        true => Ok(()),
        false => {
            let what = format!("volume {} is in use by what runs: {}; stop it first", volume.title(), names.join(", "));
            Err(Error::new(Kind::InUse, what))
        }
    }
}
