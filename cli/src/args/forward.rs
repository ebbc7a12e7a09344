//! Arguments of `network forward`.

use super::{DocumentArg, FormatArg, NetworkName, TrialArg};
use crate::complete;
use crate::pairs::Pair;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

// `network forward`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Forward {
    /// List the forwards of a network
    #[command(visible_alias = "ls", after_help = "Examples:\n  lxctl network forward list lab")]
    List {
        #[command(flatten)]
        network: NetworkName,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Show a forward as YAML
    #[command(after_help = "Examples:\n  lxctl network forward show lab 192.0.2.1")]
    Show {
        #[command(flatten)]
        forward: ListenAddress,
        #[command(flatten)]
        format: DocumentArg,
    },
    /// Make a forward, empty or from a YAML file on standard input
    #[command(
        after_help = "Keys: target_address (an instance that gets all that no port is about; what the host itself serves at the\n\
                      address is not reached any more), user.*.\n\n\
                      Examples:\n  lxctl network forward create lab 192.0.2.1\n  \
                      lxctl network forward create lab 192.0.2.1 target_address=10.9.0.5 --rollback=60s\n  \
                      lxctl network forward create lab 192.0.2.1 < forward.yaml"
    )]
    Create {
        #[command(flatten)]
        forward: ListenChange,
        /// Keys
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<Pair>,
        /// One line about it
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Delete a forward
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl network forward delete lab 192.0.2.1")]
    Delete(ListenChange),
    /// Print one key
    #[command(after_help = "Examples:\n  lxctl network forward get lab 192.0.2.1 target_address")]
    Get {
        #[command(flatten)]
        forward: ListenAddress,
        /// Key
        key: String,
    },
    /// Set keys
    #[command(after_help = "Examples:\n  lxctl network forward set lab 192.0.2.1 target_address=10.9.0.5")]
    Set {
        #[command(flatten)]
        forward: ListenChange,
        /// KEY=VALUE…, or KEY VALUE
        #[arg(required = true, value_name = "KEY=VALUE")]
        keys: Vec<String>,
    },
    /// Unset keys
    #[command(after_help = "Examples:\n  lxctl network forward unset lab 192.0.2.1 target_address")]
    Unset {
        #[command(flatten)]
        forward: ListenChange,
        /// Keys
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Change a forward in an editor, or from standard input
    #[command(after_help = "Examples:\n  lxctl network forward edit lab 192.0.2.1\n  \
                            lxctl network forward edit lab 192.0.2.1 < forward.yaml")]
    Edit(ListenChange),
    /// Manage the ports of a forward
    #[command(subcommand)]
    Port(ForwardPort),
}

// `network forward port`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ForwardPort {
    /// Have ports lead to an instance
    #[command(after_help = "Examples:\n  \
        lxctl network forward port add lab 192.0.2.1 tcp 80,443 10.9.0.5\n  \
        lxctl network forward port add lab 192.0.2.1 tcp 2222 10.9.0.5 22\n  \
        lxctl network forward port add lab 192.0.2.1 udp 5000-5009 10.9.0.6 6000-6009")]
    Add {
        #[command(flatten)]
        forward: ListenChange,
        /// `tcp` or `udp`
        protocol: String,
        /// Ports and ranges, such as 80,8000-8100
        listen_ports: String,
        /// Address of the instance
        target_address: String,
        /// Its ports: one for all, or as many; without them, the same
        target_ports: Option<String>,
        /// One line about them
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Have ports lead to the host again
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  lxctl network forward port remove lab 192.0.2.1 tcp 80,443\n  \
        lxctl network forward port remove lab 192.0.2.1 --force    all of them"
    )]
    Remove {
        #[command(flatten)]
        forward: ListenChange,
        /// `tcp` or `udp`; without it, either
        protocol: Option<String>,
        /// Ports as they were added; without them, any
        listen_ports: Option<String>,
        /// Remove all entries that fit, if there is more than one
        #[arg(short, long)]
        force: bool,
    },
}

// An address that a network listens on.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListenAddress {
    /// Network
    #[arg(add = ArgValueCandidates::new(complete::networks))]
    pub(crate) network: String,
    /// Address of the host that it listens on
    #[arg(value_name = "LISTEN_ADDRESS")]
    pub(crate) listen: String,
}

// The same for a change, which may wait to be confirmed.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListenChange {
    #[command(flatten)]
    pub(crate) at: ListenAddress,
    #[command(flatten)]
    pub(crate) trial: TrialArg,
}
