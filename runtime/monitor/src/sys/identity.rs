//! Whose rights a process acts with.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// Runs `work` with the file-system ids `uid` and `gid` of the host and all capabilities still effective.
///
/// What is then made on an idmapped mount belongs to that id: host root's own id has no place there (EOVERFLOW).
pub(crate) fn with_fs_ids<T>(uid: u32, gid: u32, work: impl FnOnce() -> T) -> Result<T, Errno> {
    set_fs_ids(uid, gid);
    // The kernel has dropped the file capabilities from the effective set (capabilities(7)); they are still permitted.
    let mut sets = capabilities(None)?;
    sets.effective = sets.permitted;
    set_capabilities(None, sets)?;
    let result = work();
    set_fs_ids(0, 0);
    sets.effective = sets.permitted;
    set_capabilities(None, sets)?;
    Ok(result)
}

fn set_fs_ids(uid: u32, gid: u32) {
    // SAFETY: both calls only change credentials of the calling thread; they cannot fail, by setfsuid(2).
    unsafe {
        libc::syscall(libc::SYS_setfsgid, gid);
        libc::syscall(libc::SYS_setfsuid, uid);
    }
}

/// Becomes `uid` and `gid` with exactly `groups`, for good. Nobody with the same ids may look into the process before its
/// next execve(2): what the kernel does by itself when ids change is up to `fs.suid_dumpable` (proc_sys_fs(5)).
pub(crate) fn become_user(uid: u32, gid: u32, groups: &[u32]) -> Result<(), Errno> {
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    set_thread_groups(&groups)?;
    let (gid, uid) = (Gid::from_raw(gid), Uid::from_raw(uid));
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Takes every capability not in `kept` out of the bounding set, and all of them out of the inheritable and ambient
/// sets, so that the next execve(2) has at most `kept`.
pub(crate) fn bound_capabilities(kept: u64) -> Result<(), Errno> {
    let mut sets = capabilities(None)?;
    sets.inheritable = CapabilitySet::empty();
    set_capabilities(None, sets)?;
    for capability in 0..64u64 {
        if kept & (1 << capability) != 0 {
            continue;
        }
        // SAFETY: prctl(2) with plain numbers.
        match super::checked(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }.into()) {
            Ok(_) => {}
            // The first number that this kernel does not know: there are none after it.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Gives up every capability but those, for good where no_new_privs is set.
pub(crate) fn keep_capabilities(kept: CapabilitySet) -> Result<(), Errno> {
    let mut sets = capabilities(None)?;
    sets.permitted &= kept;
    sets.effective = sets.permitted;
    sets.inheritable = CapabilitySet::empty();
    set_capabilities(None, sets)
}

/// Leaves the session keyring that was inherited for a new, empty one.
pub(crate) fn new_session_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: keyctl(2) with a null name makes an anonymous keyring.
    super::checked(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0) }).map(drop)
}
