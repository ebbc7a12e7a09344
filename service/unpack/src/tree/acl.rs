//! POSIX ACLs: from the text in GNU tar's headers to the kernel's attribute (`acl(5)`, `posix_acl_xattr.h`).
//! Pure; called for attributes.

/// The attribute's value, or `None` when the text is malformed or names users by name only.
pub(crate) fn from_text(text: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(text).ok()?;
    let mut entries = Vec::new();
    for line in text.split([',', '\n']).map(|line| line.split('#').next().unwrap_or_default().trim()) {
        if !line.is_empty() {
            entries.push(entry(line)?);
        }
        if entries.len() > 1000 {
            return None;
        }
    }
    // The kernel wants them in the order of their tags.
    entries.sort_unstable();
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, id, permissions) in entries {
        value.extend(u16::to_le_bytes(tag));
        value.extend(u16::to_le_bytes(permissions));
        value.extend(u32::to_le_bytes(id));
    }
    Some(value)
}

/// Tag, id and permissions of one entry: `user:1000:rw-`, or with the number last: `user:name:rw-:1000`.
fn entry(line: &str) -> Option<(u16, u32, u16)> {
    let mut fields = line.split(':');
    let (kind, name, permissions, number) = (fields.next()?, fields.next()?, fields.next()?, fields.next());
    let mut bits = 0;
    for letter in permissions.chars() {
        bits |= match letter {
            'r' => 4,
            'w' => 2,
            'x' => 1,
            '-' => 0,
            _ => return None,
        };
    }
    let id = || number.or(Some(name)).and_then(|digits| digits.parse::<u32>().ok()).filter(|id| *id != u32::MAX);
    match (kind, name.is_empty()) {
        ("user" | "u", true) => Some((0x01, u32::MAX, bits)),
        ("user" | "u", false) => Some((0x02, id()?, bits)),
        ("group" | "g", true) => Some((0x04, u32::MAX, bits)),
        ("group" | "g", false) => Some((0x08, id()?, bits)),
        ("mask" | "m", true) => Some((0x10, u32::MAX, bits)),
        ("other" | "o", true) => Some((0x20, u32::MAX, bits)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_the_kernels_form() {
        let value = from_text(b"user::rw-,group::r--,user:lx:r-x:1000,mask::rwx,other::---").unwrap();
        assert_eq!(value.len(), 4 + 5 * 8);
        assert_eq!(value[..4], [2, 0, 0, 0]);
        assert_eq!(value[4..12], [1, 0, 6, 0, 255, 255, 255, 255]);
        assert_eq!(value[12..20], [2, 0, 5, 0, 232, 3, 0, 0]);
        assert_eq!(from_text(b"user:someone:rwx"), None);
        assert_eq!(from_text(b"user::rwz"), None);
        assert_eq!(from_text(b"other:5:r--"), None);
    }
}
