//! Steps on pools and roots.

use super::{Context, Leftover, Quota};
use crate::instance::is_orphan;
use crate::ports::{Defined, Origin};
use crate::{Error, Kind, Result, define};
use lxhost_model::{Fingerprint, ObjectId, Pool};

/// A pool says what it is from its beginning: it may come to another host.
pub(super) async fn set_up(context: &Context<'_>, pool: &Pool) -> Result<()> {
    let driver = context.core.ports.pools.driver(&pool.driver)?;
    driver.set_up(pool).await?;
    driver.write_definition(pool, Defined::Pool, &define::of_pool(pool)?).await
}

pub(super) async fn tear_down(context: &Context<'_>, pool: &Pool) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.tear_down(pool).await
}

pub(super) async fn create_root(context: &Context<'_>, pool: &Pool, id: ObjectId, image: Option<&Fingerprint>) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.create_root(pool, id, image).await.map_err(|error| named(context, id, error))
}

pub(super) async fn copy_root(context: &Context<'_>, pool: &Pool, from: Origin, to: ObjectId) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.copy_root(pool, from, to).await.map_err(|error| named(context, to, error))
}

pub(super) async fn keep_copy(context: &Context<'_>, pool: &Pool, to: ObjectId) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.keep_copy(pool, to).await.map_err(|error| named(context, to, error))
}

pub(super) async fn undo_copy(context: &Context<'_>, pool: &Pool, from: Origin, to: ObjectId) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.undo_copy(pool, from, to).await?;
    context.core.ports.launcher.forget(to).await
}

pub(super) async fn remove_root(context: &Context<'_>, pool: &Pool, id: ObjectId) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.remove_root(pool, id).await?;
    context.at("remove-root", "removed").await?;
    context.core.ports.launcher.forget(id).await
}

/// Removes what an instance or volume has on a pool, unless it is there. A pool within a pool has that one's name.
pub(super) async fn clear_out(context: &Context<'_>, left: &Leftover) -> Result<()> {
    let (pool, state) = (&left.pool, context.core.state());
    let instance = state.instances.get(&left.instance).is_some_and(|instance| instance.pool == pool.name);
    if instance || state.trash.get(&left.instance).is_some_and(|trashed| *trashed.what.pool() == pool.name) {
        return Ok(());
    }
    if state.volumes.get(&left.instance).is_some_and(|volume| volume.pool == pool.name) {
        return Ok(());
    }
    let driver = context.core.ports.pools.driver(&pool.driver)?;
    for snapshot in &left.snapshots {
        driver.remove_snapshot(pool, *snapshot).await?;
    }
    context.at("clear-out", "snapshots-removed").await?;
    driver.remove_root(pool, left.instance).await?;
    context.at("clear-out", "removed").await?;
    match &left.image {
        Some(image) if is_orphan(&state, image, pool, &[left.instance]) => driver.remove_image(pool, image, false).await,
        _ => Ok(()),
    }
}

/// Bounds what a root or volume may take. It has to hold what is there.
pub(super) async fn bound(context: &Context<'_>, quota: &Quota, bytes: Option<u64>) -> Result<()> {
    let (pool, driver) = (&quota.pool, context.core.ports.pools.driver(&quota.pool.driver)?);
    let shrinks = |bytes: &u64| Some(*bytes) == quota.to && quota.from.is_none_or(|from| *bytes < from);
    if let Some(bytes) = bytes.filter(shrinks) {
        let used = driver.used(pool, quota.of).await?;
        if used > bytes {
            let what = format!("size: {used} bytes are taken, that is more than {bytes}");
            return Err(named(context, quota.of, Error::new(Kind::LimitsExceeded, what)));
        }
    }
    driver.limit(pool, quota.of, bytes, quota.live).await.map_err(|error| named(context, quota.of, error))
}

/// The error with the instance or volume in front; drivers know ids, people names.
pub(super) fn named(context: &Context<'_>, id: ObjectId, error: Error) -> Error {
    let state = context.core.state();
    match (state.instances.get(&id), state.volumes.get(&id)) {
        (Some(instance), _) => error.context(format!("instance {}", instance.name)),
        (None, Some(volume)) => error.context(format!("volume {}", volume.title())),
        (None, None) => error,
    }
}
