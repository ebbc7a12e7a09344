//! What was deleted on a pool with `trash.expiry`, and the verbs on it, one file each. Its data is not touched and its
//! records are one record of the trash: for everybody else it is gone, and its name is free. The minute's timer has the
//! end of it. Called by the verbs that delete, by `tend` and by skins.

mod delete;
mod restore;

pub use delete::Delete;
pub(crate) use delete::removing;
pub use restore::Restore;

use crate::ports::{Row, RowKey, State, Write};
use crate::verb::Question;
use crate::{Error, Kind, Result, instance, volume};
use lxhost_model::name::PoolName;
use lxhost_model::{Action, Discarded, Fingerprint, Instance, ObjectId, Snapshot, Status, Timestamp, Trashed, Volume};
use std::sync::Arc;

/// What is in the trash under an id.
///
/// # Errors
/// `NoSuchTrash`.
pub fn by_id(state: &State, id: ObjectId) -> Result<Arc<Trashed>> {
    let gone = || Error::new(Kind::NoSuchTrash, "it is not in the trash any more");
    state.trash.get(&id).cloned().ok_or_else(gone)
}

/// The writes that put `what` into the trash instead of having it: until `expires`, with the bytes that its root was
/// bounded to.
pub(crate) fn put(what: Discarded, now: Timestamp, expires: Timestamp, quota: Option<u64>) -> Vec<Write> {
    let mut writes = rows(&what).into_iter().map(Write::Delete).collect::<Vec<_>>();
    let trashed = Trashed { id: what.id(), deleted: now, expires, quota, begun: false, what: at_rest(what) };
    writes.push(Write::Insert(Row::Trashed(Box::new(trashed))));
    writes
}

/// The writes that have no record of what is in the trash and a snapshot of `owner`: it goes with that.
pub(crate) fn forget(state: &State, owner: ObjectId) -> Vec<Write> {
    of(state, owner).map(|one| Write::Delete(RowKey::Trashed(one.id))).collect()
}

/// The snapshots of an instance or volume that are in the trash, while it need not be.
pub(crate) fn of(state: &State, owner: ObjectId) -> impl Iterator<Item = &Arc<Trashed>> {
    state.trash.values().filter(move |one| one.what.owner() == Some(owner))
}

/// Whether what is in the trash of a pool needs the tree of an image, beside what is `gone`.
pub(crate) fn needs(state: &State, image: &Fingerprint, pool: &PoolName, gone: &[ObjectId]) -> bool {
    let mut others = state.trash.values().filter(|one| !gone.contains(&one.id) && one.what.pool() == pool);
    others.any(|one| one.what.image() == Some(image))
}

/// Whether something is in the trash under this id, or with what is.
pub(crate) fn holds(state: &State, id: ObjectId) -> bool {
    state.trash.contains_key(&id) || state.trash.values().any(|one| one.what.snapshots().contains(&id))
}

/// Keys of the records of what is there.
fn rows(what: &Discarded) -> Vec<RowKey> {
    let id = what.id();
    match what {
        Discarded::Instance(_, snapshots) => {
            snapshots.iter().map(|one| RowKey::Snapshot(id, one.id)).chain([RowKey::Instance(id)]).collect()
        }
        Discarded::Snapshot(snapshot) => vec![RowKey::Snapshot(snapshot.instance.id, id)],
        Discarded::Volume(_, snapshots) => {
            snapshots.iter().map(|one| RowKey::VolumeSnapshot(id, one.id)).chain([RowKey::Volume(id)]).collect()
        }
        Discarded::VolumeSnapshot(snapshot) => vec![RowKey::VolumeSnapshot(snapshot.volume.id, id)],
    }
}

/// The same as it comes back: new records, of something that does not run.
fn at_rest(what: Discarded) -> Discarded {
    match what {
        Discarded::Instance(instance, snapshots) => {
            let instance = Instance { status: Status::Stopped, last_exit: None, generation: 0, ..*instance };
            let snapshots = snapshots.into_iter().map(|one| Snapshot { generation: 0, ..one });
            Discarded::Instance(Box::new(instance), snapshots.collect())
        }
        Discarded::Snapshot(snapshot) => Discarded::Snapshot(Box::new(Snapshot { generation: 0, ..*snapshot })),
        Discarded::Volume(volume, mut snapshots) => {
            snapshots.iter_mut().for_each(|one| one.generation = 0);
            Discarded::Volume(Box::new(Volume { generation: 0, ..*volume }), snapshots)
        }
        Discarded::VolumeSnapshot(mut snapshot) => {
            snapshot.generation = 0;
            Discarded::VolumeSnapshot(snapshot)
        }
    }
}

/// The question about what was deleted, which is the one that deleting it has asked; of an instance it is `whole`.
fn question(what: &Discarded, whole: Action, verb: &str) -> Question {
    match what {
        Discarded::Instance(instance, _) => Question::about(whole, instance, verb),
        Discarded::Snapshot(snapshot) => {
            let mut question = Question::about(Action::InstanceSnapshot, &snapshot.instance, verb);
            question.details.push(("snapshot", snapshot.name.to_string()));
            question
        }
        Discarded::Volume(one, _) => volume::question(&one.pool, &one.project, one.name.as_str(), verb),
        Discarded::VolumeSnapshot(snapshot) => {
            let one = &snapshot.volume;
            let mut question = volume::question(&one.pool, &one.project, one.name.as_str(), verb);
            question.details.push(("snapshot", snapshot.name.to_string()));
            question
        }
    }
}

/// The same of what may be gone: who may not do it learns nothing.
fn questions(state: &State, id: ObjectId, whole: Action, verb: &str) -> Vec<Question> {
    match state.trash.get(&id) {
        Some(trashed) => vec![question(&trashed.what, whole, verb)],
        None => instance::questions(state, id, whole, verb),
    }
}
