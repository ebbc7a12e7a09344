//! Arguments of `publish`.

use super::HowCompressed;
use crate::complete;
use crate::pairs::Pair;
use clap::Args;
use clap_complete::ArgValueCandidates;
use std::path::PathBuf;

// `publish`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The image says about itself what that of the instance said, and what is added here. An instance that runs goes on; it
stands still for as long as its file system needs. Host keys and logs in it become part of the image: clean up first.

Examples:
  lxctl publish c1 --alias web-template
  lxctl publish c1/before-upgrade --alias web-template       a snapshot
  lxctl publish c1 --alias web-template --reuse              in place of the one there is
  lxctl publish c1 --alias web-template --metadata web.yaml description='nginx and PHP'")]
pub(crate) struct Publish {
    /// Instance, or snapshot as INSTANCE/SNAPSHOT
    #[arg(value_name = "SOURCE", add = ArgValueCandidates::new(complete::instances))]
    pub(crate) source: String,
    /// Properties of the image
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) words: Vec<String>,
    /// Alias to give it
    #[arg(long = "alias", value_name = "ALIAS")]
    pub(crate) aliases: Vec<String>,
    /// Take the aliases from the image that has them, and delete it if none is left
    #[arg(long)]
    pub(crate) reuse: bool,
    /// Properties from a YAML file: those of a metadata.yaml, or a plain list of them
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata: Option<PathBuf>,
    /// How to compress its file
    #[arg(long, value_name = "HOW", value_enum, default_value = "zstd")]
    pub(crate) compression: HowCompressed,
    // LXD has to stop what runs; here it goes on.
    #[arg(short, long, hide = true)]
    pub(crate) force: bool,
}

impl Publish {
    /// Properties on the command line. LXD takes a remote before them; there is this host alone.
    pub(crate) fn pairs(&self) -> Result<Vec<Pair>, crate::failure::Failure> {
        let words = match self.words.split_first() {
            Some((first, rest)) if first.ends_with(':') && !first.contains('=') => {
                crate::reference::local(first)?;
                rest
            }
            _ => &self.words[..],
        };
        let pair = |word: &String| word.parse().map_err(|why| crate::failure::Failure::usage(format!("{word}: {why}")));
        words.iter().map(pair).collect()
    }
}
