//! The whole API of the daemon over a bus of its own, on a machine that is only simulated: no root, no
//! containers. Run by `cargo test --workspace`; uses dbus-daemon(1), setpriv(1) and the daemon's binary
//! (`LXHOSTD` names another than the one of this build).

// Clippy sees tests in functions with #[test] only, not in what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod acls;
mod bulk;
mod client;
mod clients;
mod copies;
mod daemon;
mod files;
mod forwards;
mod guest;
mod input;
mod introspection;
mod jobs;
mod leases;
mod load;
mod options;
mod publish;
mod races;
mod replace;
mod road;
mod scale;
mod snapshots;
mod trash;
mod trials;
mod volumes;
mod world;
