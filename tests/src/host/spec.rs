//! What host is wanted: plain data, passed to the keeper as JSON. Depends on `recipe` for the trees.
//! Called by suites.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::recipe::Recipe;

/// A host to boot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostSpec {
    /// What carries it.
    pub kind: Kind,
    /// The tree at the bottom, never written.
    pub tree: PathBuf,
    /// More layers over it, lowest first.
    pub layers: Vec<PathBuf>,
    /// Where changes to the root go.
    pub upper: Upper,
    /// What the state directory lies on.
    pub state: State,
    /// Where the host has its state directory.
    pub state_at: String,
    /// A directory of the machine that the host sees read-only at `/srv/lab`.
    pub visible: Option<PathBuf>,
    /// The host's own name.
    pub name: String,
    /// The process whose network it is joined to, if any.
    pub network: Option<u32>,
    /// Whether a crash of a full host takes away what it has not flushed to its disk, as a power cut does;
    /// else a crash is one of its kernel alone. Flushes take longer then.
    pub durable: bool,
}

/// What carries a host, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// systemd-nspawn on the machine's kernel.
    Native,
    /// QEMU, with a kernel of its own.
    Full,
}

impl Kind {
    /// All of them, cheapest first.
    pub const ALL: [Self; 2] = [Self::Native, Self::Full];

    /// The word for it in commands and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Full => "full",
        }
    }

    /// How many times longer than on the machine itself things may take in it.
    #[must_use]
    pub fn slowness(self) -> u32 {
        match self {
            Self::Native => 1,
            Self::Full => 5,
        }
    }
}

/// Where changes to the root go. Both are kept over reboots and gone with the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Upper {
    /// Memory: fast, and no disk of the machine is touched.
    Memory,
    /// A directory, so that the changes can be kept as a layer.
    Directory(PathBuf),
}

/// The filesystem of the state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// A directory of the machine's own disk; an ext4 image when that disk is none for overlays.
    Plain,
    /// An ext4 image of 8 GiB, sparse.
    Ext4,
    /// A btrfs image of 8 GiB, sparse.
    Btrfs,
    /// An XFS image of 8 GiB, sparse.
    Xfs,
}

impl HostSpec {
    /// A Debian 13 host of a kind, with everything at its default.
    ///
    /// # Errors
    /// When its tree cannot be built.
    pub fn of(cache: &Cache, kind: Kind) -> Result<Self> {
        match kind {
            Kind::Native => Ok(Self::over(&Recipe::host().tree(cache)?)),
            Kind::Full => super::zfs::with_zfs(cache, Self { kind, ..Self::over(&Recipe::full_host().tree(cache)?) }),
        }
    }

    /// A native host over `tree` with everything at its default.
    #[must_use]
    pub fn over(tree: &Path) -> Self {
        Self {
            kind: Kind::Native,
            tree: tree.to_owned(),
            layers: Vec::new(),
            upper: Upper::Memory,
            state: State::Plain,
            state_at: "/var/lib/lxhost".to_owned(),
            visible: None,
            name: "lab".to_owned(),
            network: None,
            durable: false,
        }
    }
}
