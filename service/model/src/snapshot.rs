//! The records of snapshots: an instance, or a custom volume, as it was at one moment, under a name of its own.

use crate::config::Config;
use crate::name::SnapshotName;
use crate::{Instance, ObjectId, Timestamp, Volume};

/// Most snapshots of one instance, and of one volume.
pub const MAX: usize = 1000;
/// What a name is made of when nothing says otherwise.
pub const PATTERN: &str = "snap%d";

/// A snapshot as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Snapshot {
    /// Immutable identity; what is kept of the root lies under it.
    pub id: ObjectId,
    /// Name, unique among those of the instance.
    pub name: SnapshotName,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// When it was taken.
    pub created: Timestamp,
    /// When it may be deleted; 0 = never.
    #[serde(default)]
    pub expires: Timestamp,
    /// The instance as it was. Its id says whose snapshot this is.
    pub instance: Instance,
    /// Grows with every change of the record.
    pub generation: u64,
}

impl Snapshot {
    /// `instance` as it is going to be once this is restored: what people configure is as it was; what it is and does,
    /// what it is called and what the daemon keeps for it stays as it is.
    pub fn restored(&self, instance: &Instance) -> Instance {
        let was = &self.instance;
        Instance {
            description: was.description.clone(),
            profiles: was.profiles.clone(),
            config: was.config.clone(),
            devices: was.devices.clone(),
            volatile: was.volatile.clone().into_iter().chain(instance.volatile.clone()).collect(),
            ephemeral: was.ephemeral,
            ..instance.clone()
        }
    }

    /// The same for `copy`, a copy of the instance, under an `id` of its own.
    pub fn copied(&self, id: ObjectId, copy: &Instance) -> Snapshot {
        let instance = Instance {
            id: copy.id,
            name: copy.name.clone(),
            pool: copy.pool.clone(),
            ids: copy.ids,
            // Addresses are the copy's, and are made of its id.
            volatile: Config::new(),
            ..self.instance.clone()
        };
        Snapshot { id, instance, generation: 0, ..self.clone() }
    }
}

/// A snapshot of a custom volume as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VolumeSnapshot {
    /// Immutable identity; what is kept of the files lies under it.
    pub id: ObjectId,
    /// Name, unique among those of the volume.
    pub name: SnapshotName,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// When it was taken.
    pub created: Timestamp,
    /// When it may be deleted; 0 = never.
    #[serde(default)]
    pub expires: Timestamp,
    /// The volume as it was. Its id says whose snapshot this is.
    pub volume: Volume,
    /// Grows with every change of the record.
    pub generation: u64,
}

impl VolumeSnapshot {
    /// The same for `copy`, a copy of the volume, under an `id` of its own.
    pub fn copied(&self, id: ObjectId, copy: &Volume) -> VolumeSnapshot {
        let volume = Volume {
            id: copy.id,
            project: copy.project.clone(),
            pool: copy.pool.clone(),
            name: copy.name.clone(),
            volatile: Config::new(),
            ..self.volume.clone()
        };
        VolumeSnapshot { id, volume, generation: 0, ..self.clone() }
    }
}

/// The name that `pattern` makes when `taken` are taken: `%d` becomes the number after the greatest one there is. A
/// pattern without it gets a number at its end when it is taken itself.
///
/// # Errors
/// `InvalidName` when what comes out is no name.
pub fn next_name<'a>(pattern: &str, taken: impl Iterator<Item = &'a SnapshotName> + Clone) -> crate::Result<SnapshotName> {
    let numbered = match pattern.split_once("%d") {
        Some((before, after)) => (before.to_owned(), after),
        None if taken.clone().all(|name| name.as_str() != pattern) => return pattern.parse(),
        None => (format!("{pattern}-"), ""),
    };
    let number = |name: &'a SnapshotName| -> Option<u64> {
        let middle = name.as_str().strip_prefix(numbered.0.as_str())?.strip_suffix(numbered.1)?;
        // A sign or a leading zero is not what a counter writes.
        middle.parse().ok().filter(|number: &u64| number.to_string() == middle)
    };
    let next = taken.filter_map(number).max().map_or(0, |greatest| greatest.saturating_add(1));
    format!("{}{next}{}", numbered.0, numbered.1).parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(pattern: &str, taken: &[&str]) -> String {
        let taken: Vec<SnapshotName> = taken.iter().map(|name| name.parse().unwrap()).collect();
        next_name(pattern, taken.iter()).unwrap().to_string()
    }

    #[test]
    fn a_number_is_one_more_than_the_greatest_there_is() {
        assert_eq!(next("snap%d", &[]), "snap0");
        assert_eq!(next("snap%d", &["snap0", "snap7", "other9", "snapx"]), "snap8");
        assert_eq!(next("auto-%d.daily", &["auto-1.daily", "auto-9.weekly", "auto-03.daily"]), "auto-2.daily");
    }

    #[test]
    fn a_pattern_without_a_number_gets_one_when_it_is_taken() {
        assert_eq!(next("nightly", &["snap0"]), "nightly");
        assert_eq!(next("nightly", &["nightly"]), "nightly-0");
        assert_eq!(next("nightly", &["nightly", "nightly-0"]), "nightly-1");
    }

    #[test]
    fn what_would_be_no_name_is_refused() {
        for pattern in ["../%d", "a b%d", "", "%d/x", &"a".repeat(63), "x%d%d"] {
            let taken: Vec<SnapshotName> = vec!["a".repeat(63).parse().unwrap()];
            assert!(next_name(pattern, taken.iter()).is_err(), "{pattern}");
        }
    }
}
