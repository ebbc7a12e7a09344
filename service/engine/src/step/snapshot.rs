//! Steps on snapshots.

use super::Context;
use super::storage::named;
use crate::Result;
use lxhost_model::{ObjectId, Pool};

pub(super) async fn take(context: &Context<'_>, pool: &Pool, id: ObjectId, (snapshot, live): (ObjectId, bool)) -> Result<()> {
    let driver = context.core.ports.pools.driver(&pool.driver)?;
    driver.take_snapshot(pool, id, snapshot, live).await.map_err(|error| named(context, id, error))
}

pub(super) async fn keep(context: &Context<'_>, pool: &Pool, id: ObjectId, snapshot: ObjectId) -> Result<()> {
    let driver = context.core.ports.pools.driver(&pool.driver)?;
    driver.keep_snapshot(pool, id, snapshot).await.map_err(|error| named(context, id, error))
}

pub(super) async fn undo(context: &Context<'_>, pool: &Pool, id: ObjectId, snapshot: ObjectId) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.undo_snapshot(pool, id, snapshot).await
}

pub(super) async fn remove(context: &Context<'_>, pool: &Pool, snapshot: ObjectId) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.remove_snapshot(pool, snapshot).await
}

pub(super) async fn adopt(context: &Context<'_>, pool: &Pool, snapshot: ObjectId) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.adopt_snapshot(pool, snapshot).await
}

pub(super) async fn stage(context: &Context<'_>, pool: &Pool, id: ObjectId, snapshot: ObjectId) -> Result<()> {
    let driver = context.core.ports.pools.driver(&pool.driver)?;
    driver.stage_restore(pool, id, snapshot).await.map_err(|error| named(context, id, error))
}

pub(super) async fn restore(context: &Context<'_>, pool: &Pool, id: ObjectId) -> Result<()> {
    let driver = context.core.ports.pools.driver(&pool.driver)?;
    driver.restore(pool, id).await.map_err(|error| named(context, id, error))
}

pub(super) async fn unstage(context: &Context<'_>, pool: &Pool, id: ObjectId) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.undo_restore(pool, id).await
}

pub(super) async fn copy(context: &Context<'_>, pool: &Pool, (from, to): (ObjectId, ObjectId), id: ObjectId) -> Result<()> {
    let driver = context.core.ports.pools.driver(&pool.driver)?;
    driver.copy_snapshot(pool, from, to).await.map_err(|error| named(context, id, error))
}
