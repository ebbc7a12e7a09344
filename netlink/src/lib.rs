//! Links, addresses, routes, rules and neighbours of this host by rtnetlink: a file for each kind, one that says what
//! changes, and two about the packet filter: what changes there, and which tables there are. Asynchronous; what is called `ensure_` may find its work done.
//! Usable without the rest of lxhost. Depends on `rtnetlink` (whose types stay inside) and tokio; called by
//! `drivers/network` and `host`.

mod address;
mod born;
mod bridge;
mod dummy;
mod elsewhere;
mod error;
mod filter;
mod handle;
mod link;
mod macvlan;
mod name;
mod neighbour;
mod port;
mod route;
mod rule;
mod tables;
mod veth;
mod vlan;
mod vxlan;
mod wanted;
mod watch;

pub use address::Address;
pub use bridge::Bridge;
pub use dummy::Dummy;
pub use error::{Error, Result};
pub use filter::{FilterChange, FilterPart, FilterWatch};
pub use handle::Handle;
pub use link::{Counters, Link};
pub use macvlan::{Shared, Sharing};
pub use name::{LinkName, Mac};
pub use neighbour::Neighbour;
pub use port::PortVlans;
pub use route::{Route, StaticRoute};
pub use rule::Rule;
pub use tables::{FilterTable, filter_tables};
pub use veth::Veth;
pub use vlan::{Tag, Vlan, VlanId};
pub use vxlan::{MAX_SEGMENT, Vxlan};
pub use watch::{Change, Watch};

/// Whether a call that may find its work done already had something to do.
///
/// ```
/// use lxhost_netlink::Done;
/// assert_eq!(Done::Already.or(Done::Changed), Done::Changed);
/// assert_eq!(Done::Already.or(Done::Already), Done::Already);
/// ```
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
