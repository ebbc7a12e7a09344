//! Images: the store of their files, and the sources they come from. Depends on the engine's ports;
//! hostile bytes are copied and hashed here, never interpreted. Wired by the registry.

mod answer;
mod copy;
pub mod files;

pub use files::FilesStore;
