//! Doors for the fuzz targets: what the host's side reads that guests and sandboxed programs have a hand
//! in. Called by nobody else.

use crate::launcher::init;
use crate::monitor::record;
use crate::sandbox::stderr::Listener;
use crate::verify;

/// Reads the record of an end: whether the init's is there, and the number of sessions.
pub fn exit_record(bytes: &[u8]) -> (bool, usize) {
    let record = record::parse(bytes);
    (record.exited.is_some(), record.sessions.len())
}

/// Reads `/proc/PID/status`: whether it is a zombie, seccomp filters, bounding set, signals handled.
pub fn status(text: &str) -> (bool, u32, u64, u64) {
    let status = verify::Status::parse(text);
    (status.is_zombie, status.filters, status.bounding, init::handled(text))
}

/// Reads `/proc/PID/uid_map`.
pub fn id_map(text: &str) -> Vec<(u32, u32, u32)> {
    verify::rows(text)
}

/// Lines of progress and last words of a sandboxed program; `all` takes every line for progress.
pub fn said(all: bool, bytes: &[u8]) -> (Vec<String>, String) {
    Listener::heard(all, bytes)
}
