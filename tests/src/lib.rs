//! The test host and everything the suites stand on: recipes of Debian trees, hosts booted from them,
//! the mirror relay, test images and the runner. Depends on system tools (systemd-nspawn, mmdebstrap,
//! nsenter, apt) and on nothing of the product but its published types. Used by the programs of this
//! crate, `lab/` and `host/`, and by nobody else.

pub mod cache;
pub mod host;
pub mod image;
pub mod limits;
pub mod package;
pub mod raw;
pub mod recipe;
pub mod relay;
pub mod runner;
pub mod tool;
pub mod unchanged;
