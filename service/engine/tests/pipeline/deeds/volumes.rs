//! A volume comes, gets another name and goes.

use super::{Deed, new_pool};
use crate::world::World;
use lxhost_engine::{Result, volume};
use lxhost_model::{ObjectId, Volume};
use std::sync::Arc;

pub(super) fn all() -> Vec<Deed> {
    vec![
        deed!("create volume", true, |w| new_pool(&w, "p1").await.unwrap(), |w| new_volume(&w), |w| named(w, "v1").is_some()),
        deed!(
            "rename volume",
            true,
            |w| prepared(&w).await,
            |w| w.perform(volume::Rename { id: named(&w, "v1").unwrap().id, name: "v2".parse().unwrap() }),
            |w| named(w, "v2").is_some()
        ),
        deed!(
            "delete volume",
            false,
            |w| prepared(&w).await,
            |w| w.perform(volume::Delete::new(named(&w, "v1").unwrap().id)),
            |w| w.state().volumes.is_empty()
        ),
    ]
}

async fn prepared(world: &World) {
    new_pool(world, "p1").await.unwrap();
    new_volume(world).await.unwrap();
}

pub(crate) fn named(world: &World, name: &str) -> Option<Arc<Volume>> {
    world.state().volumes.values().find(|volume| volume.name.as_str() == name).cloned()
}

pub(crate) async fn new_volume(world: &World) -> Result<()> {
    let volume = Volume {
        id: ObjectId::from_random(world.engine.host().random()),
        project: Default::default(),
        pool: "p1".parse().unwrap(),
        name: "v1".parse().unwrap(),
        description: String::new(),
        config: Default::default(),
        created: 0,
        generation: 0,
    };
    world.perform(volume::Create::new(volume)?).await.map(drop)
}
