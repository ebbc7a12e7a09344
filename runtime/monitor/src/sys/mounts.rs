//! mount_setattr(2), which neither rustix nor libc wraps.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// Attributes to change on a mount, or on a tree of them.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Attributes<'a> {
    /// `MOUNT_ATTR_*` to set.
    pub(crate) set: u64,
    /// Owned by the ids of this user namespace.
    pub(crate) idmap: Option<BorrowedFd<'a>>,
    /// Takes the mount out of its peer group, so that nothing mounted in it appears elsewhere.
    pub(crate) private: bool,
    /// Lets what is mounted in its peer group appear in it, but not the other way round.
    pub(crate) follows: bool,
    /// Also all mounts below.
    pub(crate) recursive: bool,
}

/// Changes a mount given by a descriptor of it.
pub(crate) fn set_attributes(mount: impl AsFd, attributes: Attributes<'_>) -> Result<(), Errno> {
    let idmap = attributes.idmap.map_or(0, |_| libc::MOUNT_ATTR_IDMAP);
    let attr = libc::mount_attr {
        attr_set: attributes.set | idmap,
        attr_clr: 0,
        propagation: match attributes {
            Attributes { private: true, .. } => libc::MS_PRIVATE,
            Attributes { follows: true, .. } => libc::MS_SLAVE,
            _ => 0,
        },
        userns_fd: attributes.idmap.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let recursive = if attributes.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `attr` lives across the call and its size is told; the path is an empty C string.
    super::checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}
