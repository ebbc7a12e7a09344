//! Nouns of lxhost: names, records, configuration keys, the status table and the error kinds.
//!
//! Pure data and rules: no IO, no async, no clock. Everything else depends on this crate,
//! it depends on nothing of ours.

pub mod acl;
pub mod action;
pub mod backup;
pub mod balancer;
pub mod checkpoint;
pub mod config;
pub mod device;
pub mod error;
pub mod forward;
pub mod id;
pub mod image;
pub mod instance;
pub mod job;
pub mod lifetime;
pub mod name;
pub mod network;
pub mod pool;
pub mod port;
pub mod profile;
pub mod schedule;
pub mod size;
pub mod snapshot;
pub mod status;
pub mod trash;
pub mod volume;

pub use acl::Acl;
pub use action::Action;
pub use balancer::LoadBalancer;
pub use checkpoint::Checkpoint;
pub use error::{Error, Kind};
pub use forward::Forward;
pub use id::{Fingerprint, IdRange, ObjectId};
pub use image::Image;
pub use instance::Instance;
pub use network::Network;
pub use pool::Pool;
pub use profile::Profile;
pub use snapshot::{Snapshot, VolumeSnapshot};
pub use status::{Status, Trigger};
pub use trash::{Discarded, Trashed};
pub use volume::Volume;

/// Result of everything that may refuse a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Microseconds since the Unix epoch, the unit of every timestamp in the API.
pub type Timestamp = u64;
