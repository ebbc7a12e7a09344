//! Steps on backups, and on images that are made of instances.

use super::instance::LAYERS;
use super::{Context, Packing, Placed};
use crate::ports::{Held, ImageFiles, PoolDriver, Progress};
use crate::{Error, Kind, Result, room};
use lxhost_model::Pool;
use lxhost_model::backup::{About, Request, Tree};
use lxhost_model::volume::Content;
use std::os::fd::OwnedFd;

pub(super) async fn pack(context: &mut Context<'_>, packing: &Packing) -> Result<()> {
    let to = descriptor(context)?;
    context.core.ports.backups.pack(&request(context, packing).await?, to, context).await
}

/// What is packed is taken in while it comes: there is no file in between.
pub(super) async fn publish(context: &mut Context<'_>, packing: &Packing) -> Result<()> {
    let request = request(context, packing).await?;
    let (from, to) = std::io::pipe().map_err(|e| Error::io("make a pipe", &e))?;
    let ports = &context.core.ports;
    let files = ImageFiles { meta: from.into(), rootfs: None };
    let (packed, taken) = tokio::join!(ports.backups.pack(&request, to.into(), context), ports.images.take_in(files, &Quiet));
    let taken = taken.map(|imported| context.outcome.imported = Some(imported));
    cause(packed, taken)
}

/// What is packed is unpacked while it comes.
pub(super) async fn transfer(context: &mut Context<'_>, from: &Packing, pool: &Pool, roots: &[Placed]) -> Result<()> {
    let mut bytes = 0;
    let driver = context.core.ports.pools.driver(&from.pool.driver)?;
    for root in &from.roots {
        // Of what was taken while it runs, or is a snapshot, nobody counts the files twice.
        if let Held::Instance(id) = root.held {
            bytes += driver.used(&from.pool, id).await?;
        }
    }
    room::fits(&context.core.ports, pool, bytes, "what is copied").await?;
    let request = request(context, from).await?;
    let trees = trees(context, pool, roots).await?;
    if matches!(&from.about, About::Volume(volume) if volume.content == Content::Block) {
        return copy_blocks(context, &request.trees, &trees).await;
    }
    let (read, written) = std::io::pipe().map_err(|e| Error::io("make a pipe", &e))?;
    let backups = &context.core.ports.backups;
    let told = Copying(context);
    let (packed, filled) =
        tokio::join!(backups.pack(&request, written.into(), &told), backups.receive(read.into(), &trees, &Quiet));
    cause(packed, filled)?;
    let (old, new) = (context.core.ports.pools.driver(&from.pool.driver)?, context.core.ports.pools.driver(&pool.driver)?);
    for (was, is) in from.roots.iter().zip(roots) {
        // A copy is prepared at its first start; what moves is itself.
        if let (true, Held::Instance(id)) = (was.held.id() == is.held.id(), is.held)
            && let Some(hostname) = old.prepared_for(&from.pool, was.held).await?
        {
            new.note_prepared(pool, id, &hostname).await?;
        }
    }
    Ok(())
}

/// Of a disk nobody packs what is empty.
async fn copy_blocks(context: &Context<'_>, from: &[Tree], to: &[Tree]) -> Result<()> {
    let missing = || Error::failed("a volume without a directory");
    for (from, to) in from.iter().zip(to) {
        let (from, to) = (from.layers.first().ok_or_else(missing)?, to.layers.first().ok_or_else(missing)?);
        context.core.ports.files.copy_block(from, to, context).await?;
    }
    Ok(())
}

/// An archive that breaks off is said to be none, and a pipe that nobody reads to be broken: neither is the cause.
fn cause(packed: Result<()>, taken: Result<()>) -> Result<()> {
    match (packed, taken) {
        (Err(error), Err(taken)) if taken.kind == Kind::Untrusted => Err(error),
        (packed, taken) => taken.and(packed),
    }
}

/// Says how much has been read, of what is no backup.
struct Copying<'a>(&'a dyn Progress);

impl Progress for Copying<'_> {
    fn report(&self, phase: &str, fraction: f64) {
        self.0.report(&phase.replace("writing backup", "copying root"), fraction);
    }
}

/// Says nothing: whoever packs tells how far it is.
struct Quiet;

impl Progress for Quiet {
    fn report(&self, _phase: &str, _fraction: f64) {}
}

async fn request(context: &Context<'_>, packing: &Packing) -> Result<Request> {
    let driver = context.core.ports.pools.driver(&packing.pool.driver)?;
    let mut trees = vec![];
    for root in &packing.roots {
        trees.push(tree(driver.as_ref(), &packing.pool, root).await?);
        if root.nesting {
            let beside = driver.kept_layer_dirs(&packing.pool, root.held, &LAYERS).into_iter();
            trees.extend(beside.map(|dir| Tree {
                name: format!("{}{}", root.name, dir.target),
                layers: vec![dir.source],
                shifts: vec![],
            }));
        }
    }
    Ok(Request { compression: packing.compression, about: packing.about.clone(), trees })
}

pub(super) async fn unpack(context: &mut Context<'_>, pool: &Pool, roots: &[Placed]) -> Result<()> {
    let from = descriptor(context)?;
    let size = std::fs::File::from(from.try_clone().map_err(|e| Error::io("read the backup", &e))?).metadata();
    let size = size.map_err(|e| Error::io("read the backup", &e))?.len();
    room::fits(&context.core.ports, pool, size, "the backup").await?;
    let trees = trees(context, pool, roots).await?;
    context.core.ports.backups.unpack(&from, &trees, context).await
}

/// Where roots that were made are filled.
async fn trees(context: &Context<'_>, pool: &Pool, roots: &[Placed]) -> Result<Vec<Tree>> {
    let driver = context.core.ports.pools.driver(&pool.driver)?;
    let mut trees = vec![];
    for root in roots {
        trees.push(tree(driver.as_ref(), pool, root).await?);
        if let (true, Held::Instance(id)) = (root.nesting, root.held) {
            let beside = driver.layer_dirs(pool, id, &LAYERS).await?.into_iter();
            trees.extend(beside.map(|dir| Tree {
                name: format!("{}{}", root.name, dir.target),
                layers: vec![dir.source],
                shifts: root.shifts.clone(),
            }));
        }
    }
    Ok(trees)
}

async fn tree(driver: &dyn PoolDriver, pool: &Pool, root: &Placed) -> Result<Tree> {
    driver.open(pool, root.held).await?;
    let layers = driver.layers(pool, root.held, root.image.as_ref());
    Ok(Tree { name: root.name.clone(), layers, shifts: root.shifts.clone() })
}

fn descriptor(context: &mut Context<'_>) -> Result<OwnedFd> {
    let descriptor = context.outcome.backup.take();
    descriptor.ok_or_else(|| Error::new(Kind::Interrupted, "the file of the backup is closed; try again"))
}
