//! Arguments of `copy`.

use crate::complete;
use crate::pairs::Pair;
use clap::Args;
use clap_complete::ArgValueCandidates;

const EXAMPLES: &str = "\
A copy has the configuration and the snapshots of its original, and a name, addresses and ids of its own. It is stopped.
An original that runs goes on; it stands still for as long as its file system needs.

Examples:
  lxctl copy c1 c2
  lxctl copy c1/before-upgrade c2                  a snapshot becomes an instance
  lxctl copy c1 c2 --refresh                       c2, stopped, is brought up to date; its configuration stays
  lxctl copy c1 c2 --instance-only                 without its snapshots
  lxctl copy c1 c2 --storage fast                  to another pool
  lxctl copy c1 c2 -c limits.memory=1GiB -p default -p web
  lxctl copy c1 c2 -d eth0,ipv4.address=10.0.3.9   one key of a device is another";

// `copy`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Copy {
    /// Instance, or snapshot as INSTANCE/SNAPSHOT
    #[arg(value_name = "SOURCE", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) source: String,
    /// Name of the copy; left out, one is generated
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Without its snapshots
    #[arg(long)]
    pub(crate) instance_only: bool,
    /// Profile to use instead of the original's, in this order
    #[arg(short, long = "profile", value_name = "PROFILE", add = ArgValueCandidates::new(complete::profiles))]
    pub(crate) profiles: Vec<String>,
    /// Use no profile
    #[arg(long, conflicts_with = "profiles")]
    pub(crate) no_profiles: bool,
    /// Configuration key that is another
    #[arg(short, long = "config", value_name = "KEY=VALUE")]
    pub(crate) config: Vec<Pair>,
    /// Device keys that are others: NAME,KEY=VALUE…
    #[arg(short, long = "device", value_name = "NAME,KEY=VALUE")]
    pub(crate) devices: Vec<String>,
    /// One line about it
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Delete the copy when it stops
    #[arg(short, long)]
    pub(crate) ephemeral: bool,
    /// Pool to put it on instead of the original's
    #[arg(short, long = "storage", value_name = "POOL", add = ArgValueCandidates::new(complete::pools))]
    pub(crate) storage: Option<String>,
    /// Bring an earlier copy up to date, if there is one: it holds what the original does once more, its snapshots included
    #[arg(long)]
    pub(crate) refresh: bool,
    // What LXD has to be told and is always so here.
    #[arg(long, hide = true, conflicts_with = "instance_only")]
    pub(crate) copy_snapshots: bool,
    #[arg(long, hide = true)]
    pub(crate) stateless: bool,
    #[arg(long, hide = true)]
    pub(crate) allow_inconsistent: bool,
    #[arg(long, hide = true, value_parser = ["pull", "push", "relay"])]
    pub(crate) mode: Option<String>,
}
