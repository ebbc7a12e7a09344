//! The host's own resolver: who is asked for names of which domain. On a real host: `host/resolved`, over D-Bus.

use async_trait::async_trait;
use lxhost_model::Result;
use std::net::IpAddr;

/// The resolver of this host, if it has one that can be told. Methods are idempotent.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// Has this host ask `servers`, through the link with that index, for names in `domain` and nothing else.
    /// It is told again whenever the resolver starts anew. Without a resolver nothing happens.
    ///
    /// # Errors
    /// `Failed`, with what the resolver said.
    async fn ask_for(&self, link: u32, servers: &[IpAddr], domain: &str) -> Result<()>;

    /// Whether it asks through that link for names in `domain`; `None` when there is no such resolver.
    async fn asks(&self, _link: u32, _domain: &str) -> Option<bool> {
        None
    }

    /// Servers that it asks: with the index of the link that each belongs to, if to one, whoever has told it.
    async fn servers(&self) -> Vec<(Option<u32>, IpAddr)> {
        vec![]
    }

    /// Has it ask nobody through that link any more.
    async fn forget(&self, link: u32);
}
