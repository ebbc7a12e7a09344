//! Sizes of trees. A tree's file system is as large as the largest size it has had, and a project that everything in it
//! belongs to bounds what is written: so a size can get less, too, while guests run. Called by `lvm`.

use super::super::{quota, tool};
use super::command::run;
use lxhost_model::{Error, Result};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Project of everything in a tree: each has a file system of its own.
const PROJECT: u32 = 0x8000_0000;
/// What a file system needs for itself: a part, and so many bytes.
const PART: u64 = 24;
const ITSELF: u64 = 128 << 20;

/// Has everything that comes into an empty tree belong to its project.
///
/// # Errors
/// `Unsupported`, `Failed`.
pub(super) async fn prepare(root: &Path) -> Result<()> {
    match quota::can_limit(root) {
        Ok(()) => quota::join(root, PROJECT).await,
        Err(error) => {
            tracing::debug!(%error, "a tree is made without quotas");
            Ok(())
        }
    }
}

/// Limits what the tree of a volume takes, which grows when it has to.
///
/// # Errors
/// `Unsupported` where the kernel has no quotas and the size is less than that of the volume; `NoSpace`, `Failed`.
pub(super) async fn limit(volume: &str, root: &Path, bytes: Option<u64>, live: bool) -> Result<()> {
    if let Some(bytes) = bytes {
        let wanted = bytes.saturating_add(bytes / PART).saturating_add(ITSELF);
        if size_of(root)? < wanted {
            run("lvextend", &["-qq", "-L", &format!("{wanted}b")], &[volume]).await?;
            tool::run("resize2fs", &[], &[super::names::device(volume)]).await?;
        }
    }
    quota::bound(root, PROJECT, bytes, live).await
}

/// Bytes of the device that a tree is on.
fn size_of(root: &Path) -> Result<u64> {
    let device = fs::metadata(root).map_err(|e| Error::io(root.display(), &e))?.dev();
    let path = format!("/sys/dev/block/{}:{}/size", rustix::fs::major(device), rustix::fs::minor(device));
    let sectors = fs::read_to_string(&path).map_err(|e| Error::io(&path, &e))?;
    let sectors: u64 = sectors.trim().parse().map_err(|_| Error::failed(format!("{path} is no number")))?;
    Ok(sectors.saturating_mul(512))
}
