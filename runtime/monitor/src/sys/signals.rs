//! Signals: what the monitor waits for, what a child starts with, and real-time signals by number.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;

/// SIGRTMIN+3 as glibc and systemd count; musl's own SIGRTMIN is another number.
pub(crate) const SIGRTMIN_3: u32 = 37;

/// Blocks the signals that the monitor handles and gives a descriptor on which they arrive (signalfd(2)).
pub(crate) fn watch() -> Result<OwnedFd, Errno> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set; the others take an initialised one.
    let set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        let stop = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGURG, SIGRTMIN_3 as libc::c_int];
        for signal in stop.into_iter().chain([libc::SIGCHLD]) {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        let set = set.assume_init();
        super::checked(libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()).into())?;
        set
    };
    super::descriptors::signalfd(&set)
}

/// Takes one signal from the descriptor of `watch`.
pub(crate) fn take(watched: &OwnedFd) -> Option<u32> {
    let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(watched, &mut info) {
        Ok(read) if read == info.len() => info.first_chunk::<4>().map(|number| u32::from_ne_bytes(*number)),
        _ => None,
    }
}

/// Default handling of every signal and an empty mask, as a new program expects.
pub(crate) fn reset() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: SIG_DFL is a valid handler for every signal; numbers that cannot be set are refused and left.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Has the process ended in so many seconds (alarm(2)), unless it has ended by then.
pub(crate) fn alarm(seconds: u32) {
    // SAFETY: a plain number; it cannot fail.
    unsafe { libc::alarm(seconds) };
}

/// Sends a signal by its number (pidfd_send_signal(2)).
pub(crate) fn send(pidfd: impl AsFd, signal: u32) -> Result<(), Errno> {
    // SAFETY: plain numbers and a null siginfo.
    super::checked(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_fd().as_raw_fd(), signal, std::ptr::null::<u8>(), 0)
    })
    .map(drop)
}

/// Sends a signal to a process group by the number of its leader (kill(2)).
pub(crate) fn send_group(leader: rustix::process::Pid, signal: u32) -> Result<(), Errno> {
    // SAFETY: plain numbers.
    super::checked(unsafe { libc::kill(-leader.as_raw_nonzero().get(), signal as libc::c_int) }.into()).map(drop)
}
