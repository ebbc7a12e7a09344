//! Verbs on custom storage volumes, one file each.

mod across;
mod copy;
mod create;
mod delete;
mod export;
mod files;
mod import;
mod refresh;
mod relocate;
mod rename;
mod replace;
mod serve;
pub mod snapshot;
mod users;

pub use copy::{Copy, Copying};
pub use create::Create;
pub use delete::Delete;
pub use export::Export;
pub use files::Tree;
pub(crate) use files::tree;
pub use import::Import;
pub use refresh::Refresh;
pub use relocate::Move;
pub use rename::Rename;
pub use replace::Replace;
pub use serve::Serve;
use users::unused;
pub use users::{User, users};

use crate::ports::State;
use crate::verb::Question;
use crate::{Error, Kind, Ports, Result};
use lxhost_model::backup::{DescribedVolume, VolumeBackup, VolumePast};
use lxhost_model::name::{PoolName, ProjectName};
use lxhost_model::{Action, ObjectId, Pool, Volume, VolumeSnapshot};
use std::sync::Arc;

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

/// The pool within its pool in which a volume lies.
///
/// # Errors
/// `NoSuchPool`; those of the registry of drivers.
pub(crate) fn place(ports: &Ports, state: &State, volume: &Volume) -> Result<Pool> {
    let pool = pool_of(state, volume)?;
    Ok(ports.pools.driver(&pool.driver)?.volumes(&pool))
}

/// Whether an instance that is not at rest has `volume` among its devices, those of its profiles included; beside `except`.
pub(crate) fn is_live(state: &State, volume: &Volume, except: Option<ObjectId>) -> bool {
    let mut live = state.instances.values().filter(|one| one.status.is_live() && Some(one.id) != except);
    live.any(|instance| {
        let mut devices = crate::instance::expand(state, instance).devices.into_values();
        instance.project == volume.project && devices.any(|device| volume.is_of(&device))
    })
}

/// Refuses a name that another volume of the pool has.
fn free(state: &State, wanted: &Volume) -> Result<()> {
    match state.volume(&wanted.pool, &wanted.project, &wanted.name) {
        Some(_) => Err(Error::new(Kind::AlreadyExists, format!("volume {} exists already", wanted.title()))),
        None => Ok(()),
    }
}

/// A volume, and these of its snapshots, as a backup says them.
fn backup(volume: &Volume, snapshots: &[&Arc<VolumeSnapshot>]) -> VolumeBackup {
    let described = |volume: &Volume| DescribedVolume {
        description: volume.description.clone(),
        config: volume.config.clone(),
        created: volume.created,
    };
    let past = |one: &&Arc<VolumeSnapshot>| VolumePast {
        name: one.name.to_string(),
        expires: one.expires,
        volume: DescribedVolume { description: one.description.clone(), created: one.created, ..described(&one.volume) },
    };
    VolumeBackup {
        name: volume.name.to_string(),
        pool: volume.pool.to_string(),
        content: volume.content,
        volume: described(volume),
        snapshots: snapshots.iter().map(past).collect(),
    }
}

/// Bytes that a volume takes on its pool.
///
/// # Errors
/// `NoSuchVolume`, `Failed`.
pub async fn used(state: &State, ports: &Ports, id: ObjectId) -> Result<u64> {
    let volume = by_id(state, id)?;
    let pool = pool_of(state, &volume)?;
    crate::step::ready(ports, &pool).await?;
    let volumes = place(ports, state, &volume)?;
    let used = ports.pools.driver(&volumes.driver)?.used(&volumes, id).await;
    used.map_err(|error| error.context(format!("volume {}", volume.title())))
}
