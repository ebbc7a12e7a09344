//! The proxy of the trash.

use crate::wire::{Options, TrashRow};
use zbus::proxy;
use zbus::wire::OwnedObjectPath;

/// What was deleted on pools with `trash.expiry`, beside the Manager.
#[proxy(interface = "org.lxhost1.Trash", default_service = "org.lxhost1", default_path = "/org/lxhost1")]
pub trait Trash {
    /// Page of it, what was deleted first comes first. Filter: `pool` s, `project` s.
    fn list(&self, filter: &Options<'_>, cursor: &str, limit: u32) -> zbus::Result<(Vec<TrashRow>, String)>;
    /// Brings one back, at rest, with what it had; `name` empty: under the name it had, of a snapshot its own.
    #[zbus(allow_interactive_auth)]
    fn restore(&self, id: &str, name: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Removes one for good, with its data.
    #[zbus(allow_interactive_auth)]
    fn delete(&self, id: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
}
