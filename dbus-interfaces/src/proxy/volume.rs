//! Proxies of a custom volume's object.

use crate::wire::*;
use zbus::proxy;
use zbus::wire::{Fd, ObjectPath, OwnedObjectPath};

/// A custom storage volume. `/org/lxhost1/volume/<id>`.
#[proxy(interface = "org.lxhost1.Volume", default_service = "org.lxhost1")]
pub trait Volume {
    /// Configuration and generation.
    #[zbus(allow_interactive_auth)]
    fn get_config(&self, options: &Options<'_>) -> zbus::Result<(Config, u64)>;
    /// Replaces its keys. Option: `description` s.
    #[zbus(allow_interactive_auth)]
    fn replace_config(&self, config: &Config, expected_generation: u64, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// What it takes: `used` t, bytes. Counts its files. And what it may take: `total` t, when it has a size.
    #[zbus(allow_interactive_auth)]
    fn get_usage(&self, options: &Options<'_>) -> zbus::Result<Values>;
    /// Renames it, while nobody uses it.
    #[zbus(allow_interactive_auth)]
    fn rename(&self, name: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Copies it with its snapshots; what runs with it stands still for as long as its file system needs. Options:
    /// `pool` s (another one), `snapshot` s (that one instead), `volume-only` b. Returns volume and job.
    #[zbus(allow_interactive_auth)]
    fn copy(&self, name: &str, options: &Options<'_>) -> zbus::Result<(OwnedObjectPath, OwnedObjectPath)>;
    /// Makes it hold what `original` does once more, while nothing runs with it: snapshots that both have stay, others come
    /// and go. Its keys stay. Options: `snapshot` s (that one instead), `volume-only` b.
    #[zbus(allow_interactive_auth)]
    fn refresh(&self, original: &ObjectPath<'_>, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Writes it and its snapshots to `data` as a backup in LXD's format. Options: `compression` s (`zstd`, `gzip`, `xz`,
    /// `none`), `volume-only` b.
    #[zbus(allow_interactive_auth)]
    fn export(&self, data: Fd<'_>, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Moves it and its snapshots, while nobody uses it, to another pool; the path stays. Option: `name` s, what it is
    /// called there.
    #[zbus(allow_interactive_auth, name = "Move")]
    fn move_to(&self, pool: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Deletes it; one that is used is refused. Option: `at-once` b, for good, past the trash of its pool.
    #[zbus(allow_interactive_auth)]
    fn delete(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Description.
    #[zbus(property)]
    fn description(&self) -> zbus::Result<String>;
    /// When it was made, microseconds since the epoch.
    #[zbus(property)]
    fn created_timestamp(&self) -> zbus::Result<u64>;
}

/// The files of a custom volume, on its object. Paths begin at its top; links lead within it. Ids are the guest's.
#[proxy(interface = "org.lxhost1.Files", default_service = "org.lxhost1")]
pub trait Files {
    /// Opens a regular file: `read`, `write` (one that is there, from its beginning), `create` (the same, or a new one) or
    /// `append` (or a new one). Options: `mode` u (0644), `uid` u (0), `gid` u (0). Returns it, and what `stat` says of it.
    #[zbus(allow_interactive_auth)]
    fn open_file(&self, path: &str, mode: &str, options: &Options<'_>) -> zbus::Result<(zbus::OwnedFd, Values)>;
    /// What something is: `name` s, `type` s, `mode` u, `uid` u, `gid` u, `size` t, `modified` t, `target` s. Option:
    /// `follow` b, what a link leads to.
    #[zbus(allow_interactive_auth)]
    fn stat(&self, path: &str, options: &Options<'_>) -> zbus::Result<Values>;
    /// Page of a directory, in the order of names.
    #[zbus(allow_interactive_auth)]
    fn list_directory(&self, path: &str, cursor: &str, limit: u32) -> zbus::Result<(Vec<FileRow>, String)>;
    /// Makes a directory. Options: `mode` u (0755), `uid` u (0), `gid` u (0), `parents` b (those on the way, too; one that
    /// is there is fine).
    #[zbus(allow_interactive_auth)]
    fn make_directory(&self, path: &str, options: &Options<'_>) -> zbus::Result<()>;
    /// Makes a symbolic link. Options: `uid` u (0), `gid` u (0).
    #[zbus(allow_interactive_auth)]
    fn make_link(&self, path: &str, target: &str, options: &Options<'_>) -> zbus::Result<()>;
    /// Its files by SFTP on a socket, for as long as that is open; and the job that serves them, which can be cancelled.
    /// Meanwhile the volume is neither changed nor copied nor deleted. Returns socket and job.
    #[zbus(allow_interactive_auth)]
    fn open_sftp(&self, options: &Options<'_>) -> zbus::Result<(zbus::OwnedFd, OwnedObjectPath)>;
    /// Removes something. Option: `recursive` b, a directory with what is in it.
    #[zbus(allow_interactive_auth)]
    fn remove(&self, path: &str, options: &Options<'_>) -> zbus::Result<()>;
}
