//! The record of a profile: keys and devices that instances share.

use crate::config::Config;
use crate::device::Devices;
use crate::name::{ProfileName, ProjectName};
use crate::{ObjectId, Timestamp};

/// A profile as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Profile {
    /// Immutable identity.
    pub id: ObjectId,
    /// Project it belongs to.
    pub project: ProjectName,
    /// Name, unique within the project.
    pub name: ProfileName,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// Keys.
    pub config: Config,
    /// Devices.
    pub devices: Devices,
    /// When it was made.
    pub created: Timestamp,
    /// Grows with every change of the record.
    pub generation: u64,
}
