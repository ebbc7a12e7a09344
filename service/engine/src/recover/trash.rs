//! What lies in the trash of a pool and is in no record. It is taken in as what it was there: nothing that was deleted is
//! alive again because the records were lost. It is kept for its time from now on. Called by `find`.

use super::find::{Found, is_here, read, words};
use crate::ports::{Defined, Definition, State};
use crate::verb::View;
use crate::{Error, Kind, Result};
use lxhost_model::config::check_text;
use lxhost_model::instance::InstanceType;
use lxhost_model::{Discarded, Instance, ObjectId, Pool, Snapshot, Status, Timestamp, Trashed};

/// Whether a record knows something under this id that is not in the trash.
pub(crate) fn is_alive(state: &State, id: ObjectId) -> bool {
    state.volumes.contains_key(&id) || state.volume_snapshots.keys().any(|(_, known)| *known == id)
}

/// Whether what is found is in the trash and has this snapshot.
pub(super) fn has(found: &[Found], snapshot: ObjectId) -> bool {
    found.iter().any(|one| matches!(one, Found::Trashed(trashed) if trashed.what.snapshots().contains(&snapshot)))
}

/// What has no disk to lie beside: volumes and their snapshots.
pub(super) fn apart(view: &View<'_>, others: &[Found], id: ObjectId, trashed: Trashed) -> Result<Found> {
    let name = trashed.what.pool();
    match trashed.what {
        _ if trashed.id != id || trashed.what.id() != id => Err(Error::new(Kind::Untrusted, "its definition is another's")),
        Discarded::Instance(..) | Discarded::Snapshot(_) => Err(Error::new(Kind::Untrusted, "its definition lies elsewhere")),
        _ if !is_here(&view.state, others, name) => Err(Error::new(Kind::NoSuchPool, format!("its pool {name} is not here"))),
        _ => Ok(Found::Trashed(Box::new(kept(trashed, view.now)))),
    }
}

/// What lies beside its disk, if that says that it is in the trash; an error comes with the name. `lying` is all that lies
/// there.
pub(super) fn beside(
    view: &View<'_>,
    pool: &Pool,
    definition: &Definition,
    lying: &[Defined],
) -> Option<std::result::Result<Found, (String, Error)>> {
    let mut trashed = read::<Trashed>(&definition.text).ok()?;
    let title = trashed.what.title();
    let untrusted = |what: &str| Err(Error::new(Kind::Untrusted, what));
    let checked = match (definition.of, &mut trashed.what) {
        (Defined::Instance(id), Discarded::Instance(instance, snapshots)) if trashed.id == id && instance.id == id => {
            let is_own = |one: &Snapshot| one.instance.id == id && lying.contains(&Defined::Snapshot(one.id));
            // Nobody else's may go with it.
            let is_known = |one: &Snapshot| view.state.snapshots.keys().any(|(_, known)| *known == one.id);
            snapshots.sort_by_key(|one| one.id);
            snapshots.dedup_by_key(|one| one.id);
            snapshots.retain(|one| is_own(one) && !is_known(one) && !crate::trash::holds(&view.state, one.id));
            this(instance, pool).and_then(|()| snapshots.iter_mut().try_for_each(|one| past(one, pool)))
        }
        (Defined::Snapshot(id), Discarded::Snapshot(one)) if trashed.id == id && one.id == id => past(one, pool),
        _ => untrusted("its definition is another's"),
    };
    Some(checked.map(|()| Found::Trashed(Box::new(kept(trashed, view.now)))).map_err(|error| (title, error)))
}

/// An instance as it may be had here.
fn this(instance: &mut Instance, pool: &Pool) -> Result<()> {
    if instance.kind != InstanceType::Container {
        return Err(Error::new(Kind::Unsupported, "it is a virtual machine"));
    }
    words(instance)?;
    instance.pool = pool.name.clone();
    instance.status = Status::Stopped;
    (instance.generation, instance.last_exit) = (0, None);
    Ok(())
}

fn past(snapshot: &mut Snapshot, pool: &Pool) -> Result<()> {
    check_text("description", &snapshot.description)?;
    words(&snapshot.instance)?;
    snapshot.instance.pool = pool.name.clone();
    snapshot.generation = 0;
    Ok(())
}

/// Nobody could bring it back while it was lost.
fn kept(trashed: Trashed, now: Timestamp) -> Trashed {
    let time = trashed.expires.saturating_sub(trashed.deleted);
    Trashed { expires: now.saturating_add(time), ..trashed }
}
