//! Arguments of `storage`.

use super::FormatArg;
use crate::complete;
use crate::pairs::Pair;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

/// `storage`.
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
    Show(PoolName),
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
    /// Make a pool
    #[command(
        after_help = "Examples:\n  lxctl storage create fast btrfs source=/srv/fast\n  lxctl storage create plain dir source=/srv/plain"
    )]
    Create {
        /// Name
        name: String,
        /// Driver, such as overlay, dir or btrfs
        driver: String,
        /// Keys
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<Pair>,
    },
    /// Delete pools that hold nothing
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl storage delete fast")]
    Delete {
        /// Pools
        #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(complete::pools))]
        names: Vec<String>,
    },
}

/// One pool.
#[derive(Debug, Clone, Args)]
pub(crate) struct PoolName {
    /// Pool
    #[arg(add = ArgValueCandidates::new(complete::pools))]
    pub(crate) name: String,
}
