//! Descriptors by number: what a child keeps, and where its standard streams point.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

/// Takes the standard input of the process as an owned descriptor and puts `/dev/null` in its place.
pub(crate) fn take_stdin() -> Result<OwnedFd, Errno> {
    let taken = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(taken)
}

/// Closes every descriptor from 3 on except those in `kept` (close_range(2)).
///
/// For a process at its start, or a child about to become something else: objects of the parent that own descriptors
/// must not be used, nor dropped, after it.
pub(crate) fn keep_only(kept: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut numbers: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).filter(|fd| *fd > 2).collect();
    numbers.sort_unstable();
    let mut from: libc::c_uint = 3;
    for number in numbers {
        let number = number as libc::c_uint;
        if number > from {
            close_range(from, number - 1)?;
        }
        from = number + 1;
    }
    close_range(from, libc::c_uint::MAX)
}

fn close_range(first: libc::c_uint, last: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: closes descriptors that the caller has promised not to use any more.
    super::checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Makes an owned descriptor of a signalfd for `mask`.
pub(crate) fn signalfd(mask: &libc::sigset_t) -> Result<OwnedFd, Errno> {
    // SAFETY: `mask` is initialised; the new descriptor is nobody else's.
    unsafe {
        let fd = super::checked(libc::signalfd(-1, mask, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into())?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}
