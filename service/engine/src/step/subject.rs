//! What steps are about, where that is more than a pool and an id. Data, kept with the plan it is in.

use crate::instance::Wired;
use crate::ports::{Held, ProxyPlan};
use lxhost_model::backup::{About, Compression, Shift};
use lxhost_model::name::NetworkName;
use lxhost_model::{Fingerprint, ObjectId, Pool};

/// A root and its place in a backup or an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Placed {
    /// What has it.
    pub held: Held,
    /// The image it was made from.
    pub image: Option<Fingerprint>,
    /// Whether containers within it keep layers of theirs beside it.
    pub nesting: bool,
    /// Name in the archive.
    pub name: String,
    /// How the ids of its files were shifted, when it comes from elsewhere.
    #[serde(default)]
    pub shifts: Vec<Shift>,
}

/// What goes into a backup or an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Packing {
    /// The pool.
    pub pool: Pool,
    /// Which roots.
    pub roots: Vec<Placed>,
    /// What they are.
    pub about: About,
    /// How it is compressed.
    pub compression: Compression,
}

/// How much something in a pool may take.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Quota {
    /// The pool, or that within a pool in which volumes lie.
    pub pool: Pool,
    /// Whose root, or which volume.
    pub of: ObjectId,
    /// Bytes until now; `None`: all that there is.
    pub from: Option<u64>,
    /// Bytes from now on.
    pub to: Option<u64>,
    /// Whether it is in use.
    pub live: bool,
}

/// What an instance or volume has on a pool that it leaves.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Leftover {
    /// The pool.
    pub pool: Pool,
    /// The instance or volume.
    pub instance: ObjectId,
    /// Its snapshots.
    pub snapshots: Vec<ObjectId>,
    /// The image it was made from.
    pub image: Option<Fingerprint>,
}

/// What a run of an instance uses outside of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ran {
    /// The instance.
    pub instance: ObjectId,
    /// Its name towards machined and units.
    pub machine: String,
    /// Networks it joined.
    pub networks: Vec<NetworkName>,
    /// Interfaces that joined none.
    #[serde(default)]
    pub nics: Vec<Wired>,
    /// Its proxies.
    #[serde(default)]
    pub proxies: Vec<ProxyPlan>,
}
