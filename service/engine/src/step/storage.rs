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
    context.core.ports.pools.driver(&pool.driver)?.create_root(pool, id, image).await
}

pub(super) async fn copy_root(context: &Context<'_>, pool: &Pool, from: ObjectId, to: ObjectId) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.copy_root(pool, from, to).await
}

pub(super) async fn remove_root(context: &Context<'_>, pool: &Pool, id: ObjectId) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.remove_root(pool, id).await?;
    context.at("remove-root", "removed").await?;
    context.core.ports.launcher.forget(id).await
}
