//! What the engine does about what nobody asked for: guests that become ready, shut down, reboot or
//! end, and PID 1 asking for a stop.

use crate::core::Core;
use crate::event::Event;
use crate::exec::Sessions;
use crate::instance::{Exited, Stop};
use crate::live::SubState;
use crate::ports::LauncherEvent;
use lxhost_model::instance::{Exit, ExitReason};
use lxhost_model::{ObjectId, Status};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// User id under which the daemon acts by itself.
const SELF: u32 = 0;

/// Follows the launcher's events until there are no more.
pub(crate) async fn run(core: Arc<Core>) {
    core.following.store(true, Ordering::Relaxed);
    while let Some(event) = core.ports.launcher.next_event().await {
        handle(&core, event);
    }
}

fn handle(core: &Arc<Core>, event: LauncherEvent) {
    match event {
        LauncherEvent::Ready(id) => live(core, id, |live| live.sub_state = SubState::Ready),
        LauncherEvent::Stopping(id) => live(core, id, |live| live.sub_state = SubState::Stopping),
        LauncherEvent::Addresses(id, addresses) => live(core, id, |live| live.addresses = addresses),
        LauncherEvent::ExecEnded(_, session, result) => Sessions::end(core, session, result),
        LauncherEvent::Exited(id, exit) => {
            Sessions::lose(core, id);
            core.live.update(id, |live| live.exit = Some(exit));
            settle(core, id);
        }
        LauncherEvent::StopRequested(id) => {
            if let Err(error) = core.open(SELF, Box::new(Stop::new(id, false, None))) {
                tracing::info!("PID 1 asked to stop {id}: {error}");
            }
        }
    }
}

fn live(core: &Core, id: ObjectId, change: impl FnOnce(&mut crate::live::Live)) {
    if core.live.update(id, change) {
        core.emit(Event::Live(id));
    }
}

/// Deals with the end of a run that no job is going to deal with.
pub(crate) fn settle(core: &Arc<Core>, id: ObjectId) {
    let Ok(instance) = core.instance(id) else { return };
    if core.jobs.holds(id) || !matches!(instance.status, Status::Running | Status::Frozen | Status::Stopping) {
        return;
    }
    let exit = match core.live.get(id) {
        Some(live) => live.exit,
        // A job ended the run and could not write that down.
        None => Some(Exit { reason: ExitReason::Lost, status: 0 }),
    };
    let Some(exit) = exit else { return };
    if let Err(error) = core.open(SELF, Box::new(Exited::new(id, exit))) {
        tracing::error!(LXHOST_INSTANCE = %instance.name, "its end could not be dealt with: {error}");
    }
}
