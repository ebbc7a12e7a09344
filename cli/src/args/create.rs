//! Arguments of `launch`, `create` and `init`.

use crate::args::WaitFor;
use crate::complete;
use crate::pairs::Pair;
use clap::Args;
use clap_complete::ArgValueCandidates;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lxctl launch debian:13 c1                                a container from the distribution's own packages
  lxctl launch debian:13                                   the same; a name is generated and printed
  lxctl launch debian:13 web -c limits.memory=1GiB -p default -p web
  lxctl launch debian:13 db -d root,size=20GiB -s fast     a device of the profile with one key changed
  lxctl create --empty c2 -e                               no image; deleted when it stops
  lxctl launch debian:13 c4 --wait                         back when its boot is over
  lxctl launch debian:13 c3 < c3.yaml                      config, devices and profiles from a file";

// A new instance.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct NewInstance {
    /// Image: an alias, a fingerprint, or REMOTE:ALIAS such as debian:13
    #[arg(value_name = "IMAGE", required_unless_present = "empty", add = ArgValueCandidates::new(complete::images))]
    pub(crate) image: Option<String>,
    /// Name; left out, one is generated
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

// What a new instance is like.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Shape {
    /// Profile to use, in this order; left out: default
    #[arg(short, long = "profile", value_name = "PROFILE", add = ArgValueCandidates::new(complete::profiles))]
    pub(crate) profiles: Vec<String>,
    /// Use no profile
    #[arg(long, conflicts_with = "profiles")]
    pub(crate) no_profiles: bool,
    /// Configuration key
    #[arg(short, long = "config", value_name = "KEY=VALUE")]
    pub(crate) config: Vec<Pair>,
    /// Device keys: NAME,KEY=VALUE…; a device of a profile keeps the keys that are not named
    #[arg(short, long = "device", value_name = "NAME,KEY=VALUE")]
    pub(crate) devices: Vec<String>,
    /// File of KEY=VALUE lines that become the environment of its commands
    #[arg(long, value_name = "FILE")]
    pub(crate) environment_file: Option<PathBuf>,
    /// One line about it
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Delete it when it stops
    #[arg(short, long)]
    pub(crate) ephemeral: bool,
    /// When launched, wait until it is ready, or for what is said
    #[arg(long, value_name = "STATE", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "ready")]
    pub(crate) wait: Option<WaitFor>,
    /// Pool to put it on
    #[arg(short, long = "storage", value_name = "POOL", add = ArgValueCandidates::new(complete::pools))]
    pub(crate) storage: Option<String>,
    /// Network to attach it to
    #[arg(short, long, value_name = "NETWORK", add = ArgValueCandidates::new(complete::networks))]
    pub(crate) network: Option<String>,
    /// No image: an empty root
    #[arg(long)]
    pub(crate) empty: bool,
    /// A virtual machine instead of a container
    #[arg(long)]
    pub(crate) vm: bool,
    /// Attach to its console at once
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "console", value_parser = ["console"])]
    pub(crate) console: Option<String>,
}

const INIT_EXAMPLES: &str = "\
Nothing has to be initialised: the first launch makes a pool and a network from what this host has.
With an image, `lxctl init IMAGE [NAME]` is `lxctl create`.

Examples:
  lxctl init                         questions and answers
  lxctl init --auto                  what suits this host, without questions
  lxctl init --minimal               a pool and the default profile, no network
  lxctl init --dump                  what there is, as a preseed
  lxctl init --preseed < host.yaml   make what the file says";

// First choices, or `create` under LXD's old name.
#[derive(Debug, Clone, Args)]
#[command(after_help = INIT_EXAMPLES)]
pub(crate) struct Init {
    /// Image: makes this `lxctl create`
    #[arg(value_name = "IMAGE", add = ArgValueCandidates::new(complete::images))]
    pub(crate) image: Option<String>,
    /// Name of the instance
    #[arg(value_name = "NAME", requires = "image")]
    pub(crate) name: Option<String>,
    /// Ask nothing: what suits this host
    #[arg(long, group = "way", conflicts_with = "image")]
    pub(crate) auto: bool,
    /// Ask nothing: a pool and a profile, no network
    #[arg(long, group = "way", conflicts_with = "image")]
    pub(crate) minimal: bool,
    /// Read YAML from standard input and make what it says
    #[arg(long, group = "way", conflicts_with = "image")]
    pub(crate) preseed: bool,
    /// Print what there is as YAML for --preseed
    #[arg(long, group = "way", conflicts_with = "image")]
    pub(crate) dump: bool,
    /// With --auto: driver of the pool
    #[arg(long, value_name = "DRIVER", requires = "auto")]
    pub(crate) storage_backend: Option<String>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}
