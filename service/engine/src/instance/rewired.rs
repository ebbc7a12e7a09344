//! What an instance has to be given or taken when its configuration changes: its size, and while it runs disks, interfaces
//! and proxies, from one set of records to the next. Called by the verbs that change an instance or one of its profiles.

use super::{disks, nics, proxies, reattach, refuse_clashes, refuse_taken, reproxy, rewire};
use crate::Result;
use crate::ports::State;
use crate::quota::requota;
use crate::step::Step;
use lxhost_model::{Instance, Status};

/// The steps for an instance that is `before` in the records `old` and `after` in `new`; but for its size, none when it does
/// not run.
///
/// # Errors
/// Those of devices that cannot be; `Conflict` for addresses that another instance was promised.
pub(crate) fn rewired(old: &State, before: &Instance, new: &State, after: &Instance) -> Result<Vec<Step>> {
    let (present, wanted) = (nics(old, before), nics(new, after)?);
    let runs = matches!(before.status, Status::Running | Status::Frozen);
    let disks = (disks(old, before).unwrap_or_default(), disks(new, after)?);
    // What it had already is not refused now.
    if present.as_ref().ok() != Some(&wanted) {
        refuse_clashes(new, after.id, &wanted)?;
    }
    let (had, proxies) = (proxies(old, before).unwrap_or_default(), proxies(new, after)?);
    let mut steps: Vec<Step> = requota((old, before), (new, after), runs)?.into_iter().collect();
    if !runs {
        return Ok(steps);
    }
    if had != proxies {
        refuse_taken(new, after.id, &proxies)?;
    }
    steps.extend(reattach(after.id, &disks.0, &disks.1));
    steps.extend(rewire(after.id, &present.unwrap_or_default(), &wanted));
    steps.extend(reproxy(&had, &proxies));
    Ok(steps)
}
