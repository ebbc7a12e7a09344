//! Object paths. Ids are immutable, so a path stays valid through a rename.

use lxhost_model::job::JobId;
use lxhost_model::{Fingerprint, ObjectId};

/// Path of the Manager.
pub const MANAGER: &str = "/org/lxhost1";
/// Path that stands for "no object" in replies: work that was finished at once has no job.
pub const NONE: &str = "/";
/// Collections below the Manager; each has an ObjectManager.
pub const COLLECTIONS: &[&str] = &["instance", "image", "network", "acl", "profile", "pool", "volume", "job", "exec"];

/// Path of an instance.
pub fn instance(id: ObjectId) -> String {
    format!("{MANAGER}/instance/{id}")
}

/// Path of an image, by the first twelve digits of its fingerprint.
pub fn image(fingerprint: &Fingerprint) -> String {
    format!("{MANAGER}/image/{}", fingerprint.short())
}

/// Path of a network.
pub fn network(id: ObjectId) -> String {
    format!("{MANAGER}/network/{id}")
}

/// Path of a network ACL.
pub fn acl(id: ObjectId) -> String {
    format!("{MANAGER}/acl/{id}")
}

/// Path of a profile.
pub fn profile(id: ObjectId) -> String {
    format!("{MANAGER}/profile/{id}")
}

/// Path of a pool.
pub fn pool(id: ObjectId) -> String {
    format!("{MANAGER}/pool/{id}")
}

/// Path of a volume.
pub fn volume(id: ObjectId) -> String {
    format!("{MANAGER}/volume/{id}")
}

/// Path of a job.
pub fn job(id: JobId) -> String {
    format!("{MANAGER}/job/{id}")
}

/// Path of an exec session.
pub fn exec(session: u32) -> String {
    format!("{MANAGER}/exec/{session}")
}
