//! Arguments of `storage volume file`.

use super::FormatArg;
use crate::complete;
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;
use std::path::PathBuf;

// `storage volume file`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum VolumeFile {
    /// Copy files of the host into a volume
    #[command(after_help = "\
What is pushed keeps its owner and its mode unless others are given. A path that ends with / is a directory; - is standard input.

Examples:
  lxctl storage volume file push site.conf default data/etc/site.conf
  lxctl storage volume file push -p a.txt b.txt default data/new/
  lxctl storage volume file push -r ./htdocs default web/srv --uid 33 --gid 33
  echo hello | lxctl storage volume file push - default data/greeting")]
    Push {
        /// Files of the host, POOL, and VOLUME/PATH
        #[arg(required = true, num_args = 3.., value_name = "SOURCE", add = ArgValueCandidates::new(complete::pools))]
        words: Vec<PathBuf>,
        /// Directories, too, with what is in them
        #[arg(short, long)]
        recursive: bool,
        /// Make the directories on the way
        #[arg(short = 'p', long)]
        create_dirs: bool,
        #[command(flatten)]
        owner: Owner,
    },
    /// Copy files of a volume to the host
    #[command(after_help = "\
What is pulled belongs to the caller. - writes to standard output.

Examples:
  lxctl storage volume file pull default data/etc/site.conf .
  lxctl storage volume file pull -r default web/srv ./backup
  lxctl storage volume file pull default data/greeting -")]
    Pull {
        /// POOL, VOLUME/PATH of each, and where to on the host
        #[arg(required = true, num_args = 3.., value_name = "SOURCE", add = ArgValueCandidates::new(complete::pools))]
        words: Vec<PathBuf>,
        /// Directories, too, with what is in them
        #[arg(short, long)]
        recursive: bool,
        /// Make the directories on the way
        #[arg(short = 'p', long)]
        create_dirs: bool,
    },
    /// List a directory of a volume
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  lxctl storage volume file list default data\n  lxctl storage volume file list default data/etc --format json"
    )]
    List {
        #[command(flatten)]
        place: VolumePath,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Show a volume in a directory until Ctrl-C, by sshfs
    #[command(after_help = "\
The volume cannot be copied, restored or deleted meanwhile; what is written belongs to whom it belongs to inside. Links in it \
are shown and not followed: what a guest planted leads nowhere. - as the directory speaks SFTP on standard input and output. \
Packages: openssh-sftp-server, and sshfs for directories.

Examples:
  lxctl storage volume file mount default data /mnt
  sftp -D 'lxctl storage volume file mount default data -'")]
    Mount {
        /// Pool
        #[arg(add = ArgValueCandidates::new(complete::pools))]
        pool: String,
        /// Volume
        #[arg(add = ArgValueCandidates::new(complete::volumes))]
        volume: String,
        /// Directory, or -
        target: Option<PathBuf>,
    },
    /// Make an empty file, a directory or a link in a volume
    #[command(
        after_help = "Examples:\n  lxctl storage volume file create default data/empty\n  lxctl storage volume file create default data/a/b --type directory -p\n  lxctl storage volume file create default data/current releases/7 --type symlink"
    )]
    Create {
        #[command(flatten)]
        place: VolumePath,
        /// Where a link leads
        #[arg(required_if_eq("kind", "symlink"))]
        target: Option<String>,
        /// What to make; left out: a link when it leads somewhere, else a file
        #[arg(long = "type", value_name = "TYPE", value_enum)]
        kind: Option<NewFile>,
        /// Make the directories on the way
        #[arg(short = 'p', long)]
        create_dirs: bool,
        /// A file or link that is there is replaced
        #[arg(short, long)]
        force: bool,
        #[command(flatten)]
        owner: Owner,
    },
    /// Delete files of a volume
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  lxctl storage volume file delete default data/etc/site.conf\n  lxctl storage volume file delete -r default data/cache data/tmp"
    )]
    Delete {
        /// Pool
        #[arg(add = ArgValueCandidates::new(complete::pools))]
        pool: String,
        /// VOLUME/PATH of each
        #[arg(required = true, value_name = "VOLUME/PATH", add = ArgValueCandidates::new(complete::volumes))]
        places: Vec<String>,
        /// Directories, too, with what is in them
        #[arg(short, long, visible_short_alias = 'f', visible_alias = "force")]
        recursive: bool,
    },
    /// Edit a file of a volume
    #[command(after_help = "Examples:\n  lxctl storage volume file edit default data/etc/site.conf")]
    Edit(VolumePath),
}

/// What `create` makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NewFile {
    File,
    Directory,
    Symlink,
}

// Something in a volume.
#[derive(Debug, Clone, Args)]
pub(crate) struct VolumePath {
    /// Pool
    #[arg(add = ArgValueCandidates::new(complete::pools))]
    pub(crate) pool: String,
    /// Volume, and the path in it
    #[arg(value_name = "VOLUME/PATH", add = ArgValueCandidates::new(complete::volumes))]
    pub(crate) place: String,
}

// Whose a new file is, and its mode.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Owner {
    /// User inside
    #[arg(long)]
    pub(crate) uid: Option<u32>,
    /// Group inside
    #[arg(long)]
    pub(crate) gid: Option<u32>,
    /// Permissions, octal
    #[arg(long, value_parser = octal)]
    pub(crate) mode: Option<u32>,
}

fn octal(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).map_err(|_| "a mode is an octal number like 0644".to_owned())?;
    if mode > 0o7777 { Err("a mode has at most the bits 07777".to_owned()) } else { Ok(mode) }
}
