//! Undoes changes of networks that nobody confirmed in time. The records say which there are and until when, so that
//! the time runs on, and is over, whatever became of the daemon. Called once, by `Engine::start`.

use super::RollBack;
use crate::core::Core;
use crate::event::Event;
use crate::ports::RowKey;
use lxhost_model::{ObjectId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::Instant;

/// When it is tried again after it failed, or while a job is at the network.
const AGAIN: Duration = Duration::from_secs(2);

/// A change that waits, by this clock: the other one may be set meanwhile.
struct Waiting {
    until: Timestamp,
    due: Instant,
}

/// Follows the records for as long as there are events.
pub(crate) async fn run(core: Arc<Core>, mut events: Receiver<Event>) {
    let mut waiting: BTreeMap<ObjectId, Waiting> = BTreeMap::new();
    loop {
        look(&core, &mut waiting);
        let due = waiting.iter().find(|(_, one)| one.due <= Instant::now()).map(|(id, one)| (*id, one.until));
        if let Some((id, until)) = due {
            let again = if roll_back(&core, id, until).await { Duration::ZERO } else { AGAIN };
            waiting.entry(id).and_modify(|one| one.due = Instant::now() + again);
            continue;
        }
        let next = waiting.values().map(|one| one.due).min();
        tokio::select! {
            () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            changed = changed(&mut events) => if !changed { return },
        }
    }
}

/// Takes note of changes that began to wait, and forgets those that do no more.
fn look(core: &Core, waiting: &mut BTreeMap<ObjectId, Waiting>) {
    let (state, now) = (core.state(), core.ports.host.now());
    let open = |id: &ObjectId| state.networks.get(id).and_then(|network| network.checkpoint.as_deref());
    waiting.retain(|id, one| open(id).is_some_and(|checkpoint| checkpoint.until == one.until));
    for (id, checkpoint) in state.networks.keys().filter_map(|id| Some((*id, open(id)?))) {
        let new = || Waiting { until: checkpoint.until, due: Instant::now() + checkpoint.left(now) };
        waiting.entry(id).or_insert_with(new);
    }
}

/// Whether it is done.
async fn roll_back(core: &Arc<Core>, id: ObjectId, until: Timestamp) -> bool {
    let name = core.state().networks.get(&id).map(|network| network.name.to_string()).unwrap_or_default();
    let done = match core.open(0, Box::new(RollBack::due(id, until))) {
        Ok(job) => core.jobs.outcome(job).await.map(drop),
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => tracing::warn!(network = name, "nobody confirmed the change of the network; it is undone"),
        Err(error) => tracing::error!(network = name, "the unconfirmed change of the network is not undone yet: {error}"),
    }
    core.state().networks.get(&id).and_then(|network| network.checkpoint.as_ref()).is_none_or(|open| open.until != until)
}

/// Waits until a network's record may have changed; `false` when nothing will any more.
async fn changed(events: &mut Receiver<Event>) -> bool {
    loop {
        match events.recv().await {
            Ok(Event::Committed { keys, .. }) if keys.iter().any(|key| matches!(key, RowKey::Network(_))) => return true,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => return false,
        }
    }
}
