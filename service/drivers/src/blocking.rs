//! Runs blocking work on tokio's threads for it. Called by the drivers that use plain file calls.

use lxhost_model::{Error, Result};

/// Runs `work` and waits for it. It goes on to its end when the caller stops waiting.
///
/// # Errors
/// What `work` says; `Failed` when it panicked or the daemon is stopping.
pub(crate) async fn blocking<T: Send + 'static>(what: &str, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Error::failed(format!("{what}: interrupted"))),
    }
}
