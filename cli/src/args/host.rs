//! Arguments of the verbs about the host and lxctl itself: monitor, doctor, version, generate.

use super::FormatArg;
use crate::complete;
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;
use std::path::PathBuf;

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventType {
    /// Instances change their state
    Lifecycle,
    /// Jobs begin and end
    Operation,
    /// Networks give addresses out, renew them and take them back
    Lease,
}

/// How events are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventFormat {
    /// One line for people
    #[default]
    Pretty,
    /// One JSON object a line
    Json,
    /// One YAML document each
    Yaml,
}

// `monitor`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  lxctl monitor\n  lxctl monitor --type lifecycle --format json\n  lxctl monitor --type lease"
)]
pub(crate) struct Monitor {
    /// Only these events
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    pub(crate) types: Vec<EventType>,
    /// How to print them
    #[arg(short, long, value_enum, default_value = "pretty")]
    pub(crate) format: EventFormat,
}

// `doctor`.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Ends with 1 when something is broken.\n\nExamples:\n  lxctl doctor\n  lxctl doctor --format json\n  \
                  lxctl doctor network lxbr0"
)]
pub(crate) struct Doctor {
    #[command(subcommand)]
    pub(crate) of: Option<DoctorOf>,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// What else is examined.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DoctorOf {
    /// Check networks, also with the question of a guest for an address
    #[command(
        after_help = "Looks at the link, its addresses, dnsmasq and who else has its ports, forwarding, the rules of the\n\
                      firewall and what others drop, DHCP, DNS, and overlapping subnets.\n\n\
                      Ends with 1 when something is broken.\n\n\
                      Examples:\n  lxctl doctor network\n  lxctl doctor network lxbr0 --format json"
    )]
    Network {
        /// Network; all without one
        #[arg(add = ArgValueCandidates::new(complete::networks))]
        name: Option<String>,
        #[command(flatten)]
        format: FormatArg,
    },
}

// `version`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  lxctl version")]
pub(crate) struct Version {
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// `generate`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Generate {
    /// Man pages of all verbs, into a directory
    Man {
        /// Directory, made when it is missing
        directory: PathBuf,
    },
    /// A completion script, to standard output
    Completion {
        /// Shell
        #[arg(value_parser = ["bash", "zsh", "fish"])]
        shell: String,
    },
}
