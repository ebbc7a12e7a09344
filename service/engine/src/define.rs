//! The definition of each instance beside its disk, so that a lost store can be rebuilt from the disks.
//!
//! A second copy: it follows commits and holds nobody up. What changes with every start and stop is left
//! out, so a run costs no write. One that could not be written, as on a full disk, is tried again until it can.

use crate::core::Core;
use crate::event::Event;
use crate::ports::{RowKey, State};
use crate::{Error, Result};
use lxhost_model::{Instance, ObjectId, Status};
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
    let mut owed: BTreeSet<ObjectId> = core.state().instances.keys().copied().collect();
    let mut again = tokio::time::interval(AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            _ = again.tick(), if !owed.is_empty() => {
                let state = core.state();
                for id in std::mem::take(&mut owed) {
                    if written(&core, &state, id).await.is_err() {
                        owed.insert(id);
                    }
                }
                continue;
            }
        };
        match event {
            Ok(Event::Committed { before, after, keys }) => {
                for key in keys {
                    if let RowKey::Instance(id) = key
                        && differs(&before, &after, id)
                    {
                        write(&core, &after, id, &mut owed).await;
                    }
                }
            }
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => {
                let state = core.state();
                for id in state.instances.keys() {
                    write(&core, &state, *id, &mut owed).await;
                }
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Whether the definition of an instance changed, or its root has just been made.
fn differs(before: &State, after: &State, id: ObjectId) -> bool {
    let Some(new) = after.instances.get(&id).filter(|new| has_root(new)) else { return false };
    before.instances.get(&id).is_none_or(|old| old.status == Status::Creating || definition(old) != definition(new))
}

fn has_root(instance: &Instance) -> bool {
    !matches!(instance.status, Status::Creating | Status::Deleting)
}

/// The record without what a run changes.
fn definition(instance: &Instance) -> Instance {
    Instance { status: Status::Stopped, status_since: 0, last_used: 0, last_exit: None, generation: 0, ..instance.clone() }
}

/// Writes one; if that fails, it is said once and owed from then on.
async fn write(core: &Core, state: &State, id: ObjectId, owed: &mut BTreeSet<ObjectId>) {
    let Err(error) = written(core, state, id).await else {
        owed.remove(&id);
        return;
    };
    if owed.insert(id) {
        let name = state.instances.get(&id).map(|instance| instance.name.to_string()).unwrap_or_default();
        tracing::warn!(LXHOST_INSTANCE = %name, "its definition could not be written beside its disk, and will be: {error}");
    }
}

async fn written(core: &Core, state: &State, id: ObjectId) -> Result<()> {
    // One that is gone, or not quite there, needs none.
    let Some(instance) = state.instances.get(&id).filter(|instance| has_root(instance)) else { return Ok(()) };
    let pool = crate::instance::pool_of(state, instance)?;
    let text = serde_json::to_string_pretty(&definition(instance)).map_err(|e| Error::failed(e.to_string()))?;
    // JSON is YAML; the reader is the same.
    let driver = core.ports.pools.driver(&pool.driver)?;
    core.faults.around(&["definition", "write"], driver.write_definition(&pool, instance.id, &text)).await
}
