//! Arguments of `storage volume`.

use super::{AtOnce, DocumentArg, FormatArg, HowCompressed, VolumeFile, VolumeSnapshot};
use crate::complete;
use crate::pairs::Pair;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;
use std::path::PathBuf;

// `storage volume`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Volume {
    /// List volumes, of a pool or of all
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  lxctl storage volume list\n  lxctl storage volume list default --format csv"
    )]
    List {
        /// Pool
        #[arg(add = ArgValueCandidates::new(complete::pools))]
        pool: Option<String>,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Make an empty volume
    #[command(
        after_help = "Examples:\n  lxctl storage volume create default data\n  lxctl storage volume create default web size=10GiB initial.uid=33 initial.mode=0750"
    )]
    Create {
        /// Pool
        #[arg(add = ArgValueCandidates::new(complete::pools))]
        pool: String,
        /// Name
        name: String,
        /// Keys
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<Pair>,
        /// What it holds
        #[arg(long = "type", value_name = "TYPE", default_value = "filesystem", value_parser = ["filesystem", "block"])]
        content: String,
        /// One line about it
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Show a volume as YAML
    #[command(after_help = "Examples:\n  lxctl storage volume show default data")]
    Show {
        #[command(flatten)]
        volume: VolumeName,
        #[command(flatten)]
        format: DocumentArg,
    },
    /// Show how much a volume takes
    #[command(after_help = "Examples:\n  lxctl storage volume info default data")]
    Info {
        #[command(flatten)]
        volume: VolumeName,
        /// In bytes
        #[arg(long)]
        bytes: bool,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Print one key
    #[command(after_help = "Examples:\n  lxctl storage volume get default data user.owner")]
    Get {
        #[command(flatten)]
        volume: VolumeName,
        /// Key
        key: String,
    },
    /// Set keys
    #[command(after_help = "Examples:\n  lxctl storage volume set default data size=20GiB")]
    Set {
        #[command(flatten)]
        volume: VolumeName,
        /// KEY=VALUE…, or KEY VALUE
        #[arg(required = true, value_name = "KEY=VALUE")]
        keys: Vec<String>,
    },
    /// Unset keys
    #[command(after_help = "Examples:\n  lxctl storage volume unset default data user.owner")]
    Unset {
        #[command(flatten)]
        volume: VolumeName,
        /// Keys
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Change a volume in an editor, or from standard input
    #[command(
        after_help = "Examples:\n  lxctl storage volume edit default data\n  lxctl storage volume edit default data < data.yaml"
    )]
    Edit(VolumeName),
    /// Give an instance a volume, while it runs as well
    #[command(
        after_help = "Examples:\n  lxctl storage volume attach default data c1 /srv\n  lxctl storage volume attach default data c1 shared /srv --readonly"
    )]
    Attach(AttachVolume),
    /// Take a volume from an instance
    #[command(after_help = "Examples:\n  lxctl storage volume detach default data c1")]
    Detach(DetachVolume),
    /// Give all instances of a profile a volume
    #[command(after_help = "Examples:\n  lxctl storage volume attach-profile default data web /srv")]
    AttachProfile(AttachVolume),
    /// Take a volume from a profile
    #[command(after_help = "Examples:\n  lxctl storage volume detach-profile default data web")]
    DetachProfile(DetachVolume),
    /// Take, list, restore and delete snapshots of volumes
    Snapshot(VolumeSnapshot),
    /// Push, pull, list, edit and delete files of volumes
    #[command(subcommand)]
    File(VolumeFile),
    /// Copy a volume, or a snapshot
    Copy(CopyVolume),
    /// Move a volume that nobody uses to another pool, or to another name
    #[command(
        visible_alias = "mv",
        after_help = "Snapshots go with it.\n\nExamples:\n  lxctl storage volume move default/data fast/data\n  lxctl storage volume move default data fast data"
    )]
    Move {
        /// POOL/VOLUME and POOL/VOLUME, or the same as words of their own
        #[arg(required = true, num_args = 2..=4, value_name = "VOLUME", add = ArgValueCandidates::new(complete::places))]
        words: Vec<String>,
        // What LXD has to be told and is always so here.
        #[arg(long, hide = true, value_parser = ["pull", "push", "relay"])]
        mode: Option<String>,
    },
    /// Write a volume and its snapshots to a backup
    Export(ExportVolume),
    /// Make a volume from a backup
    Import(ImportVolume),
    /// Rename a volume that nobody uses
    #[command(after_help = "Examples:\n  lxctl storage volume rename default data old-data")]
    Rename {
        #[command(flatten)]
        volume: VolumeName,
        /// Its name from now on
        new: String,
    },
    /// Delete volumes that nobody uses, with what is in them and their snapshots
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl storage volume delete default data")]
    Delete {
        /// Pool
        #[arg(add = ArgValueCandidates::new(complete::pools))]
        pool: String,
        /// Volumes
        #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(complete::volumes))]
        names: Vec<String>,
        #[command(flatten)]
        at_once: AtOnce,
    },
}

const COPY_EXAMPLES: &str = "\
A copy has the keys and the snapshots of its original. Instances that run with the original stand still for as long as its
file system needs.

Examples:
  lxctl storage volume copy default/data default/data2
  lxctl storage volume copy default/data fast/data                to another pool
  lxctl storage volume copy default/data/snap0 default/old        a snapshot becomes a volume
  lxctl storage volume copy default data fast data --volume-only  without its snapshots
  lxctl storage volume copy default data fast data --refresh      brought up to date; what has the copy is stopped";

// `storage volume copy`.
#[derive(Debug, Clone, Args)]
#[command(visible_alias = "cp", after_help = COPY_EXAMPLES)]
pub(crate) struct CopyVolume {
    /// POOL/VOLUME or POOL/VOLUME/SNAPSHOT, and POOL/VOLUME; or the same as words of their own
    #[arg(required = true, num_args = 2..=4, value_name = "VOLUME", add = ArgValueCandidates::new(complete::places))]
    pub(crate) words: Vec<String>,
    /// Without its snapshots
    #[arg(long)]
    pub(crate) volume_only: bool,
    /// Bring an earlier copy up to date, if there is one: it holds what the original does once more, its snapshots included
    #[arg(long)]
    pub(crate) refresh: bool,
    // What LXD has to be told and is always so here.
    #[arg(long, hide = true, value_parser = ["pull", "push", "relay"])]
    pub(crate) mode: Option<String>,
}

// `storage volume export`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A backup is a tar archive in LXD's format, which LXD and Incus import, too. It holds the volume, its keys and its snapshots.
Instances that run with it stand still for as long as its file system needs, and what it held then is written.

Examples:
  lxctl storage volume export default data                              to data.tar.zst
  lxctl storage volume export default data /backup/data-monday.tar.gz   compressed as the name says
  lxctl storage volume export default data --volume-only                without its snapshots")]
pub(crate) struct ExportVolume {
    #[command(flatten)]
    pub(crate) volume: VolumeName,
    /// File or directory; - for standard output; left out: NAME.tar.zst
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<PathBuf>,
    /// How to compress it; left out: as the name of the file says, zstd for other names, not at all for -
    #[arg(long, value_name = "HOW", value_enum)]
    pub(crate) compression: Option<HowCompressed>,
    /// Leave its snapshots out
    #[arg(long)]
    pub(crate) volume_only: bool,
    /// Accepted as LXD does: pools here have no format of their own
    #[arg(long, hide = true)]
    pub(crate) optimized_storage: bool,
}

// `storage volume import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Takes backups of lxctl, of LXD and of Incus. Keys that mean nothing here are left out, and said.

Examples:
  lxctl storage volume import default data.tar.zst
  lxctl storage volume import fast data.tar.gz data2
  ssh elsewhere lxctl storage volume export default data - | lxctl storage volume import default -")]
pub(crate) struct ImportVolume {
    /// Pool
    #[arg(add = ArgValueCandidates::new(complete::pools))]
    pub(crate) pool: String,
    /// Backup, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Name to give it; left out, the one it had
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What the file is: a backup
    #[arg(long = "type", value_name = "TYPE", value_parser = ["backup", "iso"])]
    pub(crate) content: Option<String>,
}

// One volume.
#[derive(Debug, Clone, Args)]
pub(crate) struct VolumeName {
    /// Pool
    #[arg(add = ArgValueCandidates::new(complete::pools))]
    pub(crate) pool: String,
    /// Volume
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::volumes))]
    pub(crate) name: String,
}

// A volume, who gets it, and where.
#[derive(Debug, Clone, Args)]
pub(crate) struct AttachVolume {
    #[command(flatten)]
    pub(crate) volume: VolumeName,
    /// Instance or profile
    pub(crate) holder: String,
    /// [DEVICE] PATH: name of the device, else that of the volume; and the path inside
    #[arg(required = true, num_args = 1..=2, value_name = "PATH")]
    pub(crate) place: Vec<String>,
    /// It can only be read there
    #[arg(long)]
    pub(crate) readonly: bool,
}

// A volume, and who has it.
#[derive(Debug, Clone, Args)]
pub(crate) struct DetachVolume {
    #[command(flatten)]
    pub(crate) volume: VolumeName,
    /// Instance or profile
    pub(crate) holder: String,
    /// Device, if there are several with the volume
    pub(crate) device: Option<String>,
}
