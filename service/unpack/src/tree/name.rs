//! Names in an archive, made safe: relative, without `..`, within caps. Pure; called by `unpack` and
//! the tree.

use crate::limits::Limits;

/// A name below the tree's root, components joined by single slashes; empty for the root itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    bytes: Vec<u8>,
    /// What it lies below in the archive.
    top: Vec<u8>,
}

/// Makes a name of what an image has. In a unified one only what lies in `rootfs` belongs to the tree: `None` for
/// the rest.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(raw: &[u8], unified: bool, limits: &Limits) -> Result<Option<Name>, &'static str> {
    below(raw, if unified { b"rootfs" } else { b"" }, limits)
}

/// Makes a name of what an archive has below `top`, a plain relative name; `None` for what lies elsewhere.
///
/// # Errors
/// What is wrong with it, wherever it lies.
pub(crate) fn below(raw: &[u8], top: &[u8], limits: &Limits) -> Result<Option<Name>, &'static str> {
    if raw.is_empty() || raw.contains(&0) {
        return Err("an empty name or one with a NUL");
    }
    if raw.len() > limits.path {
        return Err("its name is too long");
    }
    if raw[0] == b'/' {
        return Err("an absolute name");
    }
    let parts: Vec<&[u8]> = raw.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&&b".."[..]) {
        return Err("a name with \"..\"");
    }
    if parts.iter().any(|part| part.len() > 255) {
        return Err("a component of its name is too long");
    }
    if parts.len() > limits.depth {
        return Err("it lies too deep");
    }
    let mut left = &parts[..];
    for above in top.split(|b| *b == b'/').filter(|part| !part.is_empty()) {
        match left.split_first() {
            Some((first, rest)) if *first == above => left = rest,
            _ => return Ok(None),
        }
    }
    Ok(Some(Name { bytes: left.join(&b'/'), top: top.to_vec() }))
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
        below(raw, &self.top, limits)?.ok_or("it lies outside the tree")
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

    #[test]
    fn a_tree_of_an_archive_has_what_lies_below_its_name() {
        let limits = Limits::default();
        let name = |raw: &[u8]| below(raw, b"backup/container/rootfs", &limits).unwrap();
        for elsewhere in
            [&b"backup"[..], b"backup/container", b"backup/container/rootfs2/etc", b"rootfs/etc", b"x/backup/container/rootfs"]
        {
            assert_eq!(name(elsewhere), None);
        }
        assert_eq!(name(b"./backup/container/rootfs/").unwrap().bytes(), b"");
        assert_eq!(name(b"backup//container/./rootfs/etc/hosts").unwrap().bytes(), b"etc/hosts");
        assert!(name(b"backup/container/rootfs/a").unwrap().sibling(b"backup/index.yaml", &limits).is_err());
        assert!(below(b"backup/container/rootfs/../../index.yaml", b"backup/container/rootfs", &limits).is_err());
    }
}
