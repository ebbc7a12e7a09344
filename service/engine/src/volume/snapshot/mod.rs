//! Verbs on snapshots of custom volumes, one file each, and what several of them share. What is kept are the files and
//! how the volume was configured; a restore gives back the files alone, as LXD's does.

mod create;
mod delete;
mod rename;
mod restore;

pub use create::Create;
pub use delete::Delete;
pub use rename::Rename;
pub use restore::Restore;

use super::{by_id, question_of};
use crate::ports::State;
use crate::verb::Question;
use crate::{Error, Kind, Result};
use lxhost_model::name::SnapshotName;
use lxhost_model::{ObjectId, Timestamp, VolumeSnapshot};
use std::sync::Arc;

/// The snapshot `name` of the volume `id`.
///
/// # Errors
/// `NoSuchVolume`, `NoSuchSnapshot`.
pub fn find(state: &State, id: ObjectId, name: &SnapshotName) -> Result<Arc<VolumeSnapshot>> {
    let volume = by_id(state, id)?;
    let missing = || Error::new(Kind::NoSuchSnapshot, format!("volume {} has no snapshot {name}", volume.title()));
    state.volume_snapshot(id, name).cloned().ok_or_else(missing)
}

/// The question of a verb on a snapshot.
fn question(state: &State, volume: ObjectId, name: &str, verb: &str) -> Question {
    let mut question = question_of(state, volume, verb);
    question.details.push(("snapshot", name.to_owned()));
    question
}

/// The snapshots of a volume that people know, the oldest first.
pub(super) fn whole(state: &State, volume: ObjectId) -> Vec<&Arc<VolumeSnapshot>> {
    let mut all: Vec<&Arc<VolumeSnapshot>> = state.snapshots_of_volume(volume).filter(|one| !is_left(one)).collect();
    all.sort_by_key(|snapshot| (snapshot.created, snapshot.name.clone()));
    all
}

/// Whether it was replaced and could not be removed then: it has its id for a name.
fn is_left(snapshot: &VolumeSnapshot) -> bool {
    snapshot.name.as_str() == snapshot.id.to_string()
}

/// Whether the time of a snapshot is over.
pub(crate) fn is_over(snapshot: &VolumeSnapshot, now: Timestamp) -> bool {
    (1..=now).contains(&snapshot.expires)
}
