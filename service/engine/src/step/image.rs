//! Steps on images: files in, trees unpacked, both removed.

use super::Context;
use crate::ports::Progress;
use crate::{Error, Kind, Result, room};
use lxhost_model::{Fingerprint, Pool};

pub(super) async fn take_in(context: &mut Context<'_>, from: Option<&(String, String)>) -> Result<()> {
    let files = match from {
        None => context.outcome.files.take(),
        Some((remote, name)) => {
            let source = crate::image::source(&context.core.ports, remote)?;
            Some(source.fetch(name, context).await?)
        }
    };
    let files = files.ok_or_else(|| Error::new(Kind::Interrupted, "the image's files are gone; import it again"))?;
    context.outcome.imported = Some(context.core.ports.images.take_in(files, context).await?);
    Ok(())
}

/// Undo of `take_in`: files without a record are removed. Those of an import that failed half way are gone.
pub(super) async fn give_back(context: &Context<'_>) -> Result<()> {
    let Some(imported) = &context.outcome.imported else { return Ok(()) };
    match crate::image::is_recorded(&context.core.state(), &imported.fingerprint) {
        true => Ok(()),
        false => context.core.ports.images.remove(&imported.fingerprint).await,
    }
}

pub(super) async fn unpack(context: &Context<'_>, pool: &Pool, image: &Fingerprint, split: bool) -> Result<()> {
    let driver = context.core.ports.pools.driver(&pool.driver)?;
    if driver.has_image(pool, image).await? {
        return Ok(());
    }
    // Packed it is no larger than it is going to be.
    let known = context.core.state().images.values().find(|one| one.fingerprint == *image).map_or(0, |one| one.size);
    room::fits(&context.core.ports, pool, known, &format!("image {}", image.short())).await?;
    let target = driver.stage_image(pool, image).await?;
    context.at("unpack-image", "staged").await?;
    context.report("unpacking image", -1.0);
    context.core.ports.images.unpack(image, split, target, context).await?;
    context.at("unpack-image", "unpacked").await?;
    driver.commit_image(pool, image).await
}

pub(super) async fn remove_tree(context: &Context<'_>, pool: &Pool, image: &Fingerprint, used: bool) -> Result<()> {
    context.core.ports.pools.driver(&pool.driver)?.remove_image(pool, image, used).await
}
