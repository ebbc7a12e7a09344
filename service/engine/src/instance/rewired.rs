//! What a running instance has to be given or taken when its configuration changes: interfaces and proxies, from one
//! set of records to the next. Called by the verbs that change an instance or one of its profiles.

use super::{disks, nics, proxies, refuse_clashes, refuse_taken, reproxy, rewire};
use crate::ports::State;
use crate::step::Step;
use crate::{Error, Kind, Result};
use lxhost_model::{Instance, Status};

/// The steps for an instance that is `before` in the records `old` and `after` in `new`; none when it does not run.
///
/// # Errors
/// Those of devices that cannot be; `Conflict` for addresses that another instance was promised.
pub(crate) fn rewired(old: &State, before: &Instance, new: &State, after: &Instance) -> Result<Vec<Step>> {
    let (present, wanted) = (nics(old, before), nics(new, after)?);
    let runs = matches!(before.status, Status::Running | Status::Frozen);
    if disks(old, before).ok() != Some(disks(new, after)?) && runs {
        let what = format!("volumes of instance {} cannot come or go while it runs; stop it first", before.name);
        return Err(Error::new(Kind::InvalidState, what));
    }
    // What it had already is not refused now.
    if present.as_ref().ok() != Some(&wanted) {
        refuse_clashes(new, after.id, &wanted)?;
    }
    let (had, proxies) = (proxies(old, before).unwrap_or_default(), proxies(new, after)?);
    if !runs {
        return Ok(vec![]);
    }
    if had != proxies {
        refuse_taken(new, after.id, &proxies)?;
    }
    let mut steps = rewire(after.id, &present.unwrap_or_default(), &wanted);
    steps.extend(reproxy(&had, &proxies));
    Ok(steps)
}
