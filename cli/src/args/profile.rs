//! Arguments of `profile`.

use super::{Device, DocumentArg, FormatArg};
use crate::complete;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

// `profile`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Profile {
    /// List profiles
    #[command(visible_alias = "ls", after_help = "Examples:\n  lxctl profile list --format yaml")]
    List {
        #[command(flatten)]
        format: FormatArg,
    },
    /// Show a profile as YAML
    #[command(after_help = "Examples:\n  lxctl profile show default")]
    Show {
        #[command(flatten)]
        profile: ProfileName,
        #[command(flatten)]
        format: DocumentArg,
    },
    /// Make a profile, empty or from a YAML file on standard input
    #[command(after_help = "Examples:\n  lxctl profile create web\n  lxctl profile create web < web.yaml")]
    Create {
        /// Name
        name: String,
        /// One line about it
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Delete a profile that no instance uses
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl profile delete web")]
    Delete(ProfileName),
    /// Print one key
    #[command(after_help = "Examples:\n  lxctl profile get default limits.memory")]
    Get {
        /// Profile
        #[arg(add = ArgValueCandidates::new(complete::profiles))]
        name: String,
        /// Key
        key: String,
    },
    /// Set keys
    #[command(after_help = "Examples:\n  lxctl profile set web limits.memory=1GiB\n  lxctl profile set web limits.memory 1GiB")]
    Set {
        /// Profile
        #[arg(add = ArgValueCandidates::new(complete::profiles))]
        name: String,
        /// KEY=VALUE…, or KEY VALUE
        #[arg(required = true, value_name = "KEY=VALUE")]
        keys: Vec<String>,
    },
    /// Unset keys
    #[command(after_help = "Examples:\n  lxctl profile unset web limits.memory")]
    Unset {
        /// Profile
        #[arg(add = ArgValueCandidates::new(complete::profiles))]
        name: String,
        /// Keys
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Change a profile in an editor, or from standard input
    #[command(after_help = "Examples:\n  lxctl profile edit web\n  lxctl profile edit web < web.yaml")]
    Edit(ProfileName),
    /// Copy a profile
    #[command(after_help = "Examples:\n  lxctl profile copy default web")]
    Copy {
        /// Profile
        #[arg(add = ArgValueCandidates::new(complete::profiles))]
        source: String,
        /// Name of the copy
        target: String,
    },
    /// Say which profiles an instance uses
    #[command(
        visible_alias = "apply",
        after_help = "Examples:\n  lxctl profile assign c1 default,web\n  lxctl profile assign c1 ''     none"
    )]
    Assign {
        /// Instance
        #[arg(add = ArgValueCandidates::new(complete::instances))]
        instance: String,
        /// Profiles, separated by commas, in order
        profiles: String,
    },
    /// Add a profile to an instance
    #[command(after_help = "Examples:\n  lxctl profile add c1 web")]
    Add(ProfileOf),
    /// Remove a profile from an instance
    #[command(after_help = "Examples:\n  lxctl profile remove c1 web")]
    Remove(ProfileOf),
    /// Manage devices
    #[command(subcommand)]
    Device(Device),
}

// One profile.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProfileName {
    /// Profile
    #[arg(add = ArgValueCandidates::new(complete::profiles))]
    pub(crate) name: String,
}

// A profile of an instance.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProfileOf {
    /// Instance
    #[arg(add = ArgValueCandidates::new(complete::instances))]
    pub(crate) instance: String,
    /// Profile
    #[arg(add = ArgValueCandidates::new(complete::profiles))]
    pub(crate) profile: String,
}
