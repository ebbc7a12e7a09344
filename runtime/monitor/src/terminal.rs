//! Pseudo-terminals of the container's devpts, opened by whoever holds a descriptor of its root directory.
//!
//! The directory is ours from before the init ran, so nothing the container does to `/dev/pts` changes what is opened.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A new pty: its master and its slave.
pub(crate) fn open(pts: BorrowedFd<'_>) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = openat(pts, "ptmx", flags, Mode::empty())?;
    unlockpt(&master)?;
    let slave = slave(&master)?;
    Ok((master, slave))
}

/// The slave of a master, whatever its path has become (TIOCGPTPEER).
pub(crate) fn slave(master: impl AsFd) -> Result<OwnedFd, Errno> {
    ioctl_tiocgptpeer(master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
}

/// Tells a terminal its size.
pub(crate) fn resize(terminal: impl AsFd, rows: u16, columns: u16) -> Result<(), Errno> {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
}
