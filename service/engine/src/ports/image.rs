//! Images: where they come from, and how their files become a tree.

use async_trait::async_trait;
use lxhost_model::config::Config;
use lxhost_model::name::ImageAlias;
use lxhost_model::{Fingerprint, Result, Timestamp};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Told how far long work is.
pub trait Progress: Send + Sync {
    /// What is being done, in a few words, and how much of it (0.0–1.0; negative: unknown).
    fn report(&self, phase: &str, fraction: f64);
}

/// Files of an image on their way in.
#[derive(Debug)]
pub struct ImageFiles {
    /// The metadata tarball, or the unified tarball.
    pub meta: OwnedFd,
    /// The root filesystem (tarball or squashfs) of a split image.
    pub rootfs: Option<OwnedFd>,
}

/// What is known of an image once its files are here and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedImage {
    /// SHA-256 over the files, metadata first.
    pub fingerprint: Fingerprint,
    /// Architecture, as `uname -m` says it.
    pub architecture: String,
    /// `properties` of its metadata.
    pub properties: Config,
    /// `creation_date` of its metadata.
    pub created: Timestamp,
    /// Whether the root filesystem is a file of its own.
    pub split: bool,
    /// Bytes of its files.
    pub size: u64,
}

/// The place where images' files are kept: `images/` in the state directory. Hostile bytes are only
/// looked at in the sandbox.
#[async_trait]
pub trait ImageFilesStore: Send + Sync {
    /// Takes files in: copies, hashes, reads the metadata, keeps them under their fingerprint,
    /// durably. Taking in what is there already is fine. Nothing is left when it fails or is dropped.
    ///
    /// # Errors
    /// `Untrusted` for what is no image or exceeds the caps (the message says what); `NoSpace`.
    async fn take_in(&self, files: ImageFiles, progress: &dyn Progress) -> Result<ImportedImage>;

    /// Unpacks the root filesystem into the empty directory `target`, confined, with caps.
    async fn unpack(&self, image: &Fingerprint, split: bool, target: PathBuf, progress: &dyn Progress) -> Result<()>;

    /// Paths of the files, metadata first.
    fn files(&self, image: &Fingerprint, split: bool) -> Vec<PathBuf>;

    /// Writes a file of an image into a caller's descriptor, until its end or until `stop` is set: whoever reads a
    /// pipe may stop reading. Blocks.
    ///
    /// # Errors
    /// `Canceled`; `NoSpace`; `Failed`, also when the reader has gone.
    fn export(&self, from: &Path, to: OwnedFd, stop: &AtomicBool) -> Result<()>;

    /// Removes the files. Idempotent.
    async fn remove(&self, image: &Fingerprint) -> Result<()>;

    /// Fingerprints of all images whose files are here.
    async fn kept(&self) -> Result<Vec<Fingerprint>>;

    /// Removes what an interrupted `take_in` left, when none is under way.
    async fn sweep(&self) -> Result<()>;
}

/// An image that a source offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceImage {
    /// The alias it is best known by, such as `13`.
    pub alias: ImageAlias,
    /// Further names, such as `trixie`.
    pub also: Vec<ImageAlias>,
    /// One line about it.
    pub description: String,
    /// Architecture, as `uname -m` says it.
    pub architecture: String,
}

/// A remote: a place images come from, such as `debian:`.
#[async_trait]
pub trait ImageSource: Send + Sync {
    /// Name before the colon.
    fn name(&self) -> &'static str;

    /// What it offers.
    async fn list(&self) -> Result<Vec<SourceImage>>;

    /// Gets the files of `image`.
    ///
    /// # Errors
    /// `NoSuchImage`, with the nearest name; `Failed` with the tool's last words.
    async fn fetch(&self, image: &str, progress: &dyn Progress) -> Result<ImageFiles>;
}
