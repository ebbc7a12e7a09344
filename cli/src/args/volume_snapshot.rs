//! Arguments of `storage volume snapshot`.

use super::{AtOnce, DocumentArg, FormatArg, VolumeName};
use crate::complete;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

const EXAMPLES: &str = "\
Instances that run with the volume stand still for as long as its file system needs. Without a verb a snapshot is taken.
snapshots.schedule takes them by itself, snapshots.expiry says how long new ones are kept.

Examples:
  lxctl storage volume snapshot create default data     called as snapshots.pattern says: snap0, snap1, …
  lxctl storage volume snapshot default data before-upgrade
  lxctl storage volume snapshot restore default data before-upgrade
  lxctl storage volume snapshot list default data";

// `storage volume snapshot`.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    subcommand_value_name = "VERB",
    after_help = EXAMPLES
)]
pub(crate) struct VolumeSnapshot {
    #[command(subcommand)]
    pub(crate) verb: Option<VolumeSnapshotVerb>,
    #[command(flatten)]
    pub(crate) create: Option<NewVolumeSnapshot>,
}

// Verbs of `storage volume snapshot`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum VolumeSnapshotVerb {
    /// Take a snapshot of a volume
    #[command(
        after_help = "Examples:\n  lxctl storage volume snapshot create default data\n  lxctl storage volume snapshot create default data nightly --reuse    in place of yesterday's\n  lxctl storage volume snapshot create default data --expiry 7d        gone in a week"
    )]
    Create(NewVolumeSnapshot),
    /// List the snapshots of a volume
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  lxctl storage volume snapshot list default data\n  lxctl storage volume snapshot list default data --format json"
    )]
    List {
        #[command(flatten)]
        volume: VolumeName,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Show a snapshot and the keys in it as YAML
    #[command(after_help = "Examples:\n  lxctl storage volume snapshot show default data snap0")]
    Show {
        #[command(flatten)]
        volume: VolumeName,
        /// Snapshot; left out: the volume is named as VOLUME/SNAPSHOT
        #[arg(value_name = "SNAPSHOT")]
        snapshot: Option<String>,
        #[command(flatten)]
        format: DocumentArg,
    },
    /// Rename a snapshot
    #[command(after_help = "Examples:\n  lxctl storage volume snapshot rename default data snap0 before-upgrade")]
    Rename {
        #[command(flatten)]
        snapshot: OneVolumeSnapshot,
        /// Its new name
        #[arg(value_name = "NEW")]
        new: String,
    },
    /// Make a volume hold what it did
    #[command(
        after_help = "Files are as they were; what came since is gone. Keys and the snapshot stay. Instances that have the volume have to\nbe stopped.\n\nExamples:\n  lxctl storage volume snapshot restore default data snap0"
    )]
    Restore(OneVolumeSnapshot),
    /// Delete snapshots
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl storage volume snapshot delete default data snap0 snap1")]
    Delete {
        #[command(flatten)]
        volume: VolumeName,
        /// Snapshots
        #[arg(value_name = "SNAPSHOT", required = true)]
        names: Vec<String>,
        #[command(flatten)]
        at_once: AtOnce,
    },
}

// A snapshot to be.
#[derive(Debug, Clone, Args)]
pub(crate) struct NewVolumeSnapshot {
    /// Pool
    #[arg(add = ArgValueCandidates::new(complete::pools))]
    pub(crate) pool: String,
    /// Volume
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::volumes))]
    pub(crate) volume: String,
    /// Its name; left out: as the volume's snapshots.pattern says
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) name: Option<String>,
    /// One line about it
    #[arg(long, visible_alias = "description", value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Take the place of a snapshot of that name
    #[arg(long)]
    pub(crate) reuse: bool,
    /// How long it is kept, such as 7d or 1m 12H; left out: as its snapshots.expiry says
    #[arg(long, value_name = "TIME", conflicts_with = "no_expiry")]
    pub(crate) expiry: Option<String>,
    /// Keep it until it is deleted
    #[arg(long)]
    pub(crate) no_expiry: bool,
}

// A snapshot.
#[derive(Debug, Clone, Args)]
pub(crate) struct OneVolumeSnapshot {
    #[command(flatten)]
    pub(crate) volume: VolumeName,
    /// Snapshot
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) snapshot: String,
}
