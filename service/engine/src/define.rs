//! The definition of each instance beside its disk, so that a lost store can be rebuilt from the disks.
//!
//! A second copy: it follows commits and holds nobody up. What changes with every start and stop is left
//! out, so a run costs no write.

use crate::core::Core;
use crate::event::Event;
use crate::ports::{RowKey, State};
use crate::{Error, Result};
use lxhost_model::{Instance, ObjectId, Status};
use std::sync::Arc;
use tokio::sync::broadcast;

/// Writes definitions for as long as there are events.
pub(crate) async fn run(core: Arc<Core>, mut events: broadcast::Receiver<Event>) {
    loop {
        match events.recv().await {
            Ok(Event::Committed { before, after, keys }) => {
                for key in keys {
                    if let RowKey::Instance(id) = key
                        && differs(&before, &after, id)
                    {
                        write(&core, &after, id).await;
                    }
                }
            }
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => {
                let state = core.state();
                for id in state.instances.keys() {
                    write(&core, &state, *id).await;
                }
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Whether the definition of an instance changed, or its root has just been made.
fn differs(before: &State, after: &State, id: ObjectId) -> bool {
    let Some(new) = after.instances.get(&id).filter(|new| !matches!(new.status, Status::Creating | Status::Deleting)) else {
        return false;
    };
    before.instances.get(&id).is_none_or(|old| old.status == Status::Creating || definition(old) != definition(new))
}

/// The record without what a run changes.
fn definition(instance: &Instance) -> Instance {
    Instance { status: Status::Stopped, status_since: 0, last_used: 0, last_exit: None, generation: 0, ..instance.clone() }
}

async fn write(core: &Core, state: &State, id: ObjectId) {
    let Some(instance) = state.instances.get(&id) else { return };
    if let Err(error) = written(core, state, instance).await {
        tracing::warn!(LXHOST_INSTANCE = %instance.name, "its definition could not be written beside its disk: {error}");
    }
}

async fn written(core: &Core, state: &State, instance: &Instance) -> Result<()> {
    let pool = crate::instance::pool_of(state, instance)?;
    let text = serde_json::to_string_pretty(&definition(instance)).map_err(|e| Error::failed(e.to_string()))?;
    // JSON is YAML; the reader is the same.
    let driver = core.ports.pools.driver(&pool.driver)?;
    core.faults.around(&["definition", "write"], driver.write_definition(&pool, instance.id, &text)).await
}
