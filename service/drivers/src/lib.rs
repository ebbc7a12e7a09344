//! What comes in kinds: one folder per noun, one file or folder per kind, and the registry that
//! knows them by name. Depends on the engine's ports; called by `lxhostd`, which wires it.

pub mod backup;
mod block;
mod blocking;
pub mod definitions;
pub mod device;
pub mod files;
pub mod hostile;
pub mod image;
pub mod network;
mod program;
pub mod storage;
