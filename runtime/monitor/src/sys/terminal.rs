//! ioctls of terminals and of the loopback link.

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

/// Makes a terminal the controlling one of the session that the caller leads (ioctl_tty(2)).
pub(crate) fn make_controlling(terminal: impl AsFd) -> Result<(), Errno> {
    // SAFETY: TIOCSCTTY takes a number.
    super::checked(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(drop)
}

/// The number of the pty whose master this is.
pub(crate) fn pty_number(master: impl AsFd) -> Result<u32, Errno> {
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN writes one unsigned int.
    super::checked(unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCGPTN, &raw mut number) }.into())?;
    Ok(number)
}

/// Brings the loopback link of the caller's network namespace up (netdevice(7)).
pub(crate) fn loopback_up() -> Result<(), Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: an all-zero ifreq is valid; the name fits with its NUL; SIOCSIFFLAGS reads name and flags.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
        super::checked(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request).into()).map(drop)
    }
}
