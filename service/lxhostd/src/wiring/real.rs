//! The real host behind the ports. Refuses until its parts are all there.

use lxhost_engine::{Error, Kind, Ports, Result};
use std::path::Path;
use zbus::Connection;

/// Ports of this machine.
///
/// # Errors
/// `Unsupported`.
pub(crate) async fn real(_state: &Path, _runtime: &Path, _libexec: &Path, _client: Connection) -> Result<Ports> {
    Err(Error::new(Kind::Unsupported, "the launcher and the image store are not wired yet; use --sim"))
}
