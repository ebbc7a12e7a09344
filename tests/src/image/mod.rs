//! Images to test with, made here from Debian packages and kept in the cache: a Debian 13 system as an
//! image server would have it, with and without udev, and a tiny busybox. Each in the forms of LXD:
//! split (metadata and root apart) and unified. Depends on `recipe`, tar, mksquashfs and the
//! compressors. Called by suites and by the bench; a host sees them below `/srv/lab`.

mod busybox;
mod guest;
pub mod hostile;
mod pack;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::Cache;

pub use busybox::busybox;
pub use guest::{debian, debian_without_udev, openrc};

/// An image in the cache.
#[derive(Debug, Clone)]
pub struct Image {
    directory: PathBuf,
}

/// The forms that an image is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The metadata tarball of a split image.
    Metadata,
    /// The root of a split image, squashfs.
    Squashfs,
    /// The root of a split image, a tarball.
    RootTar,
    /// Metadata and root in one tarball.
    Unified,
}

impl Form {
    fn file(self) -> &'static str {
        match self {
            Self::Metadata => "metadata.tar.xz",
            Self::Squashfs => "rootfs.squashfs",
            Self::RootTar => "rootfs.tar.zst",
            Self::Unified => "unified.tar.zst",
        }
    }
}

impl Image {
    /// The file of a form, on the machine.
    #[must_use]
    pub fn path(&self, form: Form) -> PathBuf {
        self.directory.join(form.file())
    }

    /// The file of a form, as a host booted with `images_of` visible sees it.
    ///
    /// # Errors
    /// Never for an image of this cache.
    pub fn path_in_host(&self, form: Form) -> Result<String> {
        let key = self.directory.file_name().context("an image has a key")?;
        Ok(format!("/srv/lab/{}/{}", key.to_string_lossy(), form.file()))
    }
}

/// The directory to make visible in a host that shall see the images.
///
/// # Errors
/// When the cache cannot be written.
pub fn images_of(cache: &Cache) -> Result<PathBuf> {
    cache.directory("images")
}

fn image(cache: &Cache, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<Image> {
    Ok(Image { directory: cache.entry("images", key, make)? })
}
