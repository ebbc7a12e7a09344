//! How much the root of an instance, or a volume, may take: for one that is made, and from one configuration to the next.
//! Changes nothing. Called by the verbs on both.

use crate::Result;
use crate::instance::{expand, pool_of};
use crate::ports::State;
use crate::step::{Quota, Step};
use crate::verb::View;
use lxhost_model::device::root_quota;
use lxhost_model::{Instance, ObjectId, Pool};

/// Bytes that the root of `instance` may take; `None`: all that there is.
///
/// # Errors
/// `InvalidConfig`.
pub(crate) fn of_root(state: &State, instance: &Instance) -> Result<Option<u64>> {
    root_quota(&expand(state, instance).devices)
}

/// The steps that make the root `of` on `pool`, with the one that bounds it to `bytes`.
///
/// # Errors
/// `Unsupported`, when the pool cannot.
pub(crate) async fn bounded(
    view: &View<'_>,
    pool: &Pool,
    (of, bytes): (ObjectId, Option<u64>),
    mut steps: Vec<Step>,
) -> Result<Vec<Step>> {
    if bytes.is_none() {
        return Ok(steps);
    }
    view.ports.pools.driver(&pool.driver)?.can_limit(pool).await.map_err(|e| e.context("size"))?;
    let makes_it = |step: &Step| match step {
        Step::CreateRoot { instance: made, .. } | Step::CopyRoot { to: made, .. } => *made == of,
        Step::CreateVolume { volume, .. } => volume.id == of,
        _ => false,
    };
    // What is too large is refused before all of it is there.
    let place = steps.iter().position(makes_it).map_or(steps.len(), |place| place + 1);
    let quota = Quota { pool: pool.clone(), of, from: None, to: bytes, live: false };
    steps.insert(place, Step::Quota(Box::new(quota)));
    Ok(steps)
}

/// The step from the size that the root of an instance has to the one that it shall have.
///
/// # Errors
/// `NoSuchPool`, `InvalidConfig`.
pub(crate) fn requota((old, before): (&State, &Instance), (new, after): (&State, &Instance), live: bool) -> Result<Option<Step>> {
    let (from, to) = (of_root(old, before).unwrap_or_default(), of_root(new, after)?);
    if from == to {
        return Ok(None);
    }
    Ok(Some(Step::Quota(Box::new(Quota { pool: pool_of(new, after)?, of: after.id, from, to, live }))))
}
