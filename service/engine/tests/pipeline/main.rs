//! The road of every verb, on a simulated machine: what fails is undone, what a crash interrupts is undone
//! or finished, and callers who come at the same time do not harm each other.

// Clippy sees tests in functions with #[test] only, not in what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod backups;
mod cancel;
mod crash;
mod deeds;
mod failure;
mod guests;
mod permission;
#[cfg(feature = "faults")]
mod points;
mod pools;
mod proxies;
mod quotas;
mod recover;
mod room;
mod tended;
mod together;
mod trash;
mod trials;
mod volumes;
mod world;
