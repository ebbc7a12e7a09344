//! Steps on disks: their coming and going while an instance runs.

use super::Context;
use crate::Result;
use crate::instance::{self, Attached};
use lxhost_model::ObjectId;

/// A running instance gets a disk. One that has ended in this moment needs none any more.
pub(super) async fn attach(context: &Context<'_>, id: ObjectId, disk: &Attached) -> Result<()> {
    let core = context.core;
    if core.live.get(id).is_none_or(|live| live.exit.is_some()) {
        return Ok(());
    }
    let attached = async { core.ports.launcher.attach(id, &instance::spec(&core.ports, disk)?).await };
    attached.await.map_err(|e| e.context(format!("device {}", disk.device)))
}

/// It loses one.
pub(super) async fn detach(context: &Context<'_>, id: ObjectId, disk: &Attached) -> Result<()> {
    let detached = context.core.ports.launcher.detach(id, disk.path()).await;
    detached.map_err(|e| e.context(format!("device {}", disk.device)))
}
