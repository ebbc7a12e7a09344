//! lxhost-store
