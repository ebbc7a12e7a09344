//! Files of trees that the daemon keeps, for callers who name them by path. Paths are a caller's and what lies in a tree a
//! guest's: nothing leads out of it.

use crate::ports::Progress;
use async_trait::async_trait;
use lxhost_model::Result;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAccess {
    /// To be read.
    Read,
    /// To be written from its beginning, empty. `create`: one that is not there is made.
    Write {
        /// Whether it may be new.
        create: bool,
    },
    /// To be written at its end; one that is not there is made.
    Append,
}

/// Whose something is, and its permissions. What is `None` stays as it is; new things are root's, files 0644 and
/// directories 0755.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileOwner {
    /// Permission bits, at most 0o7777.
    pub mode: Option<u32>,
    /// User, as the guest has it.
    pub uid: Option<u32>,
    /// Group, as the guest has it.
    pub gid: Option<u32>,
}

/// What something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name in its directory. What is not UTF-8 is replaced by U+FFFD.
    pub name: String,
    /// `file`, `directory`, `symlink`, `pipe`, `socket`, `character-device` or `block-device`.
    pub kind: &'static str,
    /// Permission bits.
    pub mode: u32,
    /// User, as the guest has it.
    pub uid: u32,
    /// Group, as the guest has it.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// When it was written to, microseconds since the epoch.
    pub modified: u64,
    /// Where a link leads; else empty.
    pub target: String,
}

/// Access to trees. Of errors of the file system, `NoSuchFile`, `AlreadyExists`, `NoSpace` and `QuotaExceeded` are told
/// apart; `InvalidArgs` is for what cannot be done to a thing of that kind.
#[async_trait]
pub trait Files: Send + Sync {
    /// Opens a regular file. What is opened is nobody's way to run it as its owner.
    async fn open(&self, tree: &Path, path: &str, access: FileAccess, owner: FileOwner) -> Result<(OwnedFd, FileEntry)>;

    /// What something is; what a link leads to when it is to `follow` it.
    async fn look(&self, tree: &Path, path: &str, follow: bool) -> Result<FileEntry>;

    /// Up to `limit` things in a directory, in the order of their names, beginning after the name `after`.
    async fn list(&self, tree: &Path, path: &str, after: &str, limit: usize) -> Result<Vec<FileEntry>>;

    /// Makes a directory, durably; with `parents`, those on the way, too, and one that is there is fine.
    async fn make_dir(&self, tree: &Path, path: &str, owner: FileOwner, parents: bool) -> Result<()>;

    /// Makes a link, durably.
    async fn make_link(&self, tree: &Path, path: &str, target: &str, owner: FileOwner) -> Result<()>;

    /// Gives the block volume in a tree so many bytes, durably; one that is not there is made, of nothing but holes. One
    /// that has more is cut only if it is to have them `exactly`.
    async fn block(&self, tree: &Path, bytes: u64, exactly: bool) -> Result<()>;

    /// Copies a block volume from one tree to another, durably, without what is empty.
    async fn copy_block(&self, from: &Path, to: &Path, progress: &dyn Progress) -> Result<()>;

    /// Whether files can be served on this host.
    ///
    /// # Errors
    /// `Unsupported`, naming the package that is missing.
    fn can_serve(&self) -> Result<()>;

    /// Serves the files of a tree by SFTP on `socket`, until its other end is closed; dropping the future ends it.
    async fn serve(&self, tree: &Path, socket: OwnedFd) -> Result<()>;

    /// Removes something, durably; a directory that is not empty only when it is `recursive`.
    async fn remove(&self, tree: &Path, path: &str, recursive: bool) -> Result<()>;
}
