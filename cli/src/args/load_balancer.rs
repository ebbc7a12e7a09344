//! Arguments of `network load-balancer`.

use super::{DocumentArg, FormatArg, ListenAddress, ListenChange, NetworkName};
use crate::pairs::Pair;
use clap::Subcommand;

// `network load-balancer`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LoadBalancer {
    /// List the load balancers of a network
    #[command(visible_alias = "ls", after_help = "Examples:\n  lxctl network load-balancer list lab")]
    List {
        #[command(flatten)]
        network: NetworkName,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Show a load balancer as YAML
    #[command(after_help = "Examples:\n  lxctl network load-balancer show lab 192.0.2.2")]
    Show {
        #[command(flatten)]
        listen: ListenAddress,
        #[command(flatten)]
        format: DocumentArg,
    },
    /// Make a load balancer, empty or from a YAML file on standard input
    #[command(after_help = "Backends get a connection each in turn; nobody looks whether they answer.\n\n\
                      Examples:\n  lxctl network load-balancer create lab 192.0.2.2\n  \
                      lxctl network load-balancer create lab 192.0.2.2 < balancer.yaml")]
    Create {
        #[command(flatten)]
        listen: ListenChange,
        /// `user.*` keys
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<Pair>,
        /// One line about it
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Delete a load balancer
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl network load-balancer delete lab 192.0.2.2")]
    Delete(ListenChange),
    /// Print one key
    #[command(after_help = "Examples:\n  lxctl network load-balancer get lab 192.0.2.2 user.owner")]
    Get {
        #[command(flatten)]
        listen: ListenAddress,
        /// Key
        key: String,
    },
    /// Set `user.*` keys
    #[command(after_help = "Examples:\n  lxctl network load-balancer set lab 192.0.2.2 user.owner=ops")]
    Set {
        #[command(flatten)]
        listen: ListenChange,
        /// KEY=VALUE…, or KEY VALUE
        #[arg(required = true, value_name = "KEY=VALUE")]
        keys: Vec<String>,
    },
    /// Unset keys
    #[command(after_help = "Examples:\n  lxctl network load-balancer unset lab 192.0.2.2 user.owner")]
    Unset {
        #[command(flatten)]
        listen: ListenChange,
        /// Keys
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Change a load balancer in an editor, or from standard input
    #[command(after_help = "Examples:\n  lxctl network load-balancer edit lab 192.0.2.2\n  \
                            lxctl network load-balancer edit lab 192.0.2.2 < balancer.yaml")]
    Edit(ListenChange),
    /// Manage the instances that take turns
    #[command(subcommand)]
    Backend(Backend),
    /// Manage the ports of a load balancer
    #[command(subcommand)]
    Port(BalancerPort),
}

// `network load-balancer backend`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Backend {
    /// Name an instance that takes turns
    #[command(after_help = "Examples:\n  lxctl network load-balancer backend add lab 192.0.2.2 web1 10.9.0.5\n  \
                            lxctl network load-balancer backend add lab 192.0.2.2 web2 10.9.0.6 8080")]
    Add {
        #[command(flatten)]
        listen: ListenChange,
        /// Name of the backend
        backend: String,
        /// Address of the instance
        target_address: String,
        /// Its ports: one for all, or as many as lead there; without them, the same
        target_ports: Option<String>,
        /// One line about it
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Remove a backend that no port leads to
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl network load-balancer backend remove lab 192.0.2.2 web1")]
    Remove {
        #[command(flatten)]
        listen: ListenChange,
        /// Name of the backend
        backend: String,
    },
}

// `network load-balancer port`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum BalancerPort {
    /// Have ports lead to backends
    #[command(after_help = "Examples:\n  lxctl network load-balancer port add lab 192.0.2.2 tcp 80,443 web1,web2")]
    Add {
        #[command(flatten)]
        listen: ListenChange,
        /// `tcp` or `udp`
        protocol: String,
        /// Ports and ranges, such as 80,8000-8100
        listen_ports: String,
        /// Names of backends, with commas
        backends: String,
        /// One line about them
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Have ports lead to the host again
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  lxctl network load-balancer port remove lab 192.0.2.2 tcp 80,443\n  \
        lxctl network load-balancer port remove lab 192.0.2.2 --force    all of them"
    )]
    Remove {
        #[command(flatten)]
        listen: ListenChange,
        /// `tcp` or `udp`; without it, either
        protocol: Option<String>,
        /// Ports as they were added; without them, any
        listen_ports: Option<String>,
        /// Remove all entries that fit, if there is more than one
        #[arg(short, long)]
        force: bool,
    },
}
