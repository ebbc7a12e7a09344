//! Arguments of `storage`.

use super::{DocumentArg, FormatArg, Volume};
use crate::complete;
use crate::pairs::Pair;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

// `storage`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Storage {
    /// List pools
    #[command(visible_alias = "ls", after_help = "Examples:\n  lxctl storage list")]
    List {
        #[command(flatten)]
        format: FormatArg,
    },
    /// Show a pool as YAML
    #[command(after_help = "Examples:\n  lxctl storage show default")]
    Show {
        #[command(flatten)]
        pool: PoolName,
        #[command(flatten)]
        format: DocumentArg,
    },
    /// Show how full a pool is
    #[command(after_help = "Examples:\n  lxctl storage info default")]
    Info {
        #[command(flatten)]
        pool: PoolName,
        /// In bytes
        #[arg(long)]
        bytes: bool,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Print one key
    #[command(after_help = "Examples:\n  lxctl storage get default source")]
    Get {
        /// Pool
        #[arg(add = ArgValueCandidates::new(complete::pools))]
        name: String,
        /// Key
        key: String,
    },
    /// Set keys
    #[command(
        after_help = "Examples:\n  lxctl storage set default user.owner=web\n  lxctl storage set default user.owner web\n  lxctl storage set small size=40GiB    (grows a pool that lies in a file)\n  lxctl storage set default trash.expiry=7d    (lxctl undo brings back what is deleted)"
    )]
    Set {
        /// Pool
        #[arg(add = ArgValueCandidates::new(complete::pools))]
        name: String,
        /// KEY=VALUE…, or KEY VALUE
        #[arg(required = true, value_name = "KEY=VALUE")]
        keys: Vec<String>,
    },
    /// Unset keys
    #[command(after_help = "Examples:\n  lxctl storage unset default user.owner")]
    Unset {
        /// Pool
        #[arg(add = ArgValueCandidates::new(complete::pools))]
        name: String,
        /// Keys
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Change a pool in an editor, or from standard input
    #[command(after_help = "Examples:\n  lxctl storage edit default\n  lxctl storage edit default < pool.yaml")]
    Edit(PoolName),
    /// Make a pool
    #[command(
        after_help = "Examples:\n  lxctl storage create fast btrfs source=/dev/nvme1n1\n  lxctl storage create small btrfs size=20GiB\n  lxctl storage create thin lvm source=vg0\n  lxctl storage create zfs-pool zfs\n  lxctl storage create plain dir source=/srv/plain\n\nKeys:\n  source                a directory, a block device to make a file system on, or a name:\n                        of a volume group (lvm), of a zpool or dataset (zfs)\n  source.wipe           true: what the device holds is lost\n  size                  of a file to make a file system in, instead of a source (zfs: left out,\n                        a fifth of what is free); the most that is taken in what source names\n  btrfs.mount_options   such as compress=zstd,noatime, for a file or device\n  lvm.vg_name           of the volume group that is made (lxhost-NAME)\n  lvm.thinpool_name     of the thin pool in it (lxhost)\n  zfs.pool_name         of the zpool that is made (lxhost-NAME)\n  trash.expiry          how long what is deleted is kept, such as 7d; left out: not at all"
    )]
    Create {
        /// Name
        name: String,
        /// Driver, such as overlay, btrfs, lvm, zfs or dir
        driver: String,
        /// Keys
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<Pair>,
        /// Description
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Delete pools that hold nothing
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl storage delete fast")]
    Delete {
        /// Pools
        #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(complete::pools))]
        names: Vec<String>,
    },
    /// Manage custom volumes of pools
    #[command(subcommand)]
    Volume(Volume),
}

// One pool.
#[derive(Debug, Clone, Args)]
pub(crate) struct PoolName {
    /// Pool
    #[arg(add = ArgValueCandidates::new(complete::pools))]
    pub(crate) name: String,
}
