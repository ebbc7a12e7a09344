//! Arguments of `trash` and `undo`.

use super::FormatArg;
use crate::complete;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

const UNDO_EXAMPLES: &str = "\
What is deleted on a pool with trash.expiry is kept for that time. This brings back what was deleted last: an instance or
a volume with its snapshots, or a snapshot. It is at rest then and has its addresses, if they are free.

Examples:
  lxctl storage set default trash.expiry=7d
  lxctl delete c1
  lxctl undo
  lxctl undo --name c1-old         when another c1 is there by now";

// `undo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = UNDO_EXAMPLES)]
pub(crate) struct Undo {
    /// Give it another name; a snapshot has its own name, without that of the instance
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

// `trash`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Trash {
    /// List what was deleted and is kept for a while
    #[command(visible_alias = "ls", after_help = "Examples:\n  lxctl trash list\n  lxctl trash list default --format json")]
    List {
        #[command(flatten)]
        pool: OfPool,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Bring something back
    #[command(
        after_help = "Examples:\n  lxctl trash restore c1\n  lxctl trash restore c1/snap0\n  lxctl trash restore 3f2a web2      by the start of its id, under another name"
    )]
    Restore {
        #[command(flatten)]
        what: Trashed,
        /// Give it another name; a snapshot has its own name, without that of the instance
        #[arg(value_name = "NEW")]
        name: Option<String>,
    },
    /// Remove things for good
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl trash delete c1\n  lxctl trash delete 3f2a 91bc")]
    Delete {
        /// Names, or starts of ids
        #[arg(value_name = "WHAT", required = true, add = ArgValueCandidates::new(complete::trash))]
        what: Vec<String>,
    },
    /// Remove everything in the trash for good
    #[command(after_help = "Examples:\n  lxctl trash empty\n  lxctl trash empty default    of that pool alone")]
    Empty {
        #[command(flatten)]
        pool: OfPool,
    },
}

// A pool, or all.
#[derive(Debug, Clone, Args)]
pub(crate) struct OfPool {
    /// Pool; left out: all
    #[arg(value_name = "POOL", add = ArgValueCandidates::new(complete::pools))]
    pub(crate) pool: Option<String>,
}

// Something in the trash.
#[derive(Debug, Clone, Args)]
pub(crate) struct Trashed {
    /// Its name, or the start of its id
    #[arg(value_name = "WHAT", add = ArgValueCandidates::new(complete::trash))]
    pub(crate) what: String,
}

// How something is deleted.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct AtOnce {
    /// For good, even where the pool has a trash
    #[arg(long)]
    pub(crate) now: bool,
}

impl AtOnce {
    /// The options of a deletion.
    pub(crate) fn options<'a>(self) -> lxhost_dbus::Options<'a> {
        if self.now { lxhost_dbus::Options::from([("at-once", true.into())]) } else { lxhost_dbus::Options::new() }
    }
}
