//! Another firewall of this host, which sorts its links into zones. On a real host: `host/firewalld`, over D-Bus.

use async_trait::async_trait;
use lxhost_model::Result;
use std::collections::BTreeSet;

/// The zone for networks of ours, if this host has such a firewall. Methods are idempotent.
#[async_trait]
pub trait Zones: Send + Sync {
    /// Has those links in our zone, and no others: now, and whenever the firewall starts anew or reads its configuration
    /// again. A link that the administrator has put into another zone stays in that. Without such a firewall nothing happens.
    ///
    /// # Errors
    /// `Failed`, with what the firewall said; `Timeout`.
    async fn cover(&self, links: BTreeSet<String>) -> Result<()>;

    /// The zone of a link, and whether it is ours; `None` when there is no such firewall.
    async fn zone_of(&self, _link: &str) -> Option<(String, bool)> {
        None
    }
}
