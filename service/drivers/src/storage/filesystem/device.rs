//! Block devices: what is on one, who uses it, and what becomes of that. Called by `filesystem`.

use super::tool;
use lxhost_model::{Error, Kind, Result};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Exit status of blkid(8) when it has found nothing.
const NOTHING: i32 = 2;

/// UUID of the file system on a device or in a file.
///
/// # Errors
/// `Unsupported` without blkid; `Failed`.
pub(super) async fn uuid(path: &Path) -> Result<Option<String>> {
    probed(path, "UUID").await
}

/// Its type.
///
/// # Errors
/// As `uuid`.
pub(in super::super) async fn kind(path: &Path) -> Result<Option<String>> {
    probed(path, "TYPE").await
}

/// Its label.
///
/// # Errors
/// As `uuid`.
pub(in super::super) async fn label(path: &Path) -> Result<Option<String>> {
    probed(path, "LABEL").await
}

async fn probed(path: &Path, tag: &str) -> Result<Option<String>> {
    // By looking, not from a cache.
    said(&["--probe", "--output", "value", "--match-tag", tag], &[path]).await
}

/// The device with the file system of that UUID.
///
/// # Errors
/// As `uuid`.
pub(super) async fn named(uuid: &str) -> Result<Option<PathBuf>> {
    said(&["--cache-file", "/dev/null", "--output", "device", "--match-token", &format!("UUID={uuid}")], &[])
        .await
        .map(|device| device.map(PathBuf::from))
}

async fn said(words: &[&str], paths: &[&Path]) -> Result<Option<String>> {
    let ended = tool::ended("blkid", words, paths).await?;
    match ended.status {
        Some(0) => Ok(ended.said.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)),
        Some(NOTHING) => Ok(None),
        _ => Err(Error::failed(format!("blkid: {}", ended.complaint))),
    }
}

/// Refuses what is no block device, what somebody uses, and what holds something unless that may be lost; then it holds
/// nothing.
///
/// # Errors
/// `InvalidConfig`, `InUse`; `Unsupported` without wipefs; `Failed`.
pub(in super::super) async fn clear(device: &Path, wipe: bool) -> Result<()> {
    let found = fs::metadata(device).map_err(|e| Error::new(Kind::InvalidConfig, format!("{}: {e}", device.display())))?;
    if !found.file_type().is_block_device() {
        return Err(Error::new(Kind::InvalidConfig, format!("{} is not a block device", device.display())));
    }
    // The kernel's own word for it: mounted, swapped to, part of something, or with such a partition.
    match open(device, OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC, Mode::empty()) {
        Ok(_) => {}
        Err(Errno::BUSY) => return Err(Error::new(Kind::InUse, format!("{} is in use", device.display()))),
        Err(e) => return Err(Error::io(device.display(), &e.into())),
    }
    let holds = tool::run("wipefs", &["--noheadings", "--output", "TYPE"], &[device]).await?;
    match holds.split_whitespace().next() {
        None => Ok(()),
        Some(_) if wipe => self::wipe(device).await,
        Some(what) => {
            let what = lxhost_model::name::quoted(what);
            Err(Error::new(Kind::InUse, format!("{} holds {what} already; source.wipe=true overwrites it", device.display())))
        }
    }
}

/// Removes from a device what tells of something on it.
///
/// # Errors
/// `Failed`, as for a device that is in use.
pub(in super::super) async fn wipe(device: &Path) -> Result<()> {
    tool::run("wipefs", &["--all", "--quiet"], &[device]).await.map(drop)
}

/// Loop devices of a file.
///
/// # Errors
/// `Failed`.
pub(in super::super) async fn loops(file: &Path) -> Result<Vec<String>> {
    let path = file.to_str().ok_or_else(|| Error::failed(format!("{} is no text", file.display())))?;
    let said = tool::run("losetup", &["--noheadings", "--output", "NAME", "--associated", path], &[""; 0]).await?;
    Ok(said.lines().map(str::trim).filter(|line| line.starts_with("/dev/")).map(str::to_owned).collect())
}
