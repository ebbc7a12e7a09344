//! Arguments of `network`.

use super::{Acl, DocumentArg, FormatArg, Forward, LoadBalancer};
use crate::complete;
use crate::pairs::Pair;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;
use lxhost_model::checkpoint::Trial;

// `network`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Network {
    /// List networks
    #[command(
        visible_alias = "ls",
        after_help = "Columns (-c): 4 IPv4, 6 IPv6, d description, e project, m managed, n name, s state, t type, u used by.\n\n\
                      Examples:\n  lxctl network list\n  lxctl network list -c ntu --format csv"
    )]
    List {
        /// Columns
        #[arg(short, long, value_name = "COLUMNS", default_value = "ntm46s")]
        columns: String,
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
        after_help = "Examples:\n  lxctl network set lxbr0 ipv4.dhcp.ranges=10.9.0.50-10.9.0.99\n  lxctl network set lxbr0 ipv4.nat false\n  \
                      lxctl network set br0 bridge.external_interfaces=eth1 --rollback=60s"
    )]
    Set {
        /// Network
        #[arg(add = ArgValueCandidates::new(complete::networks))]
        name: String,
        /// KEY=VALUE…, or KEY VALUE
        #[arg(required = true, value_name = "KEY=VALUE")]
        keys: Vec<String>,
        #[command(flatten)]
        trial: TrialArg,
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
        #[command(flatten)]
        trial: TrialArg,
    },
    /// Change a network in an editor, or from standard input
    #[command(after_help = "Examples:\n  lxctl network edit lxbr0\n  lxctl network edit lxbr0 < network.yaml")]
    Edit {
        #[command(flatten)]
        network: NetworkName,
        #[command(flatten)]
        trial: TrialArg,
    },
    /// Make a network
    #[command(
        after_help = "Types: bridge (a subnet of its own, or, with parent=, the one an interface is in), vlan (a bridge over a VLAN),\n\
                      vxlan or overlay (a bridge with a tunnel to other hosts).\n\n\
                      Examples:\n  lxctl network create lab\n  lxctl network create lab ipv4.address=10.9.0.1/24 ipv6.address=none\n  \
                      lxctl network create br-physical parent=eth1\n  lxctl network create vlan100 parent=eth0.100\n  \
                      lxctl network create office --type vlan parent=eth0 vlan=100\n  \
                      lxctl network create over --type overlay tunnel.id=1000"
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
        #[command(flatten)]
        trial: TrialArg,
    },
    /// Keep changes made with --rollback, which would be undone by themselves
    #[command(after_help = "Examples:\n  lxctl network set br0 mtu=9000 --rollback=60s\n  lxctl network confirm br0")]
    Confirm {
        /// Networks
        #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(complete::networks))]
        names: Vec<String>,
    },
    /// Undo changes made with --rollback at once
    #[command(after_help = "Examples:\n  lxctl network rollback br0")]
    Rollback {
        /// Networks
        #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(complete::networks))]
        names: Vec<String>,
    },
    /// Show how a network stands on this host: addresses, counters, who uses it
    #[command(after_help = "Examples:\n  lxctl network info lxbr0\n  lxctl network info lxbr0 --format json")]
    Info {
        #[command(flatten)]
        network: NetworkName,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Rename a network that nobody uses
    #[command(visible_alias = "mv", after_help = "Examples:\n  lxctl network rename lab office")]
    Rename {
        /// Network
        #[arg(add = ArgValueCandidates::new(complete::networks))]
        name: String,
        /// Its name from now on
        new_name: String,
        #[command(flatten)]
        trial: TrialArg,
    },
    /// Give an instance an interface in a network
    #[command(
        after_help = "Examples:\n  lxctl network attach lab c1\n  lxctl network attach lab c1 eth1\n  lxctl network attach lab c1 office eth1"
    )]
    Attach(Attach),
    /// Take an instance's interface in a network away
    #[command(after_help = "Examples:\n  lxctl network detach lab c1\n  lxctl network detach lab c1 eth1")]
    Detach(Detach),
    /// Give a profile an interface in a network
    #[command(after_help = "Examples:\n  lxctl network attach-profile lab default eth1")]
    AttachProfile(AttachProfile),
    /// Take a profile's interface in a network away
    #[command(after_help = "Examples:\n  lxctl network detach-profile lab default")]
    DetachProfile(DetachProfile),
    /// Delete networks that no instance uses
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl network delete lab")]
    Delete {
        /// Networks
        #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(complete::networks))]
        names: Vec<String>,
        #[command(flatten)]
        trial: TrialArg,
    },
    /// Manage ACLs: what may go to and from the instances of networks
    #[command(subcommand)]
    Acl(Acl),
    /// Manage forwards: what comes to addresses of the host and goes to instances
    #[command(subcommand)]
    Forward(Forward),
    /// Manage load balancers: what comes to addresses of the host and goes to instances in turn
    #[command(subcommand)]
    LoadBalancer(LoadBalancer),
    /// List the addresses given out
    #[command(after_help = "Examples:\n  lxctl network list-leases lxbr0")]
    ListLeases {
        /// Network
        #[arg(add = ArgValueCandidates::new(complete::networks))]
        name: String,
        #[command(flatten)]
        format: FormatArg,
    },
    /// List the subnets of all networks, and who has which address in them
    #[command(after_help = "Examples:\n  lxctl network list-allocations\n  lxctl network list-allocations --format csv")]
    ListAllocations {
        #[command(flatten)]
        format: FormatArg,
    },
}

// How long a change waits to be confirmed.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrialArg {
    /// Undo it by itself after this time (60s, 2m, 1h) unless it is confirmed: with Enter on a terminal, or with
    /// "lxctl network confirm"
    #[arg(long = "rollback", value_name = "DURATION")]
    pub(crate) within: Option<Trial>,
}

// `network attach`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Attach {
    /// Network
    #[arg(add = ArgValueCandidates::new(complete::networks))]
    pub(crate) network: String,
    /// Instance
    #[arg(add = ArgValueCandidates::new(complete::instances))]
    pub(crate) instance: String,
    #[command(flatten)]
    pub(crate) names: DeviceNames,
}

// `network attach-profile`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AttachProfile {
    /// Network
    #[arg(add = ArgValueCandidates::new(complete::networks))]
    pub(crate) network: String,
    /// Profile
    #[arg(add = ArgValueCandidates::new(complete::profiles))]
    pub(crate) profile: String,
    #[command(flatten)]
    pub(crate) names: DeviceNames,
}

// What a new interface is called.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeviceNames {
    /// Name of the device; without it, that of the network
    pub(crate) device: Option<String>,
    /// Name of the interface inside; without it, the next free ethN
    pub(crate) interface: Option<String>,
}

// `network detach`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Detach {
    /// Network
    #[arg(add = ArgValueCandidates::new(complete::networks))]
    pub(crate) network: String,
    /// Instance
    #[arg(add = ArgValueCandidates::new(complete::instances))]
    pub(crate) instance: String,
    /// Device, where several are in the network
    pub(crate) device: Option<String>,
}

// `network detach-profile`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DetachProfile {
    /// Network
    #[arg(add = ArgValueCandidates::new(complete::networks))]
    pub(crate) network: String,
    /// Profile
    #[arg(add = ArgValueCandidates::new(complete::profiles))]
    pub(crate) profile: String,
    /// Device, where several are in the network
    pub(crate) device: Option<String>,
}

// One network.
#[derive(Debug, Clone, Args)]
pub(crate) struct NetworkName {
    /// Network
    #[arg(add = ArgValueCandidates::new(complete::networks))]
    pub(crate) name: String,
}
