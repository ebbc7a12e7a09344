//! What host is wanted: plain data, passed to the keeper as JSON. Called by suites.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A host to boot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostSpec {
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
}

impl HostSpec {
    /// A host over `tree` with everything at its default.
    #[must_use]
    pub fn over(tree: &Path) -> Self {
        Self {
            tree: tree.to_owned(),
            layers: Vec::new(),
            upper: Upper::Memory,
            state: State::Plain,
            state_at: "/var/lib/lxhost".to_owned(),
            visible: None,
            name: "lab".to_owned(),
        }
    }
}
