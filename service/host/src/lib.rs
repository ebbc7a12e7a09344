//! lxhost-host
