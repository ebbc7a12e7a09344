//! Arguments of `operation`.

use super::{DocumentArg, FormatArg};
use crate::complete;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

// `operation`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Operation {
    /// List what is under way or ended within the last minute
    #[command(visible_alias = "ls", after_help = "Examples:\n  lxctl operation list")]
    List {
        #[command(flatten)]
        format: FormatArg,
    },
    /// Show an operation as YAML
    #[command(after_help = "Examples:\n  lxctl operation show 12")]
    Show {
        #[command(flatten)]
        operation: OperationId,
        #[command(flatten)]
        format: DocumentArg,
    },
    /// Cancel an operation
    #[command(visible_alias = "cancel", after_help = "Examples:\n  lxctl operation delete 12")]
    Delete(OperationId),
}

// One operation.
#[derive(Debug, Clone, Args)]
pub(crate) struct OperationId {
    /// Number
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::operations))]
    pub(crate) id: u32,
}
