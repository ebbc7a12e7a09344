//! Links, addresses and routes of this host by rtnetlink: bridges with their addresses, and veth
//! pairs born inside another namespace. Asynchronous, idempotent where it says so, usable without
//! the rest of lxhost. Depends on `rtnetlink` (whose types stay inside) and tokio; called by
//! `drivers/network` and `host`. VLAN, macvlan and vxlan get a file each beside `bridge` and `veth`.

mod address;
mod bridge;
mod error;
mod handle;
mod link;
mod name;
mod route;
mod veth;

pub use address::Address;
pub use bridge::Bridge;
pub use error::{Error, Result};
pub use handle::Handle;
pub use link::Link;
pub use name::{LinkName, Mac};
pub use route::Route;
pub use veth::Veth;

/// Whether a call that may find its work done already had something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Done {
    /// Something was changed.
    Changed,
    /// Everything was as wanted.
    Already,
}

impl Done {
    /// `Changed` if either is.
    pub fn or(self, other: Done) -> Done {
        match (self, other) {
            (Done::Already, Done::Already) => Done::Already,
            _ => Done::Changed,
        }
    }
}
