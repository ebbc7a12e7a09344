//! The record of an image.

use crate::config::Config;
use crate::name::{ImageAlias, ProjectName};
use crate::{Fingerprint, ObjectId, Timestamp};

/// An image as the store keeps it. Its files lie in the state directory under its fingerprint;
/// pools unpack them once each.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Image {
    /// Immutable identity of the record.
    pub id: ObjectId,
    /// Project it belongs to.
    pub project: ProjectName,
    /// SHA-256 over its files as LXD computes it.
    pub fingerprint: Fingerprint,
    /// Names people use for it.
    pub aliases: Vec<ImageAlias>,
    /// Architecture, as `uname -m` says it.
    pub architecture: String,
    /// What its metadata says: `os`, `release`, `description`, …
    pub properties: Config,
    /// Whether its root filesystem is a file of its own (split) or part of one tarball (unified).
    pub split: bool,
    /// Bytes of its files.
    pub size: u64,
    /// When its metadata says it was made.
    pub created: Timestamp,
    /// When it came here.
    pub uploaded: Timestamp,
    /// When it was last used to make an instance; 0 = never.
    pub last_used: Timestamp,
    /// Where it came from, such as `debian:13`; empty when imported.
    pub source: String,
    /// Whether it was fetched by a launch and may be dropped when unused.
    pub cached: bool,
    /// Grows with every change of the record.
    pub generation: u64,
}

impl Image {
    /// The metadata's one-line description, or the source.
    pub fn description(&self) -> &str {
        self.properties.get("description").map_or(self.source.as_str(), String::as_str)
    }
}
