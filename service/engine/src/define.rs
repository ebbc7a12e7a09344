//! The definition of everything that has a record, outside of the store: of pools, of instances and their snapshots beside
//! their disks, of all else in a directory of its own. A lost store is rebuilt from them.
//!
//! What is in the trash says so, in the place where it said what it was.
//!
//! A second copy: it follows commits and holds nobody up, but that what is deleted loses it first. What changes with every start and stop is left
//! out, so a run costs no write. One that could not be written, as on a full disk, is tried again until it can.

use crate::core::Core;
use crate::event::Event;
use crate::ports::{Defined, Row, RowKey, State, Write};
use crate::{Error, Kind, Result};
use lxhost_model::{
    Acl, Discarded, Image, Instance, Network, ObjectId, Pool, Profile, Snapshot, Status, Trashed, Volume, VolumeSnapshot,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;

/// When those that could not be written are tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// Writes definitions for as long as there are events.
pub(crate) async fn run(core: Arc<Core>, mut events: broadcast::Receiver<Event>) {
    // What an earlier daemon owed is not known: all are looked at once.
    let mut owed: BTreeSet<RowKey> = all(&core.state()).collect();
    let mut again = tokio::time::interval(AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            _ = again.tick(), if !owed.is_empty() => {
                for key in std::mem::take(&mut owed) {
                    let _defining = core.defining.lock().await;
                    if renewed(&core, &core.state(), key).await.is_err() {
                        owed.insert(key);
                    }
                }
                continue;
            }
        };
        match event {
            Ok(Event::Committed { before, after, keys }) => {
                for key in keys {
                    match (text(&before, key), text(&after, key)) {
                        (None, Some(_)) if matches!(key, RowKey::Pool(_)) => {} // It was written with the pool.
                        (old, new) if old != new => renew(&core, key, &mut owed).await,
                        _ => {}
                    }
                }
            }
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => {
                for key in all(&core.state()) {
                    renew(&core, key, &mut owed).await;
                }
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Everything that has a definition.
fn all(state: &State) -> impl Iterator<Item = RowKey> {
    let pools = state.pools.keys().map(|id| RowKey::Pool(*id));
    let rest = state.acls.keys().map(|id| RowKey::Acl(*id)).chain(state.networks.keys().map(|id| RowKey::Network(*id)));
    let rest = rest.chain(state.profiles.keys().map(|id| RowKey::Profile(*id)));
    let rest = rest.chain(state.images.keys().map(|id| RowKey::Image(*id)));
    let rest = rest.chain(state.volumes.keys().map(|id| RowKey::Volume(*id)));
    let rest = rest.chain(state.volume_snapshots.keys().map(|(volume, id)| RowKey::VolumeSnapshot(*volume, *id)));
    let instances = state.instances.keys().map(|id| RowKey::Instance(*id));
    let snapshots = state.snapshots.keys().map(|(instance, id)| RowKey::Snapshot(*instance, *id));
    let trash = state.trash.keys().map(|id| RowKey::Trashed(*id));
    pools.chain(rest).chain(instances).chain(snapshots).chain(trash)
}

/// The definition of what is quite there. JSON is YAML; the reader is the same.
fn text(state: &State, key: RowKey) -> Option<String> {
    let json = match key {
        RowKey::Pool(id) => serde_json::to_string_pretty(&pool(state.pools.get(&id)?)),
        RowKey::Image(id) => serde_json::to_string_pretty(&image(state.images.get(&id)?)),
        RowKey::Network(id) => serde_json::to_string_pretty(&network(state.networks.get(&id)?)),
        RowKey::Acl(id) => serde_json::to_string_pretty(&Acl { generation: 0, ..Acl::clone(state.acls.get(&id)?) }),
        RowKey::Profile(id) => {
            serde_json::to_string_pretty(&Profile { generation: 0, ..Profile::clone(state.profiles.get(&id)?) })
        }
        RowKey::Instance(id) => serde_json::to_string_pretty(&instance(state.instances.get(&id).filter(|one| has_root(one))?)),
        RowKey::Snapshot(instance, id) => serde_json::to_string_pretty(&snapshot(state.snapshots.get(&(instance, id))?)),
        RowKey::Volume(id) => serde_json::to_string_pretty(&Volume { generation: 0, ..Volume::clone(state.volumes.get(&id)?) }),
        RowKey::VolumeSnapshot(volume, id) => {
            serde_json::to_string_pretty(&volume_snapshot(state.volume_snapshots.get(&(volume, id))?))
        }
        RowKey::Trashed(id) => serde_json::to_string_pretty(state.trash.get(&id).filter(|one| !one.begun)?.as_ref()),
        RowKey::Job(_) => return None,
    };
    json.ok()
}

fn has_root(instance: &Instance) -> bool {
    !matches!(instance.status, Status::Creating | Status::Deleting)
}

fn pool(pool: &Pool) -> Pool {
    Pool { generation: 0, ..pool.clone() }
}

/// The definition of a pool that is being made.
pub(crate) fn of_pool(made: &Pool) -> Result<String> {
    serde_json::to_string_pretty(&pool(made)).map_err(|e| Error::failed(e.to_string()))
}

/// A change that waits to be confirmed is undone by whoever has a store.
fn network(network: &Network) -> Network {
    Network { checkpoint: None, generation: 0, ..network.clone() }
}

/// The record without what a launch changes.
fn image(image: &Image) -> Image {
    Image { last_used: 0, generation: 0, ..image.clone() }
}

/// The record without what a run changes.
fn instance(instance: &Instance) -> Instance {
    Instance { status: Status::Stopped, status_since: 0, last_used: 0, last_exit: None, generation: 0, ..instance.clone() }
}

fn snapshot(snapshot: &Snapshot) -> Snapshot {
    Snapshot { generation: 0, instance: instance(&snapshot.instance), ..snapshot.clone() }
}

fn volume_snapshot(snapshot: &VolumeSnapshot) -> VolumeSnapshot {
    VolumeSnapshot { generation: 0, volume: Volume { generation: 0, ..snapshot.volume.clone() }, ..snapshot.clone() }
}

/// Whether `writes` delete something whose definition lies apart, or put something into the trash: it may not be written
/// again on the way, by whoever follows what was before.
pub(crate) fn forgets(writes: &[Write]) -> bool {
    writes.iter().any(|write| match write {
        Write::Delete(key) => !names(*key).is_empty(),
        Write::Insert(row) => matches!(row, Row::Trashed(_)),
        _ => false,
    })
}

/// Removes the definitions of what `writes` are about to delete, or has them say that it is in the trash; says whose: a
/// deletion that was acknowledged is not undone by a store that is lost in the next moment. One that stays is removed when
/// the deletion is followed.
pub(crate) async fn forget(core: &Core, writes: &[Write]) -> Vec<RowKey> {
    let mut forgotten = vec![];
    for write in writes {
        let done = match write {
            // What comes back has the place of what was in the trash.
            Write::Delete(RowKey::Trashed(id)) if writes.iter().any(|one| brings(one, *id)) => continue,
            Write::Delete(key) => {
                forgotten.push(*key);
                removed(core, *key).await
            }
            Write::Insert(Row::Trashed(trashed)) => {
                forgotten.push(whole(trashed));
                discarded(core, &core.state(), trashed).await
            }
            _ => continue,
        };
        if let Err(error) = done {
            tracing::debug!("a definition could not be removed yet: {error}");
        }
    }
    forgotten
}

/// Writes those again that were forgotten for a deletion that did not come about.
pub(crate) async fn remember(core: &Core, forgotten: Vec<RowKey>) {
    let state = core.state();
    for key in forgotten {
        if let Err(error) = renewed(core, &state, key).await {
            tracing::warn!("a definition could not be written, and will be at the next start: {error}");
        }
    }
}

/// Makes one what the record is by now; if that fails, it is said once and owed from then on.
async fn renew(core: &Core, key: RowKey, owed: &mut BTreeSet<RowKey>) {
    let renewal = {
        let _defining = core.defining.lock().await;
        renewed(core, &core.state(), key).await
    };
    let Err(error) = renewal else {
        owed.remove(&key);
        return;
    };
    let state = core.state();
    if owed.insert(key) {
        let of = match key {
            RowKey::Instance(id) | RowKey::Snapshot(id, _) => state.instances.get(&id).map(|one| one.name.to_string()),
            _ => None,
        };
        let name = of.unwrap_or_default();
        tracing::warn!(LXHOST_INSTANCE = %name, "a definition could not be renewed, and will be: {error}");
    }
}

/// What is gone, or not quite there, has none.
async fn renewed(core: &Core, state: &State, key: RowKey) -> Result<()> {
    let Some(text) = text(state, key) else {
        return match key {
            RowKey::Volume(id) | RowKey::VolumeSnapshot(_, id)
                if let Some(trashed) = state.trash.get(&id).filter(|one| !one.begun) =>
            {
                discarded(core, state, trashed).await
            }
            RowKey::Trashed(id) if crate::recover::is_alive(state, id) => Ok(()),
            _ => removed(core, key).await,
        };
    };
    let (pool, of) = match key {
        RowKey::Pool(id) => (crate::pool::by_id(state, id)?.as_ref().clone(), Defined::Pool),
        RowKey::Instance(id) => (crate::instance::pool_of(state, &*crate::core::instance_of(state, id)?)?, Defined::Instance(id)),
        RowKey::Snapshot(instance, id) => {
            (crate::instance::pool_of(state, &*crate::core::instance_of(state, instance)?)?, Defined::Snapshot(id))
        }
        RowKey::Trashed(id) => {
            let Some(trashed) = state.trash.get(&id) else { return Ok(()) };
            return discarded(core, state, trashed).await;
        }
        _ => return apart(core, key, &text).await,
    };
    beside(core, &pool, of, &text).await
}

/// Has the definition of what was deleted say so.
async fn discarded(core: &Core, state: &State, trashed: &Trashed) -> Result<()> {
    let text = serde_json::to_string_pretty(trashed).map_err(|e| Error::failed(e.to_string()))?;
    let of = match &trashed.what {
        Discarded::Instance(..) => Defined::Instance(trashed.id),
        Discarded::Snapshot(_) => Defined::Snapshot(trashed.id),
        Discarded::Volume(..) | Discarded::VolumeSnapshot(_) => return apart(core, whole(trashed), &text).await,
    };
    let gone = || Error::new(Kind::NoSuchPool, format!("pool {} does not exist", trashed.what.pool()));
    let pool = state.pool(trashed.what.pool()).ok_or_else(gone)?;
    beside(core, pool, of, &text).await
}

/// Whether this write makes a volume, or a snapshot of one, that has the id.
fn brings(write: &Write, id: ObjectId) -> bool {
    matches!(write, Write::Insert(Row::Volume(one)) if one.id == id)
        || matches!(write, Write::Insert(Row::VolumeSnapshot(one)) if one.id == id)
}

async fn apart(core: &Core, key: RowKey, text: &str) -> Result<()> {
    for name in names(key) {
        core.faults.around(&["definition", "write-apart"], core.ports.definitions.write(&name, text)).await?;
    }
    Ok(())
}

/// Key of the record that had the definition.
fn whole(trashed: &Trashed) -> RowKey {
    match &trashed.what {
        Discarded::Instance(..) => RowKey::Instance(trashed.id),
        Discarded::Snapshot(snapshot) => RowKey::Snapshot(snapshot.instance.id, trashed.id),
        Discarded::Volume(..) => RowKey::Volume(trashed.id),
        Discarded::VolumeSnapshot(snapshot) => RowKey::VolumeSnapshot(snapshot.volume.id, trashed.id),
    }
}

async fn beside(core: &Core, pool: &Pool, of: Defined, text: &str) -> Result<()> {
    crate::step::ready(&core.ports, pool).await?;
    let driver = core.ports.pools.driver(&pool.driver)?;
    core.faults.around(&["definition", "write"], driver.write_definition(pool, of, text)).await
}

/// Those beside a disk go with it.
async fn removed(core: &Core, key: RowKey) -> Result<()> {
    for name in names(key) {
        core.faults.around(&["definition", "remove"], core.ports.definitions.remove(&name)).await?;
    }
    Ok(())
}

/// What the definition of something without a disk is called. What is in the trash may have been one or the other.
fn names(key: RowKey) -> Vec<String> {
    let one = |kind: &str, id: ObjectId| vec![format!("{kind}-{id}")];
    match key {
        RowKey::Image(id) => one("image", id),
        RowKey::Network(id) => one("network", id),
        RowKey::Acl(id) => one("acl", id),
        RowKey::Profile(id) => one("profile", id),
        RowKey::Volume(id) => one("volume", id),
        // After all volumes, in the order of names.
        RowKey::VolumeSnapshot(_, id) => one("volumesnapshot", id),
        RowKey::Trashed(id) => [one("volume", id), one("volumesnapshot", id)].concat(),
        RowKey::Pool(_) | RowKey::Instance(_) | RowKey::Snapshot(..) | RowKey::Job(_) => vec![],
    }
}
