//! Arguments of `network acl`.

use super::{DocumentArg, FormatArg};
use crate::complete;
use crate::pairs::Pair;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

// `network acl`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Acl {
    /// List ACLs
    #[command(visible_alias = "ls", after_help = "Examples:\n  lxctl network acl list")]
    List {
        #[command(flatten)]
        format: FormatArg,
    },
    /// Show an ACL as YAML
    #[command(after_help = "Examples:\n  lxctl network acl show web")]
    Show {
        #[command(flatten)]
        acl: AclName,
        #[command(flatten)]
        format: DocumentArg,
    },
    /// Make an ACL, empty or from a YAML file on standard input
    #[command(after_help = "Examples:\n  lxctl network acl create web\n  lxctl network acl create web < web.yaml")]
    Create {
        /// Name
        name: String,
        /// `user.*` keys
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<Pair>,
        /// One line about it
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Delete ACLs that nobody uses
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl network acl delete web")]
    Delete {
        /// ACLs
        #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(complete::acls))]
        names: Vec<String>,
    },
    /// Rename an ACL that nobody uses
    #[command(after_help = "Examples:\n  lxctl network acl rename web www")]
    Rename {
        #[command(flatten)]
        acl: AclName,
        /// Its name from now on
        new: String,
    },
    /// Print one key
    #[command(after_help = "Examples:\n  lxctl network acl get web user.owner")]
    Get {
        #[command(flatten)]
        acl: AclName,
        /// Key
        key: String,
    },
    /// Set `user.*` keys
    #[command(after_help = "Examples:\n  lxctl network acl set web user.owner=ops")]
    Set {
        #[command(flatten)]
        acl: AclName,
        /// KEY=VALUE…, or KEY VALUE
        #[arg(required = true, value_name = "KEY=VALUE")]
        keys: Vec<String>,
    },
    /// Unset keys
    #[command(after_help = "Examples:\n  lxctl network acl unset web user.owner")]
    Unset {
        #[command(flatten)]
        acl: AclName,
        /// Keys
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Change an ACL in an editor, or from standard input
    #[command(after_help = "Examples:\n  lxctl network acl edit web\n  lxctl network acl edit web < web.yaml")]
    Edit(AclName),
    /// Print what the rules that log have written
    #[command(after_help = "Examples:\n  lxctl network acl show-log web")]
    ShowLog(AclName),
    /// Manage the rules of an ACL
    #[command(subcommand)]
    Rule(AclRule),
}

// `network acl rule`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AclRule {
    /// Add a rule
    #[command(after_help = "Examples:\n  \
        lxctl network acl rule add web ingress action=allow protocol=tcp destination_port=80,443\n  \
        lxctl network acl rule add web egress action=reject destination=192.0.2.0/24 state=logged\n  \
        lxctl network acl rule add web ingress,allow,tcp 0.0.0.0/0 10.0.0.0/8 80,443")]
    Add {
        #[command(flatten)]
        acl: AclName,
        /// `ingress` or `egress`; or DIRECTION,ACTION,PROTOCOL with SOURCE, DESTINATION and PORTS behind it
        direction: String,
        /// action, state, description, protocol, source, destination, source_port, destination_port, icmp_type, icmp_code
        #[arg(required = true, value_name = "KEY=VALUE")]
        keys: Vec<String>,
        /// One line about the rule
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Remove a rule
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  lxctl network acl rule remove web ingress destination_port=80,443\n  \
        lxctl network acl rule remove web ingress --force    all of them"
    )]
    Remove {
        #[command(flatten)]
        acl: AclName,
        /// `ingress` or `egress`
        direction: String,
        /// Keys that the rule has; none: any rule
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<String>,
        /// Remove all rules that have them, if there is more than one
        #[arg(short, long)]
        force: bool,
    },
}

// One ACL.
#[derive(Debug, Clone, Args)]
pub(crate) struct AclName {
    /// ACL
    #[arg(value_name = "ACL", add = ArgValueCandidates::new(complete::acls))]
    pub(crate) name: String,
}
