//! The record of a storage pool.

use crate::config::Config;
use crate::name::PoolName;
use crate::{ObjectId, Timestamp};

/// A pool as the store keeps it. Pools belong to the host, not to a project.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pool {
    /// Immutable identity.
    pub id: ObjectId,
    /// Name, unique on the host.
    pub name: PoolName,
    /// Driver: `overlay`, `btrfs`, `dir`.
    pub driver: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// Keys of the driver; `source` is the directory it lies in, or the file or device with its file system.
    pub config: Config,
    /// When it was made.
    pub created: Timestamp,
    /// Grows with every change of the record.
    pub generation: u64,
}
