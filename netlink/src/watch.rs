//! What changes, as the kernel says it: links, addresses, routes.

use crate::link::Link;
use crate::{Address, Error, Result, Route};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use tokio::task::JoinHandle;

/// A change in this network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A link is new or not what it was.
    Link(Link),
    /// A link is gone.
    LinkGone(Link),
    /// A link has an address.
    Address(Address),
    /// It has it no more.
    AddressGone(Address),
    /// There is a route.
    Route(Route),
    /// There is a route no more.
    RouteGone(Route),
}

const GROUPS: [MulticastGroup; 5] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// A listener. What happens from its opening on is heard; what was before is asked for by [`crate::Handle`].
pub struct Watch {
    messages: BoxStream<'static, RouteNetlinkMessage>,
    pump: JoinHandle<()>,
}

impl Watch {
    /// Begins to listen; a task of the current tokio runtime reads.
    ///
    /// ```no_run
    /// # async fn example() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::{Change, Watch};
    /// let mut watch = Watch::open()?;
    /// while let Some(change) = watch.next().await {
    ///     if let Change::LinkGone(link) = change {
    ///         println!("{} is gone", link.name);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Open`.
    pub fn open() -> Result<Self> {
        let (connection, _, messages) = rtnetlink::new_multicast_connection(&GROUPS).map_err(Error::Open)?;
        let inner = messages.filter_map(async |(message, _)| match message.payload {
            NetlinkPayload::InnerMessage(inner) => Some(inner),
            _ => None,
        });
        Ok(Watch { messages: inner.boxed(), pump: tokio::spawn(connection) })
    }

    /// The next change. `None` when the kernel has dropped some because nobody read them in time: whoever wants to
    /// go on opens another and looks at everything.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            let change = match self.messages.next().await? {
                RouteNetlinkMessage::NewLink(message) => Some(Change::Link(Link::read(message))),
                RouteNetlinkMessage::DelLink(message) => Some(Change::LinkGone(Link::read(message))),
                RouteNetlinkMessage::NewAddress(message) => Address::read(&message).map(Change::Address),
                RouteNetlinkMessage::DelAddress(message) => Address::read(&message).map(Change::AddressGone),
                RouteNetlinkMessage::NewRoute(message) => Route::read(&message).map(Change::Route),
                RouteNetlinkMessage::DelRoute(message) => Route::read(&message).map(Change::RouteGone),
                _ => None,
            };
            if change.is_some() {
                return change;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("netlink::Watch")
    }
}
