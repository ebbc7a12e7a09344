//! Verbs of lxhost and their order; jobs, events, reconciliation. What they need of the world they
//! ask through ports. Depends on the model only; knows no D-Bus, SQL or system call. Called by the
//! skins (`lxhostd/bus`), implemented for by `store`, `drivers` and `host`.
//!
//! Where to look: a verb is a file below its noun (`instance/start.rs`); `run.rs` is the one road
//! all of them take; `step/` is what can be done and undone; `core.rs` holds what they share.

pub mod acl;
mod audit;
mod backup;
mod core;
mod defaults;
mod define;
mod event;
pub mod exec;
mod faults;
pub mod image;
pub mod instance;
mod job;
mod leases;
mod live;
mod names;
pub mod network;
pub mod pool;
pub mod ports;
pub mod profile;
mod quota;
mod reconcile;
pub mod recover;
mod refresh;
mod retention;
mod room;
mod run;
pub mod snapshot;
pub mod step;
mod supervise;
mod tend;
pub mod trash;
mod verb;
pub mod volume;
mod watch;

pub use crate::core::{Engine, Ports};
pub use event::{Event, LeaseEvent};
#[cfg(feature = "faults")]
pub use faults::Decide;
pub use job::{JobView, Output};
pub use live::{Live, SubState};
pub use lxhost_model::{Error, Kind, Result};
pub use step::memory_limit;
pub use verb::{Finish, Plan, Question, Recovery, Verb, View};
