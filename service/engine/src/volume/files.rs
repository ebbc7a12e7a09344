//! Files of a volume. No job: what is done is short and ends with the call, and data goes through descriptors alone.

use super::{by_id, place, pool_of, question_of};
use crate::core::Core;
use crate::ports::{Caller, Held};
use crate::{Engine, Error, Kind, Ports, Result};
use lxhost_model::{ObjectId, Pool};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The tree of a volume, for a caller who may reach into it.
pub struct Tree {
    core: Arc<Core>,
    volume: ObjectId,
    path: PathBuf,
}

impl Engine {
    /// The tree of a volume, if `caller` may do `verb` in it.
    ///
    /// # Errors
    /// Those of the authority; `NoSuchVolume`.
    pub async fn volume_tree(&self, caller: &Caller, volume: ObjectId, verb: &str) -> Result<Tree> {
        let question = question_of(&self.state(), volume, verb);
        self.allow(caller, question).await?;
        let (state, ports) = (self.state(), self.ports());
        let record = by_id(&state, volume)?;
        record.has_files()?;
        crate::step::ready(ports, pool_of(&state, &record)?.as_ref()).await?;
        let path = tree(ports, &place(ports, &state, &record)?, volume).await?;
        Ok(Tree { core: self.core.clone(), volume, path })
    }
}

/// Where the tree of `volume` lies in the pool that is `within` its pool.
///
/// # Errors
/// `NoSuchVolume`; those of the driver.
pub(crate) async fn tree(ports: &Ports, within: &Pool, volume: ObjectId) -> Result<PathBuf> {
    let driver = ports.pools.driver(&within.driver)?;
    driver.open(within, Held::Instance(volume)).await?;
    // A volume has one layer, whatever keeps it.
    let layers = driver.layers(within, Held::Instance(volume), None);
    layers.into_iter().next().ok_or_else(|| Error::new(Kind::NoSuchVolume, "the volume has no tree"))
}

impl Tree {
    /// Where it lies on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for what changes it. What a job may have missed because it was moving or copying the volume meanwhile is not
    /// said to be done.
    ///
    /// # Errors
    /// `Busy`; those of `change`.
    pub async fn change<T>(&self, change: impl Future<Output = Result<T>>) -> Result<T> {
        self.free()?;
        let done = change.await?;
        self.free()?;
        Ok(done)
    }

    fn free(&self) -> Result<()> {
        if self.core.jobs.holds_alone(self.volume) {
            return Err(Error::new(Kind::Busy, "something is being done to the volume; try again when it has ended"));
        }
        Ok(())
    }
}
