//! Steps on the file systems that pools bring with them, and what every other step on a pool needs first: that its file
//! system is mounted. One that somebody has unmounted is mounted again; the empty directory under it is never taken for
//! the pool.

use super::{Context, Step, storage};
use crate::core::Ports;
use crate::ports::Reach;
use crate::{Error, Result};
use lxhost_model::Pool;

/// What is done to the file system of a pool.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum OwnFilesystem {
    /// Makes it and mounts it.
    Make {
        /// The pool.
        pool: Pool,
        /// Whether what its device holds may be lost.
        wipe: bool,
    },
    /// Has it grow to the size in the record. Not undone.
    Grow(Pool),
    /// Unmounts and removes it. Undone as long as it is there.
    Remove(Pool),
}

impl OwnFilesystem {
    pub(super) fn phase(&self) -> &'static str {
        match self {
            OwnFilesystem::Make { .. } => "making file system",
            OwnFilesystem::Grow(_) => "growing file system",
            OwnFilesystem::Remove(_) => "removing file system",
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            OwnFilesystem::Make { .. } => "make-filesystem",
            OwnFilesystem::Grow(_) => "grow-filesystem",
            OwnFilesystem::Remove(_) => "remove-filesystem",
        }
    }

    pub(super) async fn act(&self, context: &Context<'_>) -> Result<()> {
        let filesystems = &context.core.ports.filesystems;
        let (pool, done) = match self {
            OwnFilesystem::Make { pool, wipe } => (pool, filesystems.make(pool, *wipe).await),
            OwnFilesystem::Grow(pool) => (pool, filesystems.grow(pool).await),
            OwnFilesystem::Remove(pool) => (pool, filesystems.remove(pool).await),
        };
        done.map_err(|error| error.context(format!("pool {}", pool.name)))
    }

    pub(super) async fn undo(&self, context: &Context<'_>) -> Result<()> {
        match self {
            OwnFilesystem::Make { pool, .. } => context.core.ports.filesystems.remove(pool).await,
            // What could not be removed is a pool as before.
            OwnFilesystem::Remove(pool) => match context.core.ports.filesystems.ready(pool).await {
                Ok(Reach::Here) => storage::set_up(context, pool).await,
                _ => Ok(()),
            },
            OwnFilesystem::Grow(_) => Ok(()),
        }
    }
}

/// Has a pool's file system mounted.
///
/// # Errors
/// `Failed` when it is gone; what mounting it says.
pub(crate) async fn ready(ports: &Ports, pool: &Pool) -> Result<()> {
    let named = |error: Error| error.context(format!("pool {}", pool.name));
    match ports.filesystems.ready(pool).await.map_err(named)? {
        Reach::Here => Ok(()),
        Reach::Gone => {
            let source = pool.config.get("source").map_or("its source", String::as_str);
            Err(Error::failed(format!("pool {}: its file system is gone: it is not on {source}", pool.name)))
        }
    }
}

/// Has the pools mounted that a step works on. `false`: what it is to remove is gone with its pool.
///
/// # Errors
/// Those of `ready`.
pub(super) async fn reach(context: &Context<'_>, step: &Step) -> Result<bool> {
    let ports = &context.core.ports;
    let removes = matches!(
        step,
        Step::TearDownPool(_)
            | Step::RemoveImageTree { .. }
            | Step::RemoveRoot { .. }
            | Step::RemoveSnapshot { .. }
            | Step::RemoveVolume { .. }
            | Step::DropTaken { .. }
            | Step::ClearOut(_)
    );
    for pool in pools(step) {
        if removes && ports.filesystems.ready(pool).await.is_ok_and(|reach| reach == Reach::Gone) {
            return Ok(false);
        }
        ready(ports, pool).await?;
    }
    Ok(true)
}

/// The pools of which a step needs more than the record. Those of a launch are asked for where its parts are looked up.
fn pools(step: &Step) -> Vec<&Pool> {
    match step {
        Step::SetUpPool(pool)
        | Step::AdoptPool(pool)
        | Step::TearDownPool(pool)
        | Step::Filesystem(OwnFilesystem::Grow(pool))
        | Step::UnpackImage { pool, .. }
        | Step::RemoveImageTree { pool, .. }
        | Step::CreateRoot { pool, .. }
        | Step::CopyRoot { pool, .. }
        | Step::CopySnapshot { pool, .. }
        | Step::KeepCopy { pool, .. }
        | Step::RemoveRoot { pool, .. }
        | Step::TakeSnapshot { pool, .. }
        | Step::KeepSnapshot { pool, .. }
        | Step::RemoveSnapshot { pool, .. }
        | Step::StageRestore { pool, .. }
        | Step::Restore { pool, .. }
        | Step::DropTaken { pool, .. }
        | Step::CreateVolume { pool, .. }
        | Step::RemoveVolume { pool, .. }
        | Step::Block { pool, .. }
        | Step::Serve { pool, .. }
        | Step::AdoptSnapshot { pool, .. }
        | Step::UnpackBackup { pool, .. } => vec![pool],
        Step::PackBackup(packing) | Step::PackImage(packing) => vec![&packing.pool],
        Step::Transfer { from, pool, .. } => vec![&from.pool, pool],
        Step::ClearOut(left) => vec![&left.pool],
        Step::Quota(quota) => vec![&quota.pool],
        Step::AttachDisk { disk, .. } => disk.pool().into_iter().collect(),
        Step::Filesystem(_)
        | Step::TakeIn { .. }
        | Step::RemoveImageFiles(_)
        | Step::NetworkUp(_)
        | Step::AdoptNetwork(_)
        | Step::NetworkDown(_)
        | Step::NetworkBack(_)
        | Step::Filter(_)
        | Step::Launch(_)
        | Step::ShutDown { .. }
        | Step::Kill(_)
        | Step::Settle(_)
        | Step::Freeze(_)
        | Step::Thaw(_)
        | Step::Rewire { .. }
        | Step::DetachDisk { .. }
        | Step::Proxy { .. } => vec![],
    }
}
