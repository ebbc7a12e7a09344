//! Steps on pools and roots.

use super::Context;
use crate::Result;
use lxhost_model::{Fingerprint, ObjectId, Pool};

pub(super) async fn set_up(context: &Context<'_>, pool: &Pool) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.set_up(pool).await
}

pub(super) async fn tear_down(context: &Context<'_>, pool: &Pool) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.tear_down(pool).await
}

pub(super) async fn create_root(context: &Context<'_>, pool: &Pool, id: ObjectId, image: Option<&Fingerprint>) -> Result<()> {
    let driver = context.core.ports.pools.driver(&pool.driver)?;
    driver.create_root(pool, id, image).await?;
    define(context, pool, id).await
}

pub(super) async fn copy_root(context: &Context<'_>, pool: &Pool, from: ObjectId, to: ObjectId) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.copy_root(pool, from, to).await?;
    define(context, pool, to).await
}

pub(super) async fn remove_root(context: &Context<'_>, pool: &Pool, id: ObjectId) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.remove_root(pool, id).await
}

/// Writes the record beside the root, so that the store can be rebuilt from the disks.
async fn define(context: &Context<'_>, pool: &Pool, id: ObjectId) -> Result<()> {
    match context.core.instance(id) {
        Ok(record) => crate::instance::define(context.core, pool, &record).await,
        // Undone meanwhile: there is nothing to define.
        Err(_) => Ok(()),
    }
}
