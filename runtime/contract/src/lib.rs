//! lxhost-contract
