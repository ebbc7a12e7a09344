//! The journal's record of what was done: one line for each job, with fields that `journalctl` finds by
//! (`LXHOST_INSTANCE=c1`) and ids that the catalog explains (`journalctl -x`).

use crate::Result;
use crate::core::Core;
use crate::job::{JobHandle, Output};

/// A verb was carried out. In the catalog, `units/catalog/lxhost.catalog`.
const DONE: &str = "3c1f0d0f5fd04c5f9d2f3c9bb0a7a5d1";
/// A verb failed and was undone.
const FAILED: &str = "9a2b6f5e1f7a4b58a3d4c7f1e6b0d2c3";

/// Name of the object that a job is about to hold, while it still has one.
pub(crate) fn name(core: &Core, job: &JobHandle) -> Option<String> {
    let id = job.object()?;
    core.state().instances.get(&id).map(|instance| instance.name.to_string())
}

/// Writes the line of a job that has ended; `before` is the name that its object had at first.
pub(crate) fn ended(core: &Core, job: &JobHandle, before: Option<String>, result: &Result<Output>) {
    // Made by the job, or gone by it: one of the two looks finds it.
    let instance = name(core, job).or(before).unwrap_or_default();
    let (id, verb, uid) = (job.id(), job.verb(), job.uid());
    let what = if instance.is_empty() { verb.to_owned() } else { format!("{verb} {instance}") };
    match result {
        Ok(_) => tracing::info!(
            MESSAGE_ID = DONE,
            LXHOST_INSTANCE = instance,
            LXHOST_JOB = id,
            LXHOST_VERB = verb,
            LXHOST_CALLER_UID = uid,
            "{what}: done for uid {uid}"
        ),
        Err(error) => tracing::warn!(
            MESSAGE_ID = FAILED,
            LXHOST_INSTANCE = instance,
            LXHOST_JOB = id,
            LXHOST_VERB = verb,
            LXHOST_CALLER_UID = uid,
            LXHOST_ERROR = error.kind.dbus_name(),
            "{what}: failed for uid {uid}: {error}"
        ),
    }
}
