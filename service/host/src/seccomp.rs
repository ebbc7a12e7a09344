//! The filter that every container runs under: a deny-list for all ABIs of the machine, compiled by libseccomp.
//!
//! Compiled once per daemon and carried to monitors as BPF bytes. Denied is what reaches the whole kernel however
//! small one's rights are, and what has a record of bugs; the rest is the user namespace's business.

use std::io::{Read, Seek};

use libseccomp::error::SeccompError;
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum SeccompFailure {
    /// libseccomp refused.
    #[error("seccomp filter: {0}")]
    Library(#[from] SeccompError),
    /// The bytes did not come through.
    #[error("seccomp filter: {0}")]
    Io(#[from] std::io::Error),
}

/// What a container may do beside the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// io_uring, which bypasses filters by doing the work of system calls itself.
    pub io_uring: bool,
}

/// Answered with EPERM.
const FORBIDDEN: &[&str] = &[
    "kexec_load",
    "kexec_file_load",
    "open_by_handle_at",
    "init_module",
    "finit_module",
    "delete_module",
    "perf_event_open",
    "bpf",
    "userfaultfd",
    "lookup_dcookie",
    "swapon",
    "swapoff",
    "iopl",
    "ioperm",
];

/// Answered with ENOSYS: programs then take the older way.
const ABSENT: &[&str] = &["io_uring_setup", "io_uring_enter", "io_uring_register"];

/// Address families that lead past the network namespace or into rarely used kernel code: AF_ALG, AF_VSOCK, AF_XDP.
const FAMILIES: &[u64] = &[38, 40, 44];
const MNT_FORCE: u64 = 1;
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
/// Requests of ioctl(2) that make subvolumes and snapshots of btrfs: `SNAP_CREATE`, `SUBVOL_CREATE`, and the same once more.
/// What lies in one that a guest made is in no snapshot or copy of its root, and counts for no limit of it.
const SUBVOLUMES: [u64; 4] = [0x5000_9401, 0x5000_940e, 0x5000_9417, 0x5000_9418];
const LOW_HALF: u64 = 0xffff_ffff;

/// The default filter as the bytes of `struct sock_filter[]`.
///
/// # Errors
/// `Library`, when libseccomp does not know a call or an architecture.
pub fn compile(allowed: Allowed) -> Result<Vec<u8>, SeccompFailure> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    // Calls of an ABI that is not listed would pass no rule: x32 and i386 have other numbers for the same things.
    filter.set_act_badarch(ScmpAction::Errno(libc_errno::ENOSYS))?;
    for arch in architectures() {
        filter.add_arch(*arch)?;
    }
    let forbidden = ScmpAction::Errno(libc_errno::EPERM);
    for name in FORBIDDEN {
        add(&mut filter, forbidden, name)?;
    }
    if !allowed.io_uring {
        for name in ABSENT {
            add(&mut filter, ScmpAction::Errno(libc_errno::ENOSYS), name)?;
        }
    }
    let unsupported = ScmpAction::Errno(libc_errno::EAFNOSUPPORT);
    for family in FAMILIES {
        let is = ScmpArgCompare::new(0, ScmpCompareOp::MaskedEqual(LOW_HALF), *family);
        filter.add_rule_conditional(unsupported, ScmpSyscall::from_name("socket")?, &[is])?;
        filter.add_rule_conditional(unsupported, ScmpSyscall::from_name("socketpair")?, &[is])?;
    }
    let by_force = ScmpArgCompare::new(1, ScmpCompareOp::MaskedEqual(MNT_FORCE), MNT_FORCE);
    filter.add_rule_conditional(ScmpAction::Errno(libc_errno::EACCES), ScmpSyscall::from_name("umount2")?, &[by_force])?;
    let refused = [TIOCSTI, TIOCLINUX].map(|request| (request, forbidden));
    // As on other file systems: programs then make directories.
    let unknown = SUBVOLUMES.map(|request| (request, ScmpAction::Errno(libc_errno::ENOTTY)));
    for (request, answer) in refused.into_iter().chain(unknown) {
        let is = ScmpArgCompare::new(1, ScmpCompareOp::MaskedEqual(LOW_HALF), request);
        filter.add_rule_conditional(answer, ScmpSyscall::from_name("ioctl")?, &[is])?;
    }
    export(&filter)
}

/// Numbers of errors in what the filter answers.
mod libc_errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const EACCES: i32 = 13;
    pub(super) const ENOTTY: i32 = 25;
    pub(super) const ENOSYS: i32 = 38;
    pub(super) const EAFNOSUPPORT: i32 = 97;
}

fn architectures() -> &'static [ScmpArch] {
    if cfg!(target_arch = "x86_64") {
        &[ScmpArch::X8664, ScmpArch::X86, ScmpArch::X32]
    } else if cfg!(target_arch = "aarch64") {
        &[ScmpArch::Aarch64, ScmpArch::Arm]
    } else {
        &[ScmpArch::Native]
    }
}

fn add(filter: &mut ScmpFilterContext, action: ScmpAction, name: &str) -> Result<(), SeccompFailure> {
    let call = ScmpSyscall::from_name(name)?;
    filter.add_rule(action, call)?;
    Ok(())
}

fn export(filter: &ScmpFilterContext) -> Result<Vec<u8>, SeccompFailure> {
    let file = rustix::fs::memfd_create("seccomp", rustix::fs::MemfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
    filter.export_bpf(&file)?;
    let mut file = std::fs::File::from(file);
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_whole_instructions_and_fits_into_the_kernel() {
        let bytes = compile(Allowed::default()).unwrap();
        assert_eq!(bytes.len() % 8, 0);
        assert!(bytes.len() / 8 < 4096, "BPF_MAXINSNS");
        assert!(bytes.len() / 8 > FORBIDDEN.len());
    }

    #[test]
    fn allowing_io_uring_makes_the_filter_shorter() {
        let strict = compile(Allowed::default()).unwrap();
        let open = compile(Allowed { io_uring: true }).unwrap();
        assert!(open.len() < strict.len());
    }
}
