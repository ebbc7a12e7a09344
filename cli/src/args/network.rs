//! Arguments of `network`.

use super::{DocumentArg, FormatArg};
use crate::complete;
use crate::pairs::Pair;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

/// `network`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Network {
    /// List networks
    #[command(visible_alias = "ls", after_help = "Examples:\n  lxctl network list")]
    List {
        #[command(flatten)]
        format: FormatArg,
    },
    /// Show a network as YAML
    #[command(after_help = "Examples:\n  lxctl network show lxbr0")]
    Show {
        #[command(flatten)]
        network: NetworkName,
        #[command(flatten)]
        format: DocumentArg,
    },
    /// Print one key
    #[command(after_help = "Examples:\n  lxctl network get lxbr0 ipv4.address")]
    Get {
        /// Network
        #[arg(add = ArgValueCandidates::new(complete::networks))]
        name: String,
        /// Key
        key: String,
    },
    /// Set keys
    #[command(
        after_help = "Examples:\n  lxctl network set lxbr0 ipv4.dhcp.ranges=10.9.0.50-10.9.0.99\n  lxctl network set lxbr0 ipv4.nat false"
    )]
    Set {
        /// Network
        #[arg(add = ArgValueCandidates::new(complete::networks))]
        name: String,
        /// KEY=VALUE…, or KEY VALUE
        #[arg(required = true, value_name = "KEY=VALUE")]
        keys: Vec<String>,
    },
    /// Unset keys
    #[command(after_help = "Examples:\n  lxctl network unset lxbr0 ipv4.dhcp.ranges")]
    Unset {
        /// Network
        #[arg(add = ArgValueCandidates::new(complete::networks))]
        name: String,
        /// Keys
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Change a network in an editor, or from standard input
    #[command(after_help = "Examples:\n  lxctl network edit lxbr0\n  lxctl network edit lxbr0 < network.yaml")]
    Edit(NetworkName),
    /// Make a network
    #[command(
        after_help = "Examples:\n  lxctl network create lab\n  lxctl network create lab ipv4.address=10.9.0.1/24 ipv6.address=none"
    )]
    Create {
        /// Name
        name: String,
        /// Keys
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<Pair>,
        /// Type
        #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "bridge")]
        kind: String,
        /// Keys, as an option
        #[arg(short, long = "config", value_name = "KEY=VALUE")]
        config: Vec<Pair>,
        /// Description
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Delete networks that no instance uses
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl network delete lab")]
    Delete {
        /// Networks
        #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(complete::networks))]
        names: Vec<String>,
    },
    /// List the addresses given out
    #[command(after_help = "Examples:\n  lxctl network list-leases lxbr0")]
    ListLeases {
        /// Network
        #[arg(add = ArgValueCandidates::new(complete::networks))]
        name: String,
        #[command(flatten)]
        format: FormatArg,
    },
}

/// One network.
#[derive(Debug, Clone, Args)]
pub(crate) struct NetworkName {
    /// Network
    #[arg(add = ArgValueCandidates::new(complete::networks))]
    pub(crate) name: String,
}
