//! File systems that pools bring with them, in a file of the daemon's or on a block device: made and removed with the
//! pool, and mounted by nobody else. On a real host: `drivers/storage/filesystem`.

use async_trait::async_trait;
use lxhost_model::{Pool, Result};
use std::path::{Path, PathBuf};

/// Whether a pool's file system can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It is mounted where the pool lies, or the pool has none of its own.
    Here,
    /// There is none any more: its file or device is gone, or holds something else.
    Gone,
}

/// File systems of pools. Methods are idempotent, and do nothing for a pool that lies in a directory.
#[async_trait]
pub trait Filesystems: Send + Sync {
    /// Checks the keys of a pool, looking at nothing else.
    ///
    /// # Errors
    /// `InvalidConfig`.
    fn check(&self, pool: &Pool) -> Result<()>;

    /// Size, as its record has it, of the file that is made for a pool of a driver when nothing says where it is to lie;
    /// `None`: it lies in a directory then.
    fn size_of_file(&self, driver: &str) -> Option<String>;

    /// Whether the pool has a file system of its own.
    fn is_own(&self, pool: &Pool) -> bool;

    /// Whether what the pool lies on is there as it is: mounted, or not its own.
    fn is_here(&self, pool: &Pool) -> bool;

    /// The directory in which the pool lies, which is its source unless it has a file system of its own.
    fn directory(&self, pool: &Pool) -> PathBuf;

    /// Makes the pool's file system and mounts it. `wipe`: what a device holds may be lost.
    ///
    /// # Errors
    /// `InUse` for a device that somebody uses or that holds something; `Conflict` when there is another pool's file;
    /// `Unsupported` without the tools for it; `InvalidConfig`, `NoSpace`, `Failed`.
    async fn make(&self, pool: &Pool, wipe: bool) -> Result<()>;

    /// Has the pool's file system mounted, unless it is.
    ///
    /// # Errors
    /// `Conflict` when something else is mounted there; `Unsupported`, `Failed`.
    async fn ready(&self, pool: &Pool) -> Result<Reach>;

    /// Has the pool's file, and the file system in it, grow to the `size` in its record.
    ///
    /// # Errors
    /// `Unsupported` without the tools for it; `NoSpace`, `Failed`.
    async fn grow(&self, pool: &Pool) -> Result<()>;

    /// Unmounts the pool's file system and removes it: the file, or on a device what tells of it. One that is not this
    /// pool's stays.
    ///
    /// # Errors
    /// `InUse` while somebody uses it; `Failed`.
    async fn remove(&self, pool: &Pool) -> Result<()>;

    /// Mounts what lies in files of pools that no record may know any more. What cannot be mounted is in the journal.
    async fn bring_back(&self) -> Result<()>;
}

/// Something to mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPlan {
    /// The device or file.
    pub what: PathBuf,
    /// Where. The directory is made when it is missing.
    pub at: PathBuf,
    /// Type of the file system.
    pub kind: &'static str,
    /// Options, with commas between them.
    pub options: String,
}

/// Who mounts: PID 1, so that what is mounted outlives the daemon, and is unmounted after it when the host goes down.
#[async_trait]
pub trait Mounts: Send + Sync {
    /// Mounts a file system.
    ///
    /// # Errors
    /// `Failed`, with where to read more.
    async fn mount(&self, plan: &MountPlan) -> Result<()>;

    /// Unmounts what is mounted at `at`; nothing is fine.
    ///
    /// # Errors
    /// `Failed` while somebody uses it.
    async fn unmount(&self, at: &Path) -> Result<()>;
}
