//! What a Debian tree is made of. A recipe is plain data; its tree is built by mmdebstrap from the
//! machine's mirror, once for each content of the recipe, and kept in the cache. Depends on `cache`,
//! `relay` and mmdebstrap. Called by the suites' hosts and by test images.

mod build;
mod full;
mod qemu;
mod trees;
mod zfs;

use std::path::PathBuf;

use anyhow::Result;

pub(crate) use full::AGENT;
pub use qemu::Qemu;
pub(crate) use zfs::MODULES as ZFS_MODULES;
pub use zfs::Zfs;

use crate::cache::{self, Cache};

/// Where a host finds its mirror: an address of its own that forwards to the relay. The archive of
/// security updates is beside it.
pub const MIRROR: &str = "http://192.0.2.1/debian";

/// What the largest tree takes while it is built.
const ROOM: u64 = 3 << 29;

/// The recipe of a Debian root tree.
#[derive(Debug, Clone)]
pub struct Recipe {
    name: &'static str,
    suite: &'static str,
    packages: Vec<&'static str>,
    /// Path, mode and content of files that are put into the finished tree.
    files: Vec<(&'static str, u32, String)>,
    /// Commands run inside the finished tree.
    commands: Vec<Vec<&'static str>>,
    /// Paths deleted at the end.
    without: Vec<&'static str>,
}

impl Recipe {
    /// A minimal tree of `suite` with `packages` (and what they depend on) beside the essential ones.
    #[must_use]
    pub fn new(name: &'static str, suite: &'static str, packages: &[&'static str]) -> Self {
        Self {
            name,
            suite,
            packages: packages.to_vec(),
            // Empty, not missing: an id is made at boot, and the boot is not a first one with presets.
            files: vec![("etc/machine-id", 0o444, String::new()), ("etc/hostname", 0o644, format!("{name}\n"))],
            commands: Vec::new(),
            without: vec!["var/lib/dbus/machine-id"],
        }
    }

    /// Adds a file, below directories that are made when missing.
    #[must_use]
    pub fn file(mut self, path: &'static str, mode: u32, content: impl Into<String>) -> Self {
        self.files.push((path, mode, content.into()));
        self
    }

    /// Runs a command inside the tree when all packages and files are there.
    #[must_use]
    pub fn command(mut self, argv: &[&'static str]) -> Self {
        self.commands.push(argv.to_vec());
        self
    }

    /// Adds packages.
    #[must_use]
    pub fn with(mut self, name: &'static str, packages: &[&'static str]) -> Self {
        self.name = name;
        self.packages.extend_from_slice(packages);
        self
    }

    /// The name that keys and messages carry.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The key of the tree: another content, another key.
    #[must_use]
    pub fn key(&self) -> String {
        cache::key(self.name, format!("{self:?}").as_bytes())
    }

    /// The built tree, read-only by agreement. Takes a minute the first time, nothing afterwards.
    ///
    /// # Errors
    /// When mmdebstrap or a command of the recipe fails.
    pub fn tree(&self, cache: &Cache) -> Result<PathBuf> {
        cache.entry("trees", &self.key(), |path| {
            cache::room(&cache.directory("trees")?, ROOM, "a tree")?;
            eprintln!("building the tree {} ({} packages and what they need)", self.name, self.packages.len());
            build::build(self, cache, path)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_recipe_is_in_its_key() {
        let plain = Recipe::new("t", "trixie", &["systemd"]);
        let others = [
            Recipe::new("t", "forky", &["systemd"]),
            Recipe::new("t", "trixie", &["systemd", "dbus"]),
            plain.clone().file("etc/x", 0o644, "x"),
            plain.clone().file("etc/x", 0o600, "x"),
            plain.clone().command(&["true"]),
        ];
        for other in &others {
            assert_ne!(plain.key(), other.key(), "{other:?}");
        }
    }
}
