//! The command line as it is parsed: one file per noun, LXD's grammar and flags.
//!
//! Only shapes and help texts; what a verb does is in `commands/`. Used by `main`, by the
//! completion and by the generator of man pages.

mod acl;
mod backup;
mod config;
mod copy;
mod create;
mod device;
mod forward;
mod host;
mod image;
mod inside;
mod list;
mod load_balancer;
mod network;
mod operation;
mod power;
mod profile;
mod publish;
mod recover;
mod snapshot;
mod storage;
#[cfg(test)]
mod tests;
mod trash;
mod unknown;
mod volume;
mod volume_file;
mod volume_snapshot;

pub(crate) use acl::*;
pub(crate) use backup::*;
pub(crate) use config::*;
pub(crate) use copy::*;
pub(crate) use create::*;
pub(crate) use device::*;
pub(crate) use forward::*;
pub(crate) use host::*;
pub(crate) use image::*;
pub(crate) use inside::*;
pub(crate) use list::*;
pub(crate) use load_balancer::*;
pub(crate) use network::*;
pub(crate) use operation::*;
pub(crate) use power::*;
pub(crate) use profile::*;
pub(crate) use publish::*;
pub(crate) use recover::*;
pub(crate) use snapshot::*;
pub(crate) use storage::*;
pub(crate) use trash::*;
pub(crate) use unknown::explain;
pub(crate) use volume::*;
pub(crate) use volume_file::*;
pub(crate) use volume_snapshot::*;

use clap::{Args, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  lxctl launch debian:13 c1        make and start a container
  lxctl shell c1                   a login shell in it
  lxctl exec c1 -- apt update      one command in it
  lxctl list                       what there is
  lxctl delete --force c1          stop it and throw it away

Exit status: 0 done, 1 failed, 2 wrong usage, 3 no such object, 4 exists already, 5 wrong state
or busy, 6 not allowed, 7 no space, 8 not supported, 9 guest does not answer, 10 untrusted data,
11 time ran out, 12 cancelled, 13 too much at once. `exec` and `shell` end with the status of the
command; 126 and 127 mean that it cannot be run or is not there.";

/// Manages system containers of this host.
#[derive(Debug, Parser)]
#[command(name = "lxctl", version, about, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

// Options that every verb knows.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Project to work in
    #[arg(
        long,
        global = true,
        value_name = "PROJECT",
        default_value = "default",
        env = "LXHOST_PROJECT",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) project: String,
    /// Work on another host by ssh; files are its files
    #[arg(short = 'H', long, global = true, value_name = "HOST", help_heading = "Global options")]
    pub(crate) host: Option<crate::remote::Target>,
    /// Says that `--host` means this host.
    #[arg(long, global = true, hide = true)]
    pub(crate) far_end: bool,
    /// Print only names, ids and errors
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Never ask for a password on the terminal
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) no_ask_password: bool,
}

// The verbs. Only the one that is called is built: all of them would take a millisecond.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Make an instance from an image and start it
    Launch(NewInstance),
    /// Make an instance from an image without starting it
    Create(NewInstance),
    /// Choose pool and network before the first launch; with an image: the same as create
    Init(Init),
    /// Start instances
    Start(Start),
    /// Stop instances
    Stop(Stop),
    /// Stop and start instances
    Restart(Stop),
    /// Freeze the processes of instances
    #[command(visible_alias = "freeze")]
    Pause(Many),
    /// Let frozen instances go on
    #[command(visible_aliases = ["thaw", "unpause"])]
    Resume(Many),
    /// Delete instances and their data, or snapshots
    #[command(visible_alias = "rm")]
    Delete(Delete),
    /// Bring back what was deleted last, on a pool with a trash
    Undo(Undo),
    /// See, bring back and remove what was deleted
    #[command(subcommand)]
    Trash(Trash),
    /// Copy an instance, or a snapshot
    #[command(visible_alias = "cp")]
    Copy(Copy),
    /// Rename a stopped instance, or a snapshot
    Rename(Rename),
    /// Move an instance to another pool, or to another name
    #[command(visible_alias = "mv")]
    Move(Move),
    /// List instances
    #[command(visible_alias = "ls")]
    List(List),
    /// Show an instance, or this host
    Info(Info),
    /// Take, list, restore and delete snapshots of instances
    Snapshot(Snapshot),
    /// Make an instance what it was when a snapshot was taken
    Restore(Restore),
    /// Write an instance and its snapshots to a backup
    Export(Export),
    /// Make an instance from a backup
    Import(Import),
    /// Make an image of an instance or a snapshot
    Publish(Publish),
    /// Take in what lies on the disks and is not known
    Recover(Recover),
    /// Check backups
    #[command(subcommand)]
    Backup(Backup),
    /// Run a command in an instance
    Exec(Exec),
    /// Open a login shell in an instance
    Shell(Shell),
    /// Attach to the console of an instance
    Console(Console),
    /// Wait until an instance is in a state
    Wait(Wait),
    /// Import, list, export and delete images
    #[command(subcommand)]
    Image(Image),
    /// Read and change the configuration of instances
    #[command(subcommand)]
    Config(Config),
    /// Manage profiles
    #[command(subcommand)]
    Profile(Profile),
    /// Manage networks
    #[command(subcommand)]
    Network(Network),
    /// Manage storage pools
    #[command(subcommand)]
    Storage(Storage),
    /// See and cancel what is under way
    #[command(subcommand)]
    Operation(Operation),
    /// Follow what happens
    Monitor(Monitor),
    /// Check this host
    Doctor(Doctor),
    /// Print the versions of lxctl and of the daemon
    Version(Version),
    /// Write man pages and completion scripts
    #[command(subcommand, hide = true)]
    Generate(Generate),
}
