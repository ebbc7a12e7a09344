//! Definitions of what has no disk of its own to lie beside: networks and their ACLs, profiles, images.

use super::Definition;
use async_trait::async_trait;
use lxhost_model::Result;

/// A place for them, which is not the store. Names are words with hyphens.
#[async_trait]
pub trait Definitions: Send + Sync {
    /// Writes one, durably and atomically, unless it says so already.
    async fn write(&self, name: &str, text: &str) -> Result<()>;

    /// Removes one. Idempotent.
    async fn remove(&self, name: &str) -> Result<()>;

    /// All that are there.
    async fn all(&self) -> Result<Vec<Definition<String>>>;
}
