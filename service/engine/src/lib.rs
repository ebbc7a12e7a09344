//! lxhost-engine
