//! The system calls that no safe crate has. The only folder of the workspace in which `unsafe` is allowed.
//!
//! Each function states what makes it sound. The monitor is single-threaded from its first instruction to its last:
//! a child of `clone3` may therefore run any code, as no lock can be held by a thread that does not exist in it.
#![allow(unsafe_code)]

pub(crate) mod birth;
pub(crate) mod descriptors;
pub(crate) mod identity;
pub(crate) mod memory;
pub(crate) mod mounts;
pub(crate) mod program;
pub(crate) mod signals;
pub(crate) mod terminal;

use rustix::io::Errno;

/// The error of the libc call that just failed.
fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// A return value of libc as a result.
fn checked(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result < 0 { Err(last_errno()) } else { Ok(result) }
}
