//! Steps on disks: their coming and going while an instance runs.

use super::Context;
use crate::core::Core;
use crate::instance::{self, Attached};
use crate::ports::{DiskSpec, Held};
use crate::{Result, volume};
use lxhost_model::ObjectId;

/// What is mounted for a disk of the instance `id`. A volume that has a size keeps it, wherever it comes from.
pub(super) async fn spec(core: &Core, id: ObjectId, disk: &Attached) -> Result<DiskSpec> {
    let (ports, state) = (&core.ports, core.state());
    let spec = async {
        if let Some((pool, volume)) = disk.volume()
            && let Some(volume) = state.volumes.get(&volume)
        {
            let volumes = ports.pools.driver(&pool.driver)?.volumes(pool);
            let live = volume::is_live(&state, volume, Some(id));
            let driver = ports.pools.driver(&volumes.driver)?;
            driver.open(&volumes, Held::Instance(volume.id)).await?;
            driver.limit(&volumes, volume.id, volume.quota()?, live).await?;
        }
        instance::spec(ports, disk)
    };
    spec.await.map_err(|e| e.context(format!("device {}", disk.device)))
}

/// A running instance gets a disk. One that has ended in this moment needs none any more.
pub(super) async fn attach(context: &Context<'_>, id: ObjectId, disk: &Attached) -> Result<()> {
    let core = context.core;
    if core.live.get(id).is_none_or(|live| live.exit.is_some()) {
        return Ok(());
    }
    let attached = core.ports.launcher.attach(id, &spec(core, id, disk).await?).await;
    attached.map_err(|e| e.context(format!("device {}", disk.device)))
}

/// It loses one.
pub(super) async fn detach(context: &Context<'_>, id: ObjectId, disk: &Attached) -> Result<()> {
    let detached = context.core.ports.launcher.detach(id, disk.path()).await;
    detached.map_err(|e| e.context(format!("device {}", disk.device)))
}
