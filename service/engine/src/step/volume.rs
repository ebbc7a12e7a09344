//! Steps on volumes. Each lies in the pool within its pool, as a root does in that.

use super::Context;
use crate::ports::PoolDriver;
use crate::{Error, Kind, Result};
use lxhost_model::{ObjectId, Pool, Volume};
use std::sync::Arc;

/// Where the volumes of a pool lie, and who keeps them there.
pub(super) fn place(context: &Context<'_>, pool: &Pool) -> Result<(Pool, Arc<dyn PoolDriver>)> {
    let pools = &context.core.ports.pools;
    let volumes = pools.driver(&pool.driver)?.volumes(pool);
    let driver = pools.driver(&volumes.driver)?;
    Ok((volumes, driver))
}

pub(super) async fn create(context: &Context<'_>, pool: &Pool, volume: &Volume) -> Result<()> {
    let (volumes, driver) = place(context, pool)?;
    let made = driver.create_volume(&volumes, volume.id, volume.top()).await;
    made.map_err(|error: Error| error.context(format!("volume {}", volume.title())))
}

pub(super) async fn remove(context: &Context<'_>, pool: &Pool, volume: ObjectId) -> Result<()> {
    let (volumes, driver) = place(context, pool)?;
    driver.remove_root(&volumes, volume).await
}

/// Gives a block volume so many bytes; `exactly`, or at least.
pub(super) async fn block(context: &Context<'_>, pool: &Pool, volume: ObjectId, (bytes, exactly): (u64, bool)) -> Result<()> {
    let ports = &context.core.ports;
    let tree = crate::volume::tree(ports, pool, volume).await?;
    ports.files.block(&tree, bytes, exactly).await.map_err(|error| super::storage::named(context, volume, error))
}

pub(super) async fn serve(context: &mut Context<'_>, pool: &Pool, volume: ObjectId) -> Result<()> {
    let gone = || Error::new(Kind::Interrupted, "the socket is closed; try again");
    let socket = context.outcome.served.take().ok_or_else(gone)?;
    let (volumes, _) = place(context, pool)?;
    let ports = &context.core.ports;
    ports.files.serve(&crate::volume::tree(ports, &volumes, volume).await?, socket).await
}
