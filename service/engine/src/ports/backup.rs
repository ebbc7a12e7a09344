//! Backups: written and read by a program in the sandbox.

use super::Progress;
use async_trait::async_trait;
use lxhost_model::Result;
use lxhost_model::backup::{About, Request, Tree};
use std::os::fd::OwnedFd;

/// Backups in LXD's format.
#[async_trait]
pub trait Backups: Send + Sync {
    /// Writes a backup into a caller's descriptor; dropping the future stops it.
    ///
    /// # Errors
    /// `NoSpace`; `Failed`, also when the reader of a pipe has gone.
    async fn pack(&self, request: &Request, to: OwnedFd, progress: &dyn Progress) -> Result<()>;

    /// What the backup in a regular file, of an instance or a volume, says about itself. Where the file is read afterwards has not changed.
    ///
    /// # Errors
    /// `InvalidArgs` for what is no regular file; `Untrusted` for what is no backup.
    async fn index(&self, file: &OwnedFd) -> Result<About>;

    /// Unpacks trees of the backup in a regular file, each into the first of its directories, which is empty.
    ///
    /// # Errors
    /// `Untrusted`, `NoSpace`. What was written stays.
    async fn unpack(&self, file: &OwnedFd, trees: &[Tree], progress: &dyn Progress) -> Result<()>;

    /// The same of a backup that comes from a pipe while it is written.
    ///
    /// # Errors
    /// As `unpack`; `Untrusted` also for one that breaks off.
    async fn receive(&self, from: OwnedFd, trees: &[Tree], progress: &dyn Progress) -> Result<()>;
}
