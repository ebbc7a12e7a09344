//! Steps on backups.

use super::instance::LAYERS;
use super::{Context, Packing, Placed};
use crate::ports::{Held, PoolDriver};
use crate::{Error, Kind, Result};
use lxhost_model::Pool;
use lxhost_model::backup::{Request, Tree};
use std::os::fd::OwnedFd;

pub(super) async fn pack(context: &mut Context<'_>, packing: &Packing) -> Result<()> {
    let to = descriptor(context)?;
    let driver = context.core.ports.pools.driver(&packing.pool.driver)?;
    let mut trees = vec![];
    for root in &packing.roots {
        trees.push(tree(driver.as_ref(), &packing.pool, root));
        if root.nesting {
            let beside = driver.kept_layer_dirs(&packing.pool, root.held, &LAYERS).into_iter();
            trees.extend(beside.map(|dir| Tree {
                name: format!("{}{}", root.name, dir.target),
                layers: vec![dir.source],
                shifts: vec![],
            }));
        }
    }
    let request = Request { compression: packing.compression, backup: packing.backup.clone(), trees };
    context.core.ports.backups.pack(&request, to, context).await
}

pub(super) async fn unpack(context: &mut Context<'_>, pool: &Pool, roots: &[Placed]) -> Result<()> {
    let from = descriptor(context)?;
    let driver = context.core.ports.pools.driver(&pool.driver)?;
    let mut trees = vec![];
    for root in roots {
        trees.push(tree(driver.as_ref(), pool, root));
        if let (true, Held::Instance(id)) = (root.nesting, root.held) {
            let beside = driver.layer_dirs(pool, id, &LAYERS).await?.into_iter();
            trees.extend(beside.map(|dir| Tree {
                name: format!("{}{}", root.name, dir.target),
                layers: vec![dir.source],
                shifts: root.shifts.clone(),
            }));
        }
    }
    context.core.ports.backups.unpack(&from, &trees, context).await
}

fn tree(driver: &dyn PoolDriver, pool: &Pool, root: &Placed) -> Tree {
    Tree { name: root.name.clone(), layers: driver.layers(pool, root.held, root.image.as_ref()), shifts: root.shifts.clone() }
}

fn descriptor(context: &mut Context<'_>) -> Result<OwnedFd> {
    let descriptor = context.outcome.backup.take();
    descriptor.ok_or_else(|| Error::new(Kind::Interrupted, "the file of the backup is closed; try again"))
}
