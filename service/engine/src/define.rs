//! The definition of everything that has a record, outside of the store: of pools, of instances and their snapshots beside
//! their disks, of all else in a directory of its own. A lost store is rebuilt from them.
//!
//! A second copy: it follows commits and holds nobody up, but that what is deleted loses it first. What changes with every start and stop is left
//! out, so a run costs no write. One that could not be written, as on a full disk, is tried again until it can.

use crate::core::Core;
use crate::event::Event;
use crate::ports::{Defined, RowKey, State, Write};
use crate::{Error, Result};
use lxhost_model::{Acl, Image, Instance, Network, Pool, Profile, Snapshot, Status, Volume, VolumeSnapshot};
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
    pools.chain(rest).chain(instances).chain(snapshots)
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

/// Whether `writes` delete something whose definition lies apart: it may not be written again on the way, by whoever
/// follows what was before.
pub(crate) fn forgets(writes: &[Write]) -> bool {
    writes.iter().any(|write| matches!(write, Write::Delete(key) if name(*key).is_some()))
}

/// Removes the definitions of what `writes` are about to delete, and says whose: a deletion that was acknowledged is
/// not undone by a store that is lost in the next moment. One that stays is removed when the deletion is followed.
pub(crate) async fn forget(core: &Core, writes: &[Write]) -> Vec<RowKey> {
    let mut forgotten = vec![];
    for write in writes {
        let Write::Delete(key) = write else { continue };
        if let Err(error) = removed(core, *key).await {
            tracing::debug!("a definition could not be removed yet: {error}");
        }
        forgotten.push(*key);
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
    let Some(text) = text(state, key) else { return removed(core, key).await };
    let (pool, of) = match key {
        RowKey::Pool(id) => (crate::pool::by_id(state, id)?.as_ref().clone(), Defined::Pool),
        RowKey::Instance(id) => (crate::instance::pool_of(state, &*crate::core::instance_of(state, id)?)?, Defined::Instance(id)),
        RowKey::Snapshot(instance, id) => {
            (crate::instance::pool_of(state, &*crate::core::instance_of(state, instance)?)?, Defined::Snapshot(id))
        }
        _ => {
            let Some(name) = name(key) else { return Ok(()) };
            return core.faults.around(&["definition", "write-apart"], core.ports.definitions.write(&name, &text)).await;
        }
    };
    crate::step::ready(&core.ports, &pool).await?;
    let driver = core.ports.pools.driver(&pool.driver)?;
    core.faults.around(&["definition", "write"], driver.write_definition(&pool, of, &text)).await
}

/// Those beside a disk go with it.
async fn removed(core: &Core, key: RowKey) -> Result<()> {
    let Some(name) = name(key) else { return Ok(()) };
    core.faults.around(&["definition", "remove"], core.ports.definitions.remove(&name)).await
}

/// What the definition of something without a disk is called.
fn name(key: RowKey) -> Option<String> {
    match key {
        RowKey::Image(id) => Some(format!("image-{id}")),
        RowKey::Network(id) => Some(format!("network-{id}")),
        RowKey::Acl(id) => Some(format!("acl-{id}")),
        RowKey::Profile(id) => Some(format!("profile-{id}")),
        RowKey::Volume(id) => Some(format!("volume-{id}")),
        // After all volumes, in the order of names.
        RowKey::VolumeSnapshot(_, id) => Some(format!("volumesnapshot-{id}")),
        RowKey::Pool(_) | RowKey::Instance(_) | RowKey::Snapshot(..) | RowKey::Job(_) => None,
    }
}
