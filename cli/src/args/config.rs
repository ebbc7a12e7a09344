//! Arguments of `config`.

use super::Device;
use crate::complete;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

// `config`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Config {
    /// Print one key
    #[command(after_help = "Examples:\n  lxctl config get c1 limits.memory\n  lxctl config get --expanded c1 limits.memory")]
    Get(ConfigGet),
    /// Set keys
    #[command(after_help = "\
A value of - is read from standard input.

Examples:
  lxctl config set c1 limits.memory 1GiB
  lxctl config set c1 limits.memory=1GiB boot.autostart=true
  lxctl config set c1 user.user-data - < user-data")]
    Set(ConfigSet),
    /// Unset keys
    #[command(after_help = "Examples:\n  lxctl config unset c1 limits.memory")]
    Unset(ConfigUnset),
    /// Show the configuration as YAML
    #[command(
        after_help = "Examples:\n  lxctl config show c1\n  lxctl config show --expanded c1     with what its profiles give"
    )]
    Show(ConfigShow),
    /// Change the configuration in an editor, or from standard input
    #[command(after_help = "Examples:\n  lxctl config edit c1\n  lxctl config edit c1 < c1.yaml")]
    Edit {
        /// Instance
        #[arg(add = ArgValueCandidates::new(complete::instances))]
        name: String,
    },
    /// Manage devices
    #[command(subcommand)]
    Device(Device),
}

// `config get`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigGet {
    /// Instance, then key
    #[arg(value_name = "NAME> <KEY", num_args = 1..=2, required = true, add = ArgValueCandidates::new(complete::instances))]
    pub(crate) words: Vec<String>,
    /// With what its profiles give
    #[arg(short, long)]
    pub(crate) expanded: bool,
}

// `config set`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigSet {
    /// Instance, then KEY=VALUE… or KEY VALUE
    #[arg(value_name = "NAME> <KEY=VALUE", required = true, num_args = 1.., add = ArgValueCandidates::new(complete::instances))]
    pub(crate) words: Vec<String>,
}

// `config unset`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigUnset {
    /// Instance, then keys
    #[arg(value_name = "NAME> <KEY", required = true, num_args = 1.., add = ArgValueCandidates::new(complete::instances))]
    pub(crate) words: Vec<String>,
}

// `config show`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigShow {
    /// Instance
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) name: Option<String>,
    /// With what its profiles give
    #[arg(short, long)]
    pub(crate) expanded: bool,
    #[command(flatten)]
    pub(crate) format: super::DocumentArg,
}
