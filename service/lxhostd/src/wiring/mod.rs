//! Which implementation stands behind which port. The only place that knows all of them.

mod real;

use lxhost_engine::{Ports, Result};
use std::path::Path;

pub(crate) use real::real;

/// Ports in memory.
///
/// # Errors
/// `Failed` when the state directory cannot be made.
pub(crate) fn sim(state: &Path) -> Result<Ports> {
    lxhost_sim::ports(state)
}
