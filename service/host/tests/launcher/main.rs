//! Containers on a booted test host, through the engine's port: as root, with systemd, never on a machine of somebody.
//!
//! Runs only where `LXHOST_TEST_RUNTIME` names the monitor's program (and `LXHOST_TEST_TREE` a Debian tree).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod commands;
mod endings;
mod host;
mod isolation;
mod outside;
mod survival;
