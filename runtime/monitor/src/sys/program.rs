//! Becoming another program, with the filter that it will live under.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

/// Arguments and environment ready for execve(2).
#[derive(Debug)]
pub(crate) struct Program {
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    /// Copies both lists; `EINVAL` for a NUL byte, `E2BIG` never (that is the kernel's to say).
    pub(crate) fn new(argv: &[OsString], env: &[OsString]) -> Result<Self, Errno> {
        Ok(Self { argv: strings(argv)?, env: strings(env)? })
    }

    /// execve(2) of `path`; returns only on failure.
    pub(crate) fn exec(&self, path: &OsStr) -> Errno {
        let Ok(path) = CString::new(path.as_bytes()) else { return Errno::INVAL };
        let argv = pointers(&self.argv);
        let env = pointers(&self.env);
        // SAFETY: `path` and all strings are NUL-terminated, both arrays end with a null pointer, and all live on.
        unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
        super::last_errno()
    }
}

fn strings(list: &[OsString]) -> Result<Vec<CString>, Errno> {
    list.iter().map(|item| CString::new(item.as_bytes()).map_err(|_| Errno::INVAL)).collect()
}

fn pointers(list: &[CString]) -> Vec<*const libc::c_char> {
    list.iter().map(|item| item.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
}

/// Loads a seccomp program given as the bytes of `struct sock_filter[]` (seccomp(2)). Wants CAP_SYS_ADMIN in the
/// user namespace, as no_new_privs would break setuid programs of the container.
pub(crate) fn load_seccomp(filter: &[u8]) -> Result<(), Errno> {
    const INSTRUCTION: usize = size_of::<libc::sock_filter>();
    const SECCOMP_SET_MODE_FILTER: libc::c_long = 1;
    if filter.is_empty() {
        return Ok(());
    }
    let (chunks, rest) = filter.as_chunks::<INSTRUCTION>();
    let Ok(len) = u16::try_from(chunks.len()) else { return Err(Errno::INVAL) };
    if !rest.is_empty() {
        return Err(Errno::INVAL);
    }
    let mut instructions: Vec<libc::sock_filter> = chunks
        .iter()
        .map(|&[c0, c1, jt, jf, k0, k1, k2, k3]| libc::sock_filter {
            code: u16::from_ne_bytes([c0, c1]),
            jt,
            jf,
            k: u32::from_ne_bytes([k0, k1, k2, k3]),
        })
        .collect();
    let program = libc::sock_fprog { len, filter: instructions.as_mut_ptr() };
    // SAFETY: `program` points to `len` instructions that live across the call.
    super::checked(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const program) }).map(drop)
}

/// The execution domain of a plain Linux program (personality(2)).
pub(crate) fn plain_personality() {
    // SAFETY: changes only how the calling process is treated; PER_LINUX always exists.
    unsafe { libc::personality(0) };
}
