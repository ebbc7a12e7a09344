//! The published D-Bus API of lxhost: paths, wire types, error names and client proxies.
//!
//! Depends on the model for error kinds. Used by `lxctl`, by tests, and by the daemon's skin for
//! names and types. `xml/` beside this holds the golden introspection, generated from a running
//! daemon.

mod error;
pub mod path;
pub mod proxy;
pub mod wire;

pub use error::error_kind;
pub use wire::{Config, Devices, Options};

/// Well-known bus name of the daemon.
pub const BUS_NAME: &str = "org.lxhost1";
