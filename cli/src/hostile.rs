//! Doors for the fuzz targets: YAML that somebody else may have written. Called by nobody else.

use crate::commands::init::preseed::Preseed;
use crate::definition::Definition;
use crate::render;

/// Reads a definition of an instance or profile and writes it again; says whether that reads as the same.
///
/// # Errors
/// The line that `lxctl` would say.
pub fn definition(text: &str) -> Result<bool, String> {
    let read = Definition::parse(text).map_err(|failure| failure.message)?;
    let written = render::yaml(&read).map_err(|failure| failure.message)?;
    Ok(Definition::parse(&written).is_ok_and(|again| again == read))
}

/// The same with a preseed.
///
/// # Errors
/// The line that `lxctl` would say.
pub fn preseed(text: &str) -> Result<bool, String> {
    let read = Preseed::parse(text).map_err(|failure| failure.message)?;
    let written = render::yaml(&read).map_err(|failure| failure.message)?;
    Ok(Preseed::parse(&written).is_ok())
}
