//! Arguments of `list` and `info`, and the format option that all printing verbs share.

use crate::complete;
use crate::render::Format;
use clap::Args;
use clap_complete::ArgValueCandidates;

// How to print.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct FormatArg {
    /// table, compact, csv, json or yaml; `,noheader` or `,header` after it
    #[arg(short, long, value_name = "FORMAT", default_value = "table", add = ArgValueCandidates::new(complete::formats))]
    pub(crate) format: Format,
}

// How to print what has no rows.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DocumentArg {
    /// As what
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "yaml")]
    pub(crate) format: Document,
}

/// Forms of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Document {
    /// YAML
    Yaml,
    /// JSON
    Json,
}

const EXAMPLES: &str = "\
Filters: the start of a name, a name with * or ?, or KEY=VALUE where KEY is status, type, name, architecture,
profile, pool, ipv4, ipv6 or a configuration key.

Columns (-c): 4 IPv4, 6 IPv6, a architecture, b pool, c created, d description, e project,
f image (short), F image, l last used, L location, m memory, M memory in percent, n name, N processes, p PID of its init,
P profiles, s state, S snapshots, t type, u CPU seconds, U started, and configuration keys as KEY[:TITLE].

Examples:
  lxctl list                          all instances
  lxctl list web                      those whose name starts with web
  lxctl list status=running -c ns4mu  what running ones use
  lxctl list -c n,user.team:TEAM      a configuration key
  lxctl list -c n --format csv        names for scripts
  lxctl list --format json";

// `list`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct List {
    /// What to list
    #[arg(value_name = "FILTER", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) filters: Vec<String>,
    /// Columns
    #[arg(short, long, value_name = "COLUMNS")]
    pub(crate) columns: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArg,
    /// Of all projects
    #[arg(long)]
    pub(crate) all_projects: bool,
    /// LXD's -c nsacPt
    #[arg(long, conflicts_with = "columns")]
    pub(crate) fast: bool,
}

// `info`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  lxctl info c1          an instance\n  lxctl info c1/snap0    a snapshot\n  lxctl info             this host and its daemon\n  lxctl info c1 --format json"
)]
pub(crate) struct Info {
    /// Instance, or snapshot as INSTANCE/SNAPSHOT; left out: this host
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) name: Option<String>,
    /// The console's log after it
    #[arg(long, requires = "name")]
    pub(crate) show_log: bool,
    /// Processors, memory, disks and cards of this host
    #[arg(long, conflicts_with = "name")]
    pub(crate) resources: bool,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}
