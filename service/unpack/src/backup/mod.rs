//! Backups of instances and custom volumes, in LXD's format: a tar archive with `backup/index.yaml`, the trees of the
//! instance or volume and of its snapshots, and their definitions. Packing reads trees that guests filled, the others read archives that
//! nobody has vouched for. Called by main.

pub(crate) mod ids;
pub(crate) mod index;
pub(crate) mod pack;
pub(crate) mod restore;
mod tree;
pub(crate) mod verify;
pub(crate) mod volume;
mod write;

/// What every name in a backup begins with.
pub(crate) const TOP: &str = "backup";
/// The one entry that says what is in it.
pub(crate) const INDEX: &str = "backup/index.yaml";
/// Data of a storage driver's own, which no other can read.
pub(crate) const OPTIMIZED: [&str; 4] =
    ["backup/container.bin", "backup/virtual-machine.img", "backup/volume.bin", "backup/volume.img"];

#[cfg(test)]
mod tests;
