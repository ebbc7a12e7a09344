//! Names in an archive, made safe: relative, without `..`, within caps. Pure; called by `unpack` and
//! the tree.

use crate::limits::Limits;

/// A name below the tree's root, components joined by single slashes; empty for the root itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    bytes: Vec<u8>,
    /// Whether the archive has it below `rootfs/`.
    unified: bool,
}

/// Makes a name of what the archive has. In a unified image only what lies in `rootfs` belongs to
/// the tree: `None` for the rest.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(raw: &[u8], unified: bool, limits: &Limits) -> Result<Option<Name>, &'static str> {
    if raw.is_empty() || raw.contains(&0) {
        return Err("an empty name or one with a NUL");
    }
    if raw.len() > limits.path {
        return Err("its name is too long");
    }
    if raw[0] == b'/' {
        return Err("an absolute name");
    }
    let mut parts: Vec<&[u8]> = raw.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&&b".."[..]) {
        return Err("a name with \"..\"");
    }
    if parts.iter().any(|part| part.len() > 255) {
        return Err("a component of its name is too long");
    }
    if parts.len() > limits.depth {
        return Err("it lies too deep");
    }
    if unified {
        if parts.first() != Some(&&b"rootfs"[..]) {
            return Ok(None);
        }
        parts.remove(0);
    }
    Ok(Some(Name { bytes: parts.join(&b'/'), unified }))
}

impl Name {
    /// The whole name.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Directory and last component; `None` for the root.
    pub(crate) fn split(&self) -> Option<(&[u8], &[u8])> {
        if self.bytes.is_empty() {
            return None;
        }
        Some(match self.bytes.iter().rposition(|b| *b == b'/') {
            Some(slash) => (&self.bytes[..slash], &self.bytes[slash + 1..]),
            None => (b"", &self.bytes),
        })
    }

    /// The target of a hard link, named as the archive names its entries.
    pub(crate) fn sibling(&self, raw: &[u8], limits: &Limits) -> Result<Name, &'static str> {
        parse(raw, self.unified, limits)?.ok_or("it lies outside rootfs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_tree_are_refused() {
        let limits = Limits::default();
        let long = vec![b'a'; 256];
        let deep = b"a/".repeat(300);
        for bad in [&b""[..], b"/etc/passwd", b"../x", b"a/../../x", b"a\0b", b"..", &long, &deep] {
            assert!(parse(bad, false, &limits).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        for (good, is) in [(&b"./"[..], &b""[..]), (b".", b""), (b"./etc//hosts", b"etc/hosts"), (b"a/..b/", b"a/..b")] {
            assert_eq!(parse(good, false, &limits).unwrap().unwrap().bytes(), is);
        }
    }

    #[test]
    fn a_unified_image_gives_what_lies_in_rootfs() {
        let limits = Limits::default();
        let name = |raw: &[u8]| parse(raw, true, &limits).unwrap();
        assert_eq!(name(b"metadata.yaml"), None);
        assert_eq!(name(b"./rootfs/").unwrap().bytes(), b"");
        assert_eq!(name(b"rootfs/etc").unwrap().split(), Some((&b""[..], &b"etc"[..])));
        assert!(name(b"rootfs/a").unwrap().sibling(b"metadata.yaml", &limits).is_err());
    }
}
