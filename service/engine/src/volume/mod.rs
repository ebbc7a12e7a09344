//! Verbs on custom storage volumes, one file each.

mod create;
mod delete;
mod rename;
mod replace;

pub use create::Create;
pub use delete::Delete;
pub use rename::Rename;
pub use replace::Replace;

use crate::ports::State;
use crate::verb::Question;
use crate::{Error, Kind, Ports, Result};
use lxhost_model::device::Devices;
use lxhost_model::name::{PoolName, ProjectName};
use lxhost_model::{Action, Instance, ObjectId, Pool, Profile, Volume};
use std::sync::Arc;

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

/// A question about a volume.
pub fn question(pool: &PoolName, project: &ProjectName, name: &str, verb: &str) -> Question {
    let details = vec![
        ("pool", pool.to_string()),
        ("volume", name.to_owned()),
        ("project", project.to_string()),
        ("verb", verb.to_owned()),
    ];
    Question { action: Action::StorageManageVolumes, details }
}

/// The question about a volume that may be gone.
fn question_of(state: &State, id: ObjectId, verb: &str) -> Question {
    match state.volumes.get(&id) {
        Some(volume) => question(&volume.pool, &volume.project, volume.name.as_str(), verb),
        None => Question {
            action: Action::StorageManageVolumes,
            details: vec![("volume-id", id.to_string()), ("verb", verb.to_owned())],
        },
    }
}

/// The volume behind an id.
///
/// # Errors
/// `NoSuchVolume`.
pub fn by_id(state: &State, id: ObjectId) -> Result<Arc<Volume>> {
    state.volumes.get(&id).cloned().ok_or_else(|| Error::new(Kind::NoSuchVolume, "the volume does not exist any more"))
}

/// The pool of a volume.
///
/// # Errors
/// `NoSuchPool`.
pub fn pool_of(state: &State, volume: &Volume) -> Result<Arc<Pool>> {
    let gone = || Error::new(Kind::NoSuchPool, format!("pool {} does not exist", volume.pool));
    state.pool(&volume.pool).cloned().ok_or_else(gone)
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
fn unused(state: &State, volume: &Volume) -> Result<()> {
    let names: Vec<String> = users(state, volume).iter().map(User::to_string).collect();
    match names.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::InUse, format!("volume {} is used by {}", volume.title(), names.join(", ")))),
    }
}

/// Bytes that a volume takes on its pool.
///
/// # Errors
/// `NoSuchVolume`, `Failed`.
pub async fn used(state: &State, ports: &Ports, id: ObjectId) -> Result<u64> {
    let volume = by_id(state, id)?;
    let pool = pool_of(state, &volume)?;
    let volumes = ports.pools.driver(&pool.driver)?.volumes(&pool);
    let used = ports.pools.driver(&volumes.driver)?.used(&volumes, id).await;
    used.map_err(|error| error.context(format!("volume {}", volume.title())))
}
