//! Extended attributes that an image may set: `user.*`, POSIX ACLs, and file capabilities without an
//! owner. Everything else is left out: `trusted.*` would steer overlayfs, other `security.*` the host.
//! Called by the tree.

use super::acl;
use crate::archive::Entry;
use crate::error::{Error, Result};
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::borrow::Cow;
use std::os::fd::AsFd;

/// Bytes of one value, as the kernel's `XATTR_SIZE_MAX`.
const VALUE: usize = 64 << 10;

/// Sets the attributes of a file or directory; returns how many were left out.
///
/// # Errors
/// `Io` when the disk is full; attributes that the file system refuses are counted.
pub(super) fn set(file: &impl AsFd, entry: &Entry, own: bool) -> Result<u64> {
    let mut left_out = 0;
    let plain = entry.xattrs.iter().map(|(name, value)| allowed(name, value));
    let acls = entry.acls.iter().map(|(name, text)| acl::from_text(text).map(|value| (*name, Cow::Owned(value))));
    for attribute in plain.chain(acls) {
        let Some((name, value)) = attribute.filter(|(name, _)| own || name.starts_with("user.")) else {
            left_out += 1;
            continue;
        };
        match rustix::fs::fsetxattr(file, name, &value, XattrFlags::empty()) {
            Ok(()) => {}
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => return Err(Error::at(&entry.name, errno)),
            Err(_) => left_out += 1,
        }
    }
    Ok(left_out)
}

fn allowed<'a>(name: &'a [u8], value: &'a [u8]) -> Option<(&'a str, Cow<'a, [u8]>)> {
    let name = str::from_utf8(name).ok().filter(|name| name.len() <= 255 && !name.contains('\0'))?;
    if value.len() > VALUE {
        return None;
    }
    match name {
        "security.capability" => capability(value).map(|value| (name, value)),
        "system.posix_acl_access" | "system.posix_acl_default" => Some((name, Cow::Borrowed(value))),
        _ if name.starts_with("user.") && name.len() > 5 => Some((name, Cow::Borrowed(value))),
        _ => None,
    }
}

/// File capabilities of version 2, which the container's own map applies to. Version 3 names the
/// user namespace of another host: its owner is dropped. See capabilities(7).
fn capability(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    const REVISION: usize = 3;
    match (value.len(), *value.get(REVISION)?) {
        (20, 2) => Some(Cow::Borrowed(value)),
        (24, 3) => {
            let mut version2 = value[..20].to_vec();
            version2[REVISION] = 2;
            Some(Cow::Owned(version2))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_steer_the_host_are_left_out() {
        for bad in [&b"trusted.overlay.redirect"[..], b"security.selinux", b"security.ima", b"user.", b"system.nfs4_acl", b"\xff"]
        {
            assert_eq!(allowed(bad, b"x"), None);
        }
        assert!(allowed(b"user.mime", b"x").is_some());
        assert_eq!(allowed(b"user.big", &vec![0; VALUE + 1]), None);
    }

    #[test]
    fn capabilities_lose_the_owner_of_another_host() {
        let mut v3 = vec![1, 0, 0, 3];
        v3.extend([0; 16]);
        v3.extend(100_000u32.to_le_bytes());
        let (_, value) = allowed(b"security.capability", &v3).unwrap();
        assert_eq!((value.len(), value[3]), (20, 2));
        assert_eq!(allowed(b"security.capability", &v3[..23]), None);
    }
}
