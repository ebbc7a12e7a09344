//! lxhost-drivers
