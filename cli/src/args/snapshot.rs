//! Arguments of `snapshot` and `restore`.

use super::{AtOnce, DocumentArg, FormatArg};
use crate::complete;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

const EXAMPLES: &str = "\
A running instance stands still for as long as its file system needs. Its configuration is kept, too.
Without a verb a snapshot is taken, as LXD's snapshot does. snapshots.schedule takes them by itself, snapshots.expiry
says how long new ones are kept.

Examples:
  lxctl snapshot create c1               called as snapshots.pattern says: snap0, snap1, …
  lxctl snapshot c1 before-upgrade --comment upgrade
  lxctl snapshot restore c1 before-upgrade
  lxctl snapshot list c1";

// `snapshot`.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    subcommand_value_name = "VERB",
    after_help = EXAMPLES
)]
pub(crate) struct Snapshot {
    #[command(subcommand)]
    pub(crate) verb: Option<SnapshotVerb>,
    #[command(flatten)]
    pub(crate) create: Option<NewSnapshot>,
}

// Verbs of `snapshot`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SnapshotVerb {
    /// Take a snapshot of an instance
    #[command(
        after_help = "Examples:\n  lxctl snapshot create c1\n  lxctl snapshot create c1 nightly --reuse    in place of yesterday's\n  lxctl snapshot create c1 --expiry 7d        gone in a week"
    )]
    Create(NewSnapshot),
    /// List the snapshots of an instance
    #[command(visible_alias = "ls", after_help = "Examples:\n  lxctl snapshot list c1\n  lxctl snapshot list c1 --format json")]
    List {
        #[command(flatten)]
        instance: SnapshotsOf,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Show a snapshot and the configuration in it as YAML
    #[command(after_help = "Examples:\n  lxctl snapshot show c1 snap0")]
    Show {
        #[command(flatten)]
        snapshot: OneSnapshot,
        #[command(flatten)]
        format: DocumentArg,
    },
    /// Rename a snapshot
    #[command(after_help = "Examples:\n  lxctl snapshot rename c1 snap0 before-upgrade")]
    Rename {
        #[command(flatten)]
        snapshot: OneSnapshot,
        /// Its new name
        #[arg(value_name = "NEW")]
        new: String,
    },
    /// Make an instance what it was
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore(OneSnapshot),
    /// Delete snapshots
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl snapshot delete c1 snap0 snap1\n  lxctl delete c1/snap0")]
    Delete {
        #[command(flatten)]
        instance: SnapshotsOf,
        /// Snapshots
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Ask before each
        #[arg(short, long)]
        interactive: bool,
        #[command(flatten)]
        at_once: AtOnce,
    },
}

const RESTORE_EXAMPLES: &str = "\
Files and configuration are as they were; what came since is gone. The snapshot stays. An instance that runs is killed
and started again.

Examples:
  lxctl restore c1 snap0
  lxctl snapshot restore c1 snap0";

// `restore`.
#[derive(Debug, Clone, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) snapshot: OneSnapshot,
}

// A snapshot to be.
#[derive(Debug, Clone, Args)]
pub(crate) struct NewSnapshot {
    /// Instance
    #[arg(value_name = "INSTANCE", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) instance: String,
    /// Name; left out: as its snapshots.pattern says
    #[arg(value_name = "NAME")]
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
    /// Keep running processes, too; not in this version
    #[arg(long)]
    pub(crate) stateful: bool,
}

// An instance with snapshots.
#[derive(Debug, Clone, Args)]
pub(crate) struct SnapshotsOf {
    /// Instance
    #[arg(value_name = "INSTANCE", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) name: String,
}

// A snapshot.
#[derive(Debug, Clone, Args)]
pub(crate) struct OneSnapshot {
    /// Instance
    #[arg(value_name = "INSTANCE", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) instance: String,
    /// Snapshot
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}
