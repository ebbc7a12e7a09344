//! What a backup of an instance or a custom volume says about it: words of whoever made it, which nobody has checked yet; and what an
//! image made of one says. Spoken between the daemon and the program that reads and writes them.

use crate::Timestamp;
use std::collections::BTreeMap;

/// Keys and values as they stand in a backup.
pub type Words = BTreeMap<String, String>;

/// An instance and its snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Backup {
    /// Name it had.
    pub name: String,
    /// Pool its root lay on.
    pub pool: String,
    /// What it was.
    pub instance: Described,
    /// What it had been; the oldest first.
    pub snapshots: Vec<Past>,
}

/// An instance at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Described {
    /// Free text.
    pub description: String,
    /// Architecture, as `uname -m` says it.
    pub architecture: String,
    /// Deleted when it stops.
    pub ephemeral: bool,
    /// Profiles in order of application.
    pub profiles: Vec<String>,
    /// Its own keys, with those that a daemon keeps for itself (`volatile.*`).
    pub config: Words,
    /// Its own devices.
    pub devices: BTreeMap<String, Words>,
    /// Keys with its profiles applied: written for LXD and Incus, not read.
    #[serde(default)]
    pub expanded_config: Words,
    /// Devices with its profiles applied: written for LXD and Incus, not read.
    #[serde(default)]
    pub expanded_devices: BTreeMap<String, Words>,
    /// When it was made.
    pub created: Timestamp,
}

/// A snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Past {
    /// Its name.
    pub name: String,
    /// When it may be deleted; 0 = never.
    pub expires: Timestamp,
    /// What the instance was. Created: when the snapshot was taken; description: that of the snapshot.
    pub instance: Described,
}

/// A custom volume and its snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VolumeBackup {
    /// Name it had.
    pub name: String,
    /// Pool it lay on.
    pub pool: String,
    /// What it holds.
    #[serde(default)]
    pub content: crate::volume::Content,
    /// What it was.
    pub volume: DescribedVolume,
    /// What it had been; the oldest first.
    pub snapshots: Vec<VolumePast>,
}

/// A custom volume at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DescribedVolume {
    /// Free text.
    pub description: String,
    /// Its keys.
    pub config: Words,
    /// When it was made.
    pub created: Timestamp,
}

/// A snapshot of a custom volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VolumePast {
    /// Its name.
    pub name: String,
    /// When it may be deleted; 0 = never.
    pub expires: Timestamp,
    /// What the volume was. Created: when the snapshot was taken; description: that of the snapshot.
    pub volume: DescribedVolume,
}

/// How a backup is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    #[default]
    Zstd,
}

/// A range of ids as they stand on a disk, and as a guest knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Shift {
    /// Whether it is about users.
    pub uid: bool,
    /// Whether it is about groups.
    pub gid: bool,
    /// First id on the disk.
    pub host: u32,
    /// What the guest knows it as.
    pub inside: u32,
    /// How many.
    pub count: u32,
}

/// A tree of a backup: the name of its place in the archive, and the directories that it is made of or unpacked to,
/// the topmost first.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tree {
    /// Name in the archive, without a slash at its end.
    pub name: String,
    /// Directories. What is in one hides what is in those after it.
    pub layers: Vec<std::path::PathBuf>,
    /// How the ids of its files were shifted, when it is unpacked.
    #[serde(default)]
    pub shifts: Vec<Shift>,
}

/// An image made of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Published {
    /// Architecture, as `uname -m` says it.
    pub architecture: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it says about itself.
    pub properties: Words,
}

/// What an archive says about itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// It is a backup.
    Backup(Backup),
    /// It is a backup of a custom volume.
    Volume(VolumeBackup),
    /// It is an image.
    Image(Published),
}

/// What the program is asked to pack.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Request {
    /// How.
    pub compression: Compression,
    /// What of.
    pub about: About,
    /// Its trees.
    pub trees: Vec<Tree>,
}

/// Name of the instance's root in a backup.
pub const ROOT: &str = "backup/container/rootfs";

/// Name of a custom volume in a backup.
pub const VOLUME: &str = "backup/volume";

/// Name of the root in an image.
pub const IMAGE_ROOT: &str = "rootfs";

/// Name of a snapshot's root in a backup.
pub fn snapshot_root(name: &str) -> String {
    format!("backup/snapshots/{name}/rootfs")
}

/// Name of a snapshot of a custom volume in a backup.
pub fn volume_snapshot(name: &str) -> String {
    format!("backup/volume-snapshots/{name}")
}

impl std::str::FromStr for Compression {
    type Err = crate::Error;

    fn from_str(word: &str) -> crate::Result<Self> {
        match word {
            "none" => Ok(Compression::None),
            "gzip" => Ok(Compression::Gzip),
            "xz" => Ok(Compression::Xz),
            "zstd" => Ok(Compression::Zstd),
            other => {
                let what = format!("compression {} is not known; there are zstd, gzip, xz and none", crate::name::quoted(other));
                Err(crate::Error::new(crate::Kind::Unsupported, what))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compression_is_one_word_and_nothing_with_arguments() {
        assert_eq!("zstd".parse::<Compression>().unwrap(), Compression::Zstd);
        for bad in ["", "zstd -19", "ZSTD", "gzip; rm -rf /", "bzip2"] {
            assert_eq!(bad.parse::<Compression>().unwrap_err().kind, crate::Kind::Unsupported, "{bad}");
        }
    }
}
