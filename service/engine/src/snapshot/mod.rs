//! Verbs on snapshots of instances, one file each, and what several of them share.

mod create;
mod delete;
mod rename;
mod restore;

pub use create::{Create, Kept};
pub use delete::Delete;
pub use rename::Rename;
pub use restore::Restore;

use crate::ports::State;
use crate::verb::Question;
use crate::{Error, Kind, Result};
use lxhost_model::name::SnapshotName;
use lxhost_model::{Action, Instance, ObjectId, Snapshot, Status, Timestamp};
use std::sync::Arc;

/// The snapshot `name` of the instance `id`.
///
/// # Errors
/// `NoSuchInstance`, `NoSuchSnapshot`.
pub fn find(state: &State, id: ObjectId, name: &SnapshotName) -> Result<Arc<Snapshot>> {
    let instance = crate::core::instance_of(state, id)?;
    let found = state.snapshot(id, name).cloned();
    found.ok_or_else(|| Error::new(Kind::NoSuchSnapshot, format!("instance {} has no snapshot {name}", instance.name)))
}

/// Questions of a verb on a snapshot.
fn questions(state: &State, instance: ObjectId, name: &str, verb: &str) -> Vec<Question> {
    let mut questions = crate::instance::questions(state, instance, Action::InstanceSnapshot, verb);
    questions.iter_mut().for_each(|question| question.details.push(("snapshot", name.to_owned())));
    questions
}

/// Whether it was replaced and could not be removed then: it has its id for a name.
pub(crate) fn is_left(snapshot: &Snapshot) -> bool {
    snapshot.name.as_str() == snapshot.id.to_string()
}

/// Whether the time of a snapshot is over.
pub(crate) fn is_over(snapshot: &Snapshot, now: Timestamp) -> bool {
    (1..=now).contains(&snapshot.expires)
}

/// Refuses an instance that is not whole, or that something is being done to.
pub(crate) fn settled(instance: &Instance) -> Result<()> {
    match instance.status {
        Status::Stopped | Status::Running | Status::Frozen => Ok(()),
        status => Err(Error::new(Kind::InvalidState, format!("instance {} is {status}", instance.name))),
    }
}
