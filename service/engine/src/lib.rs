//! Verbs of lxhost and their order; jobs, events, reconciliation. What they need of the world they
//! ask through ports. Depends on the model only; knows no D-Bus, SQL or system call. Called by the
//! skins (`lxhostd/bus`), implemented for by `store`, `drivers` and `host`.

pub mod ports;

pub use lxhost_model::{Error, Kind, Result};
