//! Records of pax extended headers: `LENGTH KEY=VALUE\n`, where a value may hold any byte. Pure
//! parsing; called by the reader.

use super::sparse;
use std::collections::BTreeMap;

/// What extended headers say about an entry; unset fields leave the plain header's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pax {
    /// Name.
    pub(crate) path: Option<Vec<u8>>,
    /// Target of a link.
    pub(crate) link: Option<Vec<u8>>,
    /// Bytes of data in the archive.
    pub(crate) size: Option<u64>,
    /// Owner.
    pub(crate) uid: Option<u64>,
    /// Group.
    pub(crate) gid: Option<u64>,
    /// Seconds and nanoseconds since the epoch.
    pub(crate) mtime: Option<(i64, u32)>,
    /// Extended attributes.
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Access and default ACLs as text.
    pub(crate) acls: BTreeMap<&'static str, Vec<u8>>,
    /// What GNU tar says about a sparse file.
    pub(crate) sparse: sparse::Keys,
}

impl Pax {
    /// Adds the records of one header; a later record replaces an earlier one of the same key.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            // GNU tar pads with NULs in some versions.
            if bytes.iter().all(|b| *b == 0) {
                return Ok(());
            }
            let (record, rest) = split(bytes).ok_or("a pax record is malformed")?;
            let equals = record.iter().position(|b| *b == b'=').ok_or("a pax record has no value")?;
            self.set(&record[..equals], &record[equals + 1..])?;
            bytes = rest;
        }
        Ok(())
    }

    /// Adds the records of a header that holds for all entries to come: who owns them and when they were made.
    /// A name, data or attributes for all of them is nothing that a program writes, and would be copied for each.
    pub(crate) fn read_global(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.read(bytes)?;
        let plain = self.path.is_none() && self.link.is_none() && self.size.is_none();
        if plain && self.xattrs.is_empty() && self.acls.is_empty() && self.sparse.is_empty() {
            Ok(())
        } else {
            Err("a global pax header describes a single entry")
        }
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            b"SCHILY.acl.access" => drop(self.acls.insert("system.posix_acl_access", value.to_vec())),
            b"SCHILY.acl.default" => drop(self.acls.insert("system.posix_acl_default", value.to_vec())),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.insert(name.to_vec(), value.to_vec());
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.set(name, value)?;
                }
            }
        }
        Ok(())
    }
}

/// The first record without its length and line break, and what follows.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|b| *b == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space]).ok()?).ok()?;
    if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
        return None;
    }
    Some((&bytes[space + 1..length - 1], &bytes[length..]))
}

/// A decimal number without sign.
pub(crate) fn decimal(digits: &[u8]) -> Result<u64, &'static str> {
    const BAD: &str = "a pax number is malformed";
    if digits.is_empty() {
        return Err(BAD);
    }
    digits.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'9' => n.checked_mul(10).and_then(|n| n.checked_add(u64::from(b - b'0'))).ok_or(BAD),
        _ => Err(BAD),
    })
}

/// Seconds with a fraction; before the epoch is the epoch.
fn time(text: &[u8]) -> Result<(i64, u32), &'static str> {
    if text.first() == Some(&b'-') {
        return Ok((0, 0));
    }
    let (whole, fraction) = match text.iter().position(|b| *b == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    let mut nanoseconds = 0;
    for i in 0..9 {
        let digit = fraction.get(i).copied().unwrap_or(b'0');
        nanoseconds = nanoseconds * 10 + u32::from(digit.checked_sub(b'0').filter(|d| *d < 10).ok_or("a pax time is malformed")?);
    }
    Ok((i64::try_from(decimal(whole)?).unwrap_or(0), nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_line_breaks_and_zeros() {
        let mut pax = Pax::default();
        pax.read(b"32 SCHILY.xattr.user.x=a\nb\0c=d\ne\n18 mtime=12.500000\n").unwrap_err();
        let mut pax = Pax::default();
        let record = b"SCHILY.xattr.user.x=a\nb\0c=d\n";
        let bytes = [b"31 ".as_slice(), record].concat();
        assert_eq!(bytes.len(), 31);
        pax.read(&bytes).unwrap();
        assert_eq!(pax.xattrs, [(b"user.x".to_vec(), b"a\nb\0c=d".to_vec())].into());
        pax.read(b"15 mtime=12.25\n").unwrap();
        assert_eq!(pax.mtime, Some((12, 250_000_000)));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for bad in [&b"5 a=b\n"[..], b"99 a=b\n", b"0 a=b\n", b" a=b\n", b"x a=b\n", b"6 a=bc", b"11 size=-12\n", b"5 ab\n"] {
            assert!(Pax::default().read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
