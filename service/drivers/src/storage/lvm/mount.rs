//! How a thin volume is mounted, and mended when a crash left it in a bad state. Called by `lvm`.

use super::super::tool;
use crate::blocking::blocking;
use lxhost_model::{Error, Result};
use rustix::fs::StatVfsMountFlags;
use rustix::mount::MountFlags;
use std::ffi::CString;
use std::path::Path;

/// Options of the file system, those that are tried first before others: what is deleted is free in the pool, too, and
/// nothing goes on after an error as if there had been none.
const OPTIONS: [&str; 2] = ["discard,errors=remount-ro,prjquota", "discard,errors=remount-ro"];
/// Whether a tree is mounted, and can be written to.
///
/// # Errors
/// `Failed`.
pub(super) fn is_read_only(at: &Path) -> Result<bool> {
    let stat = rustix::fs::statvfs(at).map_err(|e| Error::io(at.display(), &e.into()))?;
    Ok(stat.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Mounts a tree. One that a crash left in a bad state is mended first.
///
/// # Errors
/// `Failed`.
pub(super) async fn mount(device: &Path, at: &Path) -> Result<()> {
    if try_all(device, at).await.is_ok() {
        return Ok(());
    }
    let checked = tool::ended("e2fsck", &["-p"], &[device]).await?;
    let mounted = try_all(device, at).await;
    mounted.map_err(|error| error.context(format!("mount {} ({})", device.display(), checked.complaint)))
}

async fn try_all(device: &Path, at: &Path) -> Result<()> {
    let (device, at) = (device.to_owned(), at.to_owned());
    blocking("mount a tree", move || {
        let mut last = Ok(());
        for options in OPTIONS {
            let words = CString::new(options).map_err(|_| Error::failed("options"))?;
            // Nothing in a tree is a device that anybody opens: containers have their own.
            last = rustix::mount::mount(&device, &at, "ext4", MountFlags::NODEV, words.as_c_str());
            if last.is_ok() {
                break;
            }
        }
        last.map_err(|e| Error::io("mount a tree", &e.into()))
    })
    .await
}
