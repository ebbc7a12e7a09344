//! lxhost-tests
