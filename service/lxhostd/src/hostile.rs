//! The parser of what anybody on the bus sends, for fuzz targets. Used by nothing else.

/// Reads the body of a call as one of the methods does: its first byte says which, the second in which order the
/// bytes of numbers are. The line that refuses it, or nothing.
///
/// # Errors
/// What the caller would be told.
pub fn call(data: &[u8]) -> Result<(), String> {
    crate::bus::arguments(data)
}
