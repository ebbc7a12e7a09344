//! Images: the store of their files, and the sources they come from. Depends on the engine's ports;
//! hostile bytes are copied and hashed here, never interpreted. Wired by the registry.

pub(crate) mod answer;
pub mod busybox;
mod copy;
pub mod debian;
mod export;
pub mod files;
mod pack;

pub use files::FilesStore;

use lxhost_engine::ports::{ImageSource, Sandbox};
use std::path::Path;
use std::sync::Arc;

/// Every source of images, by the word before the colon. Temporary files lie in `state`.
pub fn sources(state: &Path, sandbox: &Arc<dyn Sandbox>) -> Vec<Arc<dyn ImageSource>> {
    vec![Arc::new(debian::Debian::new(state, sandbox.clone())), Arc::new(busybox::Busybox::new(state))]
}
