//! lxhost-model
