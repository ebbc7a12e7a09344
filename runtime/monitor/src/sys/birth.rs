//! clone3(2): children with namespaces, a cgroup and a pidfd from their first instruction.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::Pid;

/// How a child is born.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Birth<'a> {
    /// `CLONE_NEW*` and `CLONE_PARENT`.
    pub(crate) flags: libc::c_int,
    /// Directory of the cgroup it is born into (kernel 5.7), instead of a migration that costs ten milliseconds.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// Nobody is told of its end: for the process that continues the monitor itself.
    pub(crate) silent: bool,
}

/// A child as its parent knows it.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its process id in the parent's namespace.
    pub(crate) pid: Pid,
    /// Its pidfd.
    pub(crate) pidfd: OwnedFd,
}

/// Which side of the call one is.
#[derive(Debug)]
pub(crate) enum Side {
    /// The parent.
    Parent(Child),
    /// The child.
    Child,
}

/// Makes a copy of the process.
pub(crate) fn clone(birth: Birth<'_>) -> Result<Side, Errno> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: libc::c_int = -1;
    let mut flags = birth.flags as u32 as u64 | libc::CLONE_PIDFD as u64;
    if birth.cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    // CLONE_PARENT takes the exit signal of the caller and refuses another.
    let quiet = birth.silent || birth.flags & libc::CLONE_PARENT != 0;
    let args = libc::clone_args {
        flags,
        pidfd: &raw mut pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: if quiet { 0 } else { libc::SIGCHLD as u64 },
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: birth.cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: no CLONE_VM, so the child has its own copy of memory; the process has one thread; `args` and `pidfd`
    // live across the call.
    let pid = super::checked(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) })?;
    match Pid::from_raw(pid as i32) {
        None => Ok(Side::Child),
        Some(pid) => {
            // SAFETY: the kernel has just put a new descriptor here, close-on-exec, that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Side::Parent(Child { pid, pidfd }))
        }
    }
}

/// Runs `work` in a copy of the process, which ends with the status that `work` returns.
pub(crate) fn child(birth: Birth<'_>, work: impl FnOnce() -> i32) -> Result<Child, Errno> {
    match clone(birth)? {
        Side::Parent(child) => Ok(child),
        Side::Child => exit(work()),
    }
}

/// A plain copy of the process: `None` in the child (fork(2)). Where clone3(2) is forbidden, as by a filter that cannot
/// look at its arguments.
pub(crate) fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: the process has one thread, so the copy may run any code.
    super::checked(unsafe { libc::fork() }.into()).map(|pid| Pid::from_raw(pid as i32))
}

/// Ends the process without running destructors: those belong to the process it is a copy of.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Leaves namespaces for new ones (unshare(2)).
pub(crate) fn unshare(flags: rustix::thread::UnshareFlags) -> Result<(), Errno> {
    // SAFETY: nothing here shares a descriptor table with anybody, and CLONE_FILES is never asked for.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}
