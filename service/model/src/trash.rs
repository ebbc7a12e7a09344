//! What was deleted and is kept for a while: the records as they were, for whoever wants it back. Its data lies where it
//! lay. Pure.

use crate::config::Config;
use crate::lifetime::Lifetime;
use crate::name::{PoolName, ProjectName};
use crate::{Error, Fingerprint, Instance, ObjectId, Pool, Snapshot, Timestamp, Volume, VolumeSnapshot};

/// Key of a pool: how long what is deleted on it is kept.
pub const EXPIRY: &str = "trash.expiry";

/// Something that was deleted, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Trashed {
    /// The identity it had, under which its data lies.
    pub id: ObjectId,
    /// When it was deleted.
    pub deleted: Timestamp,
    /// When it is gone for good.
    pub expires: Timestamp,
    /// Bytes that the root of an instance was bounded to.
    #[serde(default)]
    pub quota: Option<u64>,
    /// Whether removing it for good was begun: it cannot be brought back any more.
    #[serde(default)]
    pub begun: bool,
    /// What it was.
    pub what: Discarded,
}

/// The records of what was deleted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Discarded {
    /// An instance with its snapshots.
    Instance(Box<Instance>, Vec<Snapshot>),
    /// A snapshot of an instance.
    Snapshot(Box<Snapshot>),
    /// A custom volume with its snapshots.
    Volume(Box<Volume>, Vec<VolumeSnapshot>),
    /// A snapshot of a custom volume.
    VolumeSnapshot(Box<VolumeSnapshot>),
}

impl Discarded {
    /// The identity it had.
    pub fn id(&self) -> ObjectId {
        match self {
            Discarded::Instance(instance, _) => instance.id,
            Discarded::Snapshot(snapshot) => snapshot.id,
            Discarded::Volume(volume, _) => volume.id,
            Discarded::VolumeSnapshot(snapshot) => snapshot.id,
        }
    }

    /// What it is called among people: `instance`, `snapshot`, `volume`, `volume-snapshot`.
    pub fn kind(&self) -> &'static str {
        match self {
            Discarded::Instance(..) => "instance",
            Discarded::Snapshot(_) => "snapshot",
            Discarded::Volume(..) => "volume",
            Discarded::VolumeSnapshot(_) => "volume-snapshot",
        }
    }

    /// Its name; `INSTANCE/SNAPSHOT` and `VOLUME/SNAPSHOT` for snapshots.
    pub fn title(&self) -> String {
        match self {
            Discarded::Instance(instance, _) => instance.name.to_string(),
            Discarded::Snapshot(snapshot) => format!("{}/{}", snapshot.instance.name, snapshot.name),
            Discarded::Volume(volume, _) => volume.name.to_string(),
            Discarded::VolumeSnapshot(snapshot) => format!("{}/{}", snapshot.volume.name, snapshot.name),
        }
    }

    /// The pool that its data lies on.
    pub fn pool(&self) -> &PoolName {
        match self {
            Discarded::Instance(instance, _) => &instance.pool,
            Discarded::Snapshot(snapshot) => &snapshot.instance.pool,
            Discarded::Volume(volume, _) => &volume.pool,
            Discarded::VolumeSnapshot(snapshot) => &snapshot.volume.pool,
        }
    }

    /// The project it was in.
    pub fn project(&self) -> &ProjectName {
        match self {
            Discarded::Instance(instance, _) => &instance.project,
            Discarded::Snapshot(snapshot) => &snapshot.instance.project,
            Discarded::Volume(volume, _) => &volume.project,
            Discarded::VolumeSnapshot(snapshot) => &snapshot.volume.project,
        }
    }

    /// Of a snapshot: what it is a snapshot of.
    pub fn owner(&self) -> Option<ObjectId> {
        match self {
            Discarded::Instance(..) | Discarded::Volume(..) => None,
            Discarded::Snapshot(snapshot) => Some(snapshot.instance.id),
            Discarded::VolumeSnapshot(snapshot) => Some(snapshot.volume.id),
        }
    }

    /// The image whose tree its roots may lie over.
    pub fn image(&self) -> Option<&Fingerprint> {
        match self {
            Discarded::Instance(instance, _) => instance.image.as_ref(),
            Discarded::Snapshot(snapshot) => snapshot.instance.image.as_ref(),
            Discarded::Volume(..) | Discarded::VolumeSnapshot(_) => None,
        }
    }

    /// Identities of the snapshots that were deleted with it.
    pub fn snapshots(&self) -> Vec<ObjectId> {
        match self {
            Discarded::Instance(_, snapshots) => snapshots.iter().map(|one| one.id).collect(),
            Discarded::Volume(_, snapshots) => snapshots.iter().map(|one| one.id).collect(),
            Discarded::Snapshot(_) | Discarded::VolumeSnapshot(_) => vec![],
        }
    }
}

/// Checks what the keys of a pool say about its trash.
///
/// # Errors
/// `InvalidConfig`.
pub fn check(config: &Config) -> Result<(), Error> {
    lifetime(config).map(drop).map_err(|error| error.context(EXPIRY))
}

/// When what is deleted at `now` on `pool` is gone for good; `None`: at once.
pub fn end(pool: &Pool, now: Timestamp) -> Option<Timestamp> {
    lifetime(&pool.config).ok().flatten().map(|lifetime| lifetime.end(now))
}

fn lifetime(config: &Config) -> Result<Option<Lifetime>, Error> {
    config.get(EXPIRY).filter(|text| !text.is_empty()).map(|text| text.parse()).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn pool(expiry: Option<&str>) -> Pool {
        let config = expiry.map(|text| (EXPIRY.to_owned(), text.to_owned())).into_iter().collect();
        let (id, name) = (ObjectId::from_random([7; 16]), "p1".parse().unwrap());
        Pool { id, name, driver: "dir".into(), description: String::new(), config, created: 0, generation: 0 }
    }

    #[test]
    fn a_pool_keeps_what_is_deleted_for_as_long_as_it_says() {
        let day = 86_400_000_000;
        assert_eq!(end(&pool(Some("7d")), day), Some(8 * day));
        assert_eq!((end(&pool(None), day), end(&pool(Some("")), day)), (None, None));
    }

    #[test]
    fn what_is_no_time_is_refused_by_the_key_s_name() {
        for text in ["soon", "0d", "-1d", "7d\n"] {
            let error = check(&pool(Some(text)).config).unwrap_err();
            assert_eq!(error.kind, Kind::InvalidConfig);
            assert!(error.message.contains(EXPIRY), "{error}");
        }
        assert!(check(&pool(Some("1m 12H")).config).is_ok() && check(&pool(None).config).is_ok());
    }
}
