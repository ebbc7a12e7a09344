//! Arguments of `image`.

use super::{DocumentArg, FormatArg};
use crate::complete;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;
use std::path::PathBuf;

// `image`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Image {
    /// Take an image in from files
    Import(ImageImport),
    /// List images here or on a remote
    #[command(visible_alias = "ls")]
    List(ImageList),
    /// Show an image
    Info {
        #[command(flatten)]
        image: ImageOne,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Show the properties of an image as YAML
    Show {
        #[command(flatten)]
        image: ImageOne,
        #[command(flatten)]
        format: DocumentArg,
    },
    /// Delete images; instances made from them go on
    #[command(visible_alias = "rm")]
    Delete(ImageMany),
    /// Write an image to files
    Export(ImageExport),
    /// Get an image from a remote
    Copy(ImageCopy),
    /// Manage aliases
    #[command(subcommand)]
    Alias(ImageAlias),
}

// `image import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Takes LXD's and Incus' images: a unified tarball, or metadata and root filesystem (tarball or squashfs).

Examples:
  lxctl image import image.tar.xz --alias mine
  lxctl image import meta.tar.xz rootfs.squashfs --alias mine description='My image'
  lxctl image import directory/ --alias mine       metadata.tar* and rootfs* in it")]
pub(crate) struct ImageImport {
    /// Unified tarball, metadata tarball, directory with both, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Root filesystem of a split image, and properties
    #[arg(value_name = "ROOTFS|KEY=VALUE")]
    pub(crate) more: Vec<String>,
    /// Alias to give it
    #[arg(long = "alias", value_name = "ALIAS")]
    pub(crate) aliases: Vec<String>,
}

// `image list`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Columns (-c): l alias, L aliases, f fingerprint (short), F fingerprint, d description, a architecture, s size, u upload date

Examples:
  lxctl image list              those here
  lxctl image list debian:      those that the remote offers
  lxctl image list arch=x86_64 --format csv -c l")]
pub(crate) struct ImageList {
    /// REMOTE: and filters: the start of an alias or fingerprint, or KEY=VALUE
    #[arg(value_name = "[REMOTE:] FILTER", add = ArgValueCandidates::new(complete::remotes))]
    pub(crate) filters: Vec<String>,
    /// Columns
    #[arg(short, long, value_name = "COLUMNS")]
    pub(crate) columns: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// `image info`, `image show`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  lxctl image info mine\n  lxctl image show 3f2a9c")]
pub(crate) struct ImageOne {
    /// Alias, fingerprint or start of one
    #[arg(value_name = "IMAGE", add = ArgValueCandidates::new(complete::local_images))]
    pub(crate) image: String,
}

// `image delete`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  lxctl image delete mine 3f2a9c")]
pub(crate) struct ImageMany {
    /// Aliases, fingerprints or starts of them
    #[arg(value_name = "IMAGE", required = true, add = ArgValueCandidates::new(complete::local_images))]
    pub(crate) images: Vec<String>,
}

// `image export`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Into a directory, files are named by fingerprint and kind. To a file name, the root filesystem of a split
image goes to NAME.root.

Examples:
  lxctl image export mine             into the current directory
  lxctl image export mine /srv/mine   to /srv/mine
  lxctl image export mine - | ssh other lxctl image import -")]
pub(crate) struct ImageExport {
    /// Alias, fingerprint or start of one
    #[arg(value_name = "IMAGE", add = ArgValueCandidates::new(complete::local_images))]
    pub(crate) image: String,
    /// Directory, file, or - for standard output
    #[arg(value_name = "TARGET", default_value = ".")]
    pub(crate) target: PathBuf,
}

// `image copy`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  lxctl image copy debian:13 local: --alias d13")]
pub(crate) struct ImageCopy {
    /// Image of a remote
    #[arg(value_name = "REMOTE:IMAGE", add = ArgValueCandidates::new(complete::images))]
    pub(crate) image: String,
    /// Where to: this host
    #[arg(value_name = "TARGET", default_value = "local:")]
    pub(crate) target: String,
    /// Alias to give it
    #[arg(long = "alias", value_name = "ALIAS")]
    pub(crate) aliases: Vec<String>,
}

// `image alias`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ImageAlias {
    /// Give an image an alias
    #[command(after_help = "Examples:\n  lxctl image alias create mine 3f2a9c")]
    Create {
        /// Alias
        alias: String,
        /// Image: fingerprint, start of one, or another alias
        #[arg(add = ArgValueCandidates::new(complete::local_images))]
        image: String,
    },
    /// Take aliases away
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl image alias delete mine")]
    Delete {
        /// Aliases
        #[arg(required = true, add = ArgValueCandidates::new(complete::local_images))]
        aliases: Vec<String>,
    },
    /// List aliases
    #[command(visible_alias = "ls", after_help = "Examples:\n  lxctl image alias list")]
    List {
        /// Start of an alias
        filters: Vec<String>,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Rename an alias
    #[command(after_help = "Examples:\n  lxctl image alias rename mine ours")]
    Rename {
        /// Alias
        #[arg(add = ArgValueCandidates::new(complete::local_images))]
        old: String,
        /// Its new name
        new: String,
    },
}
