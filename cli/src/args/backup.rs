//! Arguments of `export`, `import` and `backup`.

use super::FormatArg;
use crate::complete;
use crate::pairs::Pair;
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;
use std::path::PathBuf;

// `export`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A backup is a tar archive in LXD's format, which LXD and Incus import, too. It holds the instance, its configuration and
its snapshots. One that runs stands still for as long as its file system needs, and what it held then is written.

Examples:
  lxctl export c1                            to c1.tar.zst
  lxctl export c1 /backup/c1-monday.tar.gz   compressed as the name says
  lxctl export c1 --instance-only            without its snapshots
  lxctl export c1 - | ssh elsewhere 'cat > c1.tar'")]
pub(crate) struct Export {
    /// Instance
    #[arg(value_name = "INSTANCE", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) name: String,
    /// File or directory; - for standard output; left out: INSTANCE.tar.zst
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<PathBuf>,
    /// How to compress it; left out: as the name of the file says, zstd for other names, not at all for -
    #[arg(long, value_name = "HOW", value_enum)]
    pub(crate) compression: Option<HowCompressed>,
    /// Leave its snapshots out
    #[arg(long, alias = "container-only")]
    pub(crate) instance_only: bool,
    /// Accepted as LXD does: pools here have no format of their own
    #[arg(long, hide = true)]
    pub(crate) optimized_storage: bool,
}

/// Compressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HowCompressed {
    /// Zstandard
    Zstd,
    /// gzip
    Gzip,
    /// xz: small and slow
    Xz,
    /// Not at all
    None,
}

impl HowCompressed {
    /// What the daemon calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            HowCompressed::Zstd => "zstd",
            HowCompressed::Gzip => "gzip",
            HowCompressed::Xz => "xz",
            HowCompressed::None => "none",
        }
    }
}

// `import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Takes backups of lxctl, of LXD and of Incus. The instance gets ids of its own; beside the one it was made from it gets
addresses of its own, too. Configuration that means nothing here is left out, and said.

Examples:
  lxctl import c1.tar.zst
  lxctl import c1.tar.gz c2              beside c1
  lxctl import c1.tar.gz -s fast -c limits.memory=1GiB
  ssh elsewhere lxctl export c1 - | lxctl import -")]
pub(crate) struct Import {
    /// Backup, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Name to give it; left out, the one it had
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The same, as tools for images have it
    #[arg(long, value_name = "NAME", hide = true, conflicts_with = "name")]
    pub(crate) alias: Option<String>,
    /// Pool to put it on
    #[arg(short, long = "storage", value_name = "POOL", add = ArgValueCandidates::new(complete::pools))]
    pub(crate) storage: Option<String>,
    /// Profile to use instead of those it had, in this order
    #[arg(short, long = "profile", value_name = "PROFILE", add = ArgValueCandidates::new(complete::profiles))]
    pub(crate) profiles: Vec<String>,
    /// Use no profile
    #[arg(long, conflicts_with = "profiles")]
    pub(crate) no_profiles: bool,
    /// Configuration key over what it had
    #[arg(short, long = "config", value_name = "KEY=VALUE")]
    pub(crate) config: Vec<Pair>,
}

// `backup`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Backup {
    /// Read a backup to its end and say what is in it
    #[command(after_help = "\
Needs neither the daemon nor rights: it shows whether the file is whole and would be imported.

Examples:
  lxctl backup verify c1.tar.zst
  lxctl backup verify c1.tar.zst --format json")]
    Verify {
        /// Backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        format: FormatArg,
    },
}
