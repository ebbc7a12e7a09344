//! Arguments of the verbs that look into an instance: exec, shell, console.

use crate::complete;
use crate::pairs::Pair;
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;

/// LXD's `--mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// A terminal when standard input and output are one
    #[default]
    Auto,
    /// A terminal
    Interactive,
    /// No terminal
    NonInteractive,
}

const EXEC_EXAMPLES: &str = "\
The command's exit status becomes that of lxctl; 128 + N when signal N ended it.

Examples:
  lxctl exec c1 -- apt update
  lxctl exec c1 --user www-data --cwd /srv --env LANG=C.UTF-8 -- id
  tar c . | lxctl exec c1 -- tar x -C /root      data goes straight through, 8-bit clean
  lxctl exec c1 -t -- htop                       insist on a terminal";

// `exec`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXEC_EXAMPLES)]
pub(crate) struct Exec {
    /// Instance
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) name: String,
    /// Command and its arguments, after --
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<String>,
    /// Environment variable
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) environment: Vec<Pair>,
    /// Directory to run in
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) cwd: Option<String>,
    /// User, by name or number
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Group, by name or number
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// A terminal, whatever standard input and output are
    #[arg(short = 't', long, conflicts_with_all = ["force_noninteractive", "mode"])]
    pub(crate) force_interactive: bool,
    /// No terminal
    #[arg(short = 'T', long, conflicts_with = "mode")]
    pub(crate) force_noninteractive: bool,
    /// Terminal or not
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) mode: Mode,
    /// Standard input is /dev/null
    #[arg(short = 'n', long)]
    pub(crate) disable_stdin: bool,
}

// `shell`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  lxctl shell c1               root's login shell\n  lxctl shell c1 --user anna   somebody else's"
)]
pub(crate) struct Shell {
    /// Instance
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) name: String,
    /// User; left out: root
    #[arg(short, long, value_name = "USER", default_value = "", hide_default_value = true)]
    pub(crate) user: String,
    /// Environment variable
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) environment: Vec<Pair>,
    /// Directory to start in
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) cwd: Option<String>,
}

// `console`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Ctrl-a q leaves the console; Ctrl-a Ctrl-a (or Ctrl-a a) sends one Ctrl-a.

Examples:
  lxctl console c1
  lxctl console c1 --show-log     what it printed so far")]
pub(crate) struct Console {
    /// Instance
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) name: String,
    /// Print what the console printed so far, and end
    #[arg(long)]
    pub(crate) show_log: bool,
    /// Kind of console
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "console", value_parser = ["console"])]
    pub(crate) kind: String,
}
