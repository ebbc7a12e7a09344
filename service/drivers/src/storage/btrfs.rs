//! Trees that are btrfs subvolumes: an image is a read-only one, a root a snapshot of it. Subvolumes are made and
//! removed by the `btrfs` command, since its ioctls have no safe wrapper. Nested subvolumes that a guest
//! made go with its root. Called by `trees`.

use super::layout::{Layout, ROOT};
use super::trees::{Place, Trees};
use super::{place, tool};
use crate::blocking::blocking;
use async_trait::async_trait;
use lxhost_engine::ports::Usage;
use lxhost_model::{Error, Fingerprint, Kind, Result};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// `BTRFS_SUPER_MAGIC` (statfs(2)).
pub(super) const MAGIC: i64 = 0x9123_683e;
/// The tool.
const BTRFS: &str = "btrfs";

/// Whether the `btrfs` command is installed.
pub(super) fn has_tool() -> bool {
    tool::is_there(BTRFS)
}

/// Trees that are subvolumes.
pub(super) struct Subvolumes;

#[async_trait]
impl Trees for Subvolumes {
    fn name(&self) -> &'static str {
        BTRFS
    }

    async fn check(&self, at: &Place<'_>) -> Result<()> {
        check_place(&at.layout)
    }

    async fn stage(&self, at: &Place<'_>, image: &Fingerprint) -> Result<PathBuf> {
        let staging = at.layout.staging(image);
        delete(&at.layout, staging.clone()).await?;
        btrfs(&["subvolume", "create"], &[&staging]).await?;
        Ok(staging)
    }

    async fn commit(&self, at: &Place<'_>, image: &Fingerprint) -> Result<()> {
        let (staging, tree) = (at.layout.staging(image), at.layout.image(image));
        if tree.is_dir() {
            return delete(&at.layout, staging).await;
        }
        btrfs(&["filesystem", "sync"], &[&staging]).await?;
        // A snapshot appears whole, under its name and read-only.
        btrfs(&["subvolume", "snapshot", "-r"], &[&staging, &tree]).await?;
        btrfs(&["filesystem", "sync"], &[&tree]).await?;
        delete(&at.layout, staging).await
    }

    async fn remove_image(&self, at: &Place<'_>, image: &Fingerprint) -> Result<()> {
        delete(&at.layout, at.layout.staging(image)).await?;
        delete(&at.layout, at.layout.image(image)).await
    }

    async fn make(&self, at: &Place<'_>, dir: &Path, image: Option<&Fingerprint>) -> Result<()> {
        let root = dir.join(ROOT);
        match image {
            _ if root.is_dir() => Ok(()),
            None => btrfs(&["subvolume", "create"], &[&root]).await,
            Some(image) => btrfs(&["subvolume", "snapshot"], &[&at.layout.image(image), &root]).await,
        }
    }

    async fn copy(&self, _at: &Place<'_>, from: &Path, to: &Path) -> Result<()> {
        btrfs(&["subvolume", "snapshot"], &[&from.join(ROOT), &to.join(ROOT)]).await
    }

    async fn discard(&self, at: &Place<'_>, bin: PathBuf) -> Result<()> {
        delete(&at.layout, bin.join(ROOT)).await?;
        place::delete(Some(bin)).await;
        Ok(())
    }

    async fn sweep(&self, at: &Place<'_>) -> Result<()> {
        tracing::debug!(pool = %at.pool.name, "what was thrown away is deleted");
        place::sweep(&at.layout);
        Ok(())
    }

    async fn used(&self, _at: &Place<'_>, dir: &Path) -> Result<u64> {
        place::used(&dir.join(ROOT)).await
    }

    async fn limit(&self, at: &Place<'_>, dir: &Path, bytes: Option<u64>, _live: bool) -> Result<()> {
        limit(&at.layout.source, dir.join(ROOT), bytes).await
    }

    async fn usage(&self, at: &Place<'_>) -> Result<Usage> {
        place::usage(&at.layout)
    }
}

/// Deletes a subvolume: at once by the tool, or moved aside and file by file when a guest has put subvolumes of its own
/// into it (rmdir(2) removes empty ones, Linux 4.18).
async fn delete(layout: &Layout, path: PathBuf) -> Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let Err(error) = btrfs(&["subvolume", "delete"], &[&path]).await else { return Ok(()) };
    tracing::debug!(%error, "a subvolume is deleted file by file");
    // One that is read-only can neither be moved nor emptied.
    make_writable(&path).await;
    let layout = layout.clone();
    let bin = blocking("remove the subvolume", move || place::throw_away(&layout, &path)).await?;
    place::delete(bin).await;
    Ok(())
}

/// Lets a subvolume be changed. One that is writable, or no subvolume at all, stays as it is.
async fn make_writable(subvolume: &Path) {
    let path = subvolume.to_string_lossy().into_owned();
    let mut command = tokio::process::Command::new(BTRFS);
    command.args(["property", "set", "-t", "subvol", "--", &path, "ro", "false"]);
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
}

/// Limits what a subvolume refers to, by its group of quotas. Counting begins with the first limit on the file system.
async fn limit(source: &Path, root: PathBuf, bytes: Option<u64>) -> Result<()> {
    let bytes = bytes.map(|bytes| bytes.to_string());
    let set = async || btrfs(&["qgroup", "limit"], &[Path::new(bytes.as_deref().unwrap_or("none")), &root]).await;
    match set().await {
        Ok(()) => Ok(()),
        // Nothing is counted here any more.
        Err(_) if bytes.is_none() => Ok(()),
        Err(error) => {
            tracing::debug!(%error, "what subvolumes take is not counted yet");
            btrfs(&["quota", "enable"], &[source]).await?;
            btrfs(&["quota", "rescan", "-w"], &[source]).await?;
            set().await
        }
    }
}

/// The pool has to lie on btrfs; the nearest directory that exists tells.
fn check_place(layout: &Layout) -> Result<()> {
    let there = layout.source.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    let stat = rustix::fs::statfs(there).map_err(|e| Error::io(there.display(), &e.into()))?;
    #[allow(clippy::unnecessary_cast)] // The field's type differs between architectures.
    let magic = stat.f_type as i64;
    if magic != MAGIC {
        let instead = "give the pool a file (size=) or a device (source=/dev/…) of its own, or use driver overlay or dir";
        return Err(Error::new(Kind::Unsupported, format!("{} is not on btrfs; {instead}", layout.source.display())));
    }
    if !has_tool() {
        return Err(Error::new(Kind::Unsupported, "the btrfs command is not installed (Debian: apt install btrfs-progs)"));
    }
    Ok(())
}

/// Runs the tool on paths of ours.
async fn btrfs(words: &[&str], paths: &[&Path]) -> Result<()> {
    tool::run(BTRFS, words, paths).await.map(drop)
}
