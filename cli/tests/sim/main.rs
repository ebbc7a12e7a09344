//! lxctl as a whole, against `lxhostd --sim` on a bus of its own: no root, no containers. Commands
//! "in" a simulated instance run on this machine, so their data and ends are real.

// The functions that tests share are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod backups;
mod copies;
mod daemon;
mod remote;
mod snapshots;
mod terminal;
mod trash;

mod exec;
mod images;
mod life;
mod outlook;
