//! A pool comes with a file system of its own, grows and goes.

use super::Deed;
use crate::world::World;
use lxhost_engine::{Result, pool};
use lxhost_model::Pool;
use lxhost_model::config::Config;
use std::sync::Arc;

pub(super) fn all() -> Vec<Deed> {
    vec![
        deed!("create pool in a file", true, |w| w.rest().await, |w| in_file(&w, "1GiB"), |w| named(w).is_some()),
        deed!("grow pool", true, |w| in_file(&w, "1GiB").await.unwrap(), |w| sized(&w, "2GiB"), |w| named(w)
            .is_some_and(|pool| pool.config["size"] == "2GiB" && bytes(w) == 2 << 30)),
        deed!(
            "delete pool in a file",
            false,
            |w| in_file(&w, "1GiB").await.unwrap(),
            |w| w.perform(pool::Delete::new(named(&w).unwrap().id)),
            |w| named(w).is_none()
        ),
    ]
}

/// The pool `f1`.
pub(crate) fn named(world: &World) -> Option<Arc<Pool>> {
    world.state().pool(&"f1".parse().unwrap()).cloned()
}

/// Bytes of its file.
pub(crate) fn bytes(world: &World) -> u64 {
    world.sim.filesystems.all()[&named(world).unwrap().id].bytes
}

pub(crate) async fn with_keys(world: &World, keys: &[(&str, &str)]) -> Result<()> {
    let config: Config = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let create = pool::Create::new(world.engine.ports(), "f1".parse().unwrap(), "btrfs", config).await?;
    world.perform(create).await.map(drop)
}

pub(crate) async fn in_file(world: &World, size: &str) -> Result<()> {
    with_keys(world, &[("size", size)]).await
}

pub(crate) async fn sized(world: &World, size: &str) -> Result<()> {
    let pool = named(world).unwrap();
    let mut config = pool.config.clone();
    config.insert("size".into(), size.into());
    world.perform(pool::Replace { id: pool.id, config, description: None, expected: None }).await.map(drop)
}
