//! This machine as the engine's ports see it: Polkit, facts, units, containers, networks. The only
//! crate that talks to PID 1, the kernel's interfaces and the host's other services. Wired by `lxhostd`.

mod absent;
pub mod facts;
pub mod firewalld;
pub mod hostile;
pub mod launcher;
pub mod machined;
pub mod monitor;
pub mod polkit;
mod polkit_call;
pub mod relay;
pub mod resolved;
pub mod sandbox;
pub mod seccomp;
pub mod units;
pub mod verify;
