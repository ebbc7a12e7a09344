//! Arguments of `recover`.

use super::FormatArg;
use clap::Args;
use std::path::PathBuf;

// `recover`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
When the database was lost, or a disk comes from another host: pools, networks, profiles, images, instances and
snapshots are found by what is written beside them, shown, and taken in when that is wanted. Instances are stopped
then. Nothing on the disks is changed.

Examples:
  lxctl recover                        shows what is found, then asks
  lxctl recover --dry-run
  lxctl recover --source /mnt/ssd/lxd --yes")]
pub(crate) struct Recover {
    /// Directory of a pool to look into, beside the daemon's own
    #[arg(long = "source", value_name = "DIRECTORY")]
    pub(crate) sources: Vec<PathBuf>,
    /// Show what is found and do nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}
