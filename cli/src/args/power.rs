//! Arguments of the verbs that change the state of instances: start, stop, restart, pause, resume, delete, rename, wait.

use super::AtOnce;
use crate::complete;
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;

// Instances by name, or all.
#[derive(Debug, Clone, Args)]
pub(crate) struct Names {
    /// Instances
    #[arg(value_name = "NAME", required_unless_present = "all", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) names: Vec<String>,
    /// All instances of the project
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
}

// `pause`, `resume`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  lxctl pause c1 c2\n  lxctl resume --all")]
pub(crate) struct Many {
    #[command(flatten)]
    pub(crate) which: Names,
}

// `start`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  lxctl start c1 c2\n  lxctl start c1 --console\n  lxctl start --all")]
pub(crate) struct Start {
    #[command(flatten)]
    pub(crate) which: Names,
    /// Attach to its console at once
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "console", value_parser = ["console"], conflicts_with = "all")]
    pub(crate) console: Option<String>,
    /// Wait until it is ready, or for what is said
    #[arg(long, value_name = "STATE", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "ready", conflicts_with = "all")]
    pub(crate) wait: Option<WaitFor>,
    /// With --all: only those that shall start when the host boots
    #[arg(long, requires = "all", hide = true)]
    pub(crate) autostart: bool,
}

// `stop`, `restart`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Without --force the instance's own init is asked to shut down, and is killed when the time is over.

Examples:
  lxctl stop c1                 as its own poweroff
  lxctl stop c1 --timeout 5     killed after 5 seconds
  lxctl stop --force c1         at once
  lxctl restart --all")]
pub(crate) struct Stop {
    #[command(flatten)]
    pub(crate) which: Names,
    /// Kill it instead of asking it
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Seconds it gets before it is killed; -1: as configured
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..=86_400))]
    pub(crate) timeout: Option<i64>,
    /// Attach to its console meanwhile
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "console", value_parser = ["console"], conflicts_with = "all")]
    pub(crate) console: Option<String>,
    /// With --all: this is the host's shutdown; remember what ran
    #[arg(long, requires = "all", hide = true)]
    pub(crate) autostart: bool,
}

// `delete`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  lxctl delete c1\n  lxctl delete c1/snap0              a snapshot\n  lxctl delete --force c1 c2     even if they run\n  lxctl delete -i c1             ask first\n  lxctl delete c1 --now          for good, even where its pool has a trash"
)]
pub(crate) struct Delete {
    /// Instances, or snapshots as INSTANCE/SNAPSHOT
    #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(complete::instances))]
    pub(crate) names: Vec<String>,
    /// Stop it first
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Ask before each
    #[arg(short, long)]
    pub(crate) interactive: bool,
    #[command(flatten)]
    pub(crate) at_once: AtOnce,
}

// `rename`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  lxctl rename c1 web\n  lxctl rename c1/snap0 c1/before-upgrade")]
pub(crate) struct Rename {
    /// Instance, or snapshot as INSTANCE/SNAPSHOT
    #[arg(value_name = "OLD", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) old: String,
    /// Its new name
    #[arg(value_name = "NEW")]
    pub(crate) new: String,
}

// `move`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The instance is stopped. It keeps its id, its addresses and its snapshots.\n\nExamples:\n  lxctl move c1 web                 another name\n  lxctl move c1 --storage fast      another pool\n  lxctl move c1 web -s fast         both"
)]
pub(crate) struct Move {
    /// Instance, or snapshot as INSTANCE/SNAPSHOT
    #[arg(value_name = "OLD", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) old: String,
    /// Its new name
    #[arg(value_name = "NEW", required_unless_present = "storage")]
    pub(crate) new: Option<String>,
    /// Pool to put it on
    #[arg(short, long = "storage", value_name = "POOL", add = ArgValueCandidates::new(complete::pools))]
    pub(crate) storage: Option<String>,
    // Between hosts; there is one.
    #[arg(long, hide = true, value_parser = ["pull", "push", "relay"])]
    pub(crate) mode: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) stateless: bool,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WaitFor {
    /// It runs
    Running,
    /// Its init says that the boot is over
    Ready,
    /// It is stopped
    Stopped,
    /// It has an address
    Address,
}

// `wait`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  lxctl wait c1                                  until its boot is over\n  lxctl wait c1 --for address --timeout 30\n  lxctl wait c1 --for stopped"
)]
pub(crate) struct Wait {
    /// Instance
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) name: String,
    /// What to wait for
    #[arg(long = "for", value_name = "STATE", value_enum, default_value = "ready")]
    pub(crate) what: WaitFor,
    /// Seconds to wait at most; 0: without end
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=31_536_000))]
    pub(crate) timeout: u64,
}
