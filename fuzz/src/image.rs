//! What an image or a backup brings: its archive, compressed or not, its metadata.yaml, and what the sandboxed program that
//! reads them may say when it has been taken over.

use lxhost_unpack::hostile::{self, Refused};
use std::path::Path;

/// A refusal is a line, and blames the input: nothing else can go wrong in memory.
fn refused(refused: &Refused) {
    crate::is_a_line(&refused.line);
    assert!(refused.untrusted, "{}", refused.line);
}

/// metadata.yaml: what is read is within the caps.
pub fn metadata(data: &[u8]) {
    match hostile::metadata(data) {
        Err(error) => refused(&error),
        Ok((architecture, _, properties)) => {
            assert!(!architecture.is_empty() && properties.len() <= 1000);
            let bytes = architecture.len() + properties.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
            assert!(bytes <= 4 << 20, "{} bytes became {bytes}", data.len());
        }
    }
}

/// A tar stream as each kind of file that an image has.
pub fn archive(data: &[u8]) {
    for bytes in [data.to_vec(), sealed(data)] {
        for part in ["meta", "rootfs", "unified"] {
            if let Err(error) = hostile::check(&bytes, part) {
                refused(&error);
            }
        }
    }
}

/// What is checked and what is unpacked agree, and nothing outside of the target changes.
pub fn unpack(data: &[u8]) {
    let bytes = sealed(data);
    for (part, unified) in [("rootfs", false), ("unified", true)] {
        let place = tempfile::tempdir().unwrap();
        let (target, canary) = (place.path().join("target"), place.path().join("canary"));
        std::fs::create_dir(&target).unwrap();
        std::fs::write(&canary, "untouched").unwrap();
        let checked = hostile::check(&bytes, part);
        let unpacked = hostile::unpack(&bytes, unified, &target);
        assert_eq!(std::fs::read(&canary).unwrap(), b"untouched");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2, "something was made outside");
        agree(checked, unpacked);
        open_up(&target);
    }
}

/// The index of a backup: what is read is within the caps.
pub fn backup_index(data: &[u8]) {
    match hostile::backup_index(data) {
        Err(error) => refused(&error),
        Ok(snapshots) => assert!(snapshots <= 1000),
    }
}

/// A backup: what is verified can be unpacked, and nothing outside of the target changes.
pub fn backup(data: &[u8]) {
    let bytes = sealed(data);
    let place = tempfile::tempdir().unwrap();
    let (target, canary) = (place.path().join("target"), place.path().join("canary"));
    std::fs::create_dir(&target).unwrap();
    std::fs::write(&canary, "untouched").unwrap();
    let verified = hostile::verify(&bytes);
    let restored = hostile::restore(&bytes, &target);
    assert_eq!(std::fs::read(&canary).unwrap(), b"untouched");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2, "something was made outside");
    match (verified, restored) {
        (Ok(()), Err(error)) => panic!("verified, and then {}", error.line),
        (verified, restored) => [verified.err(), restored.err()].iter().flatten().for_each(refused),
    }
    open_up(&target);
}

#[track_caller]
fn agree(checked: Result<bool, Refused>, unpacked: Result<u64, Refused>) {
    match (checked, unpacked) {
        (Ok(_), Ok(_)) => {}
        // Only the check asks for metadata.
        (Err(error), _) if error.line.starts_with("metadata.yaml") => refused(&error),
        (Err(checked), Err(unpacked)) => {
            refused(&checked);
            assert_eq!(checked.line, unpacked.line);
        }
        (checked, unpacked) => panic!("checked: {checked:?}, unpacked: {unpacked:?}"),
    }
}

/// Lets a tree be removed whatever modes it came with.
fn open_up(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

/// Any compression, to its end or to the cap.
pub fn decompress(data: &[u8]) {
    match hostile::decompress(data) {
        Err(error) => refused(&error),
        Ok(bytes) => assert!(bytes <= 4 << 20),
    }
}

/// What unsquashfs lists.
pub fn listing(data: &[u8]) {
    match hostile::listing(data) {
        Err(error) => refused(&error),
        Ok((entries, bytes)) => assert!(entries <= 500 && bytes <= 4 << 20),
    }
}

/// ACLs as text: whole entries in the kernel's order.
pub fn acl(data: &[u8]) {
    if let Some(value) = hostile::acl(data) {
        assert!(value.len() % 8 == 4 && value.starts_with(&[2, 0, 0, 0]));
        let tags: Vec<u8> = value[4..].chunks(8).map(|entry| entry[0]).collect();
        assert!(tags.is_sorted(), "{tags:?}");
    }
}

/// The answer of the sandboxed program: believed only when it is clean.
pub fn answer(data: &[u8]) {
    match lxhost_drivers::hostile::answer(data) {
        Err(error) => crate::is_a_line(&error.message),
        Ok((_, properties)) => {
            assert!(properties.len() <= lxhost_model::config::MAX_KEYS);
            for (key, value) in properties {
                assert!(!key.chars().any(char::is_control), "{key:?}");
                assert!(!value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')), "{value:?}");
            }
        }
    }
}

/// The same blocks with the checksums of headers put right, so that what is behind a checksum is reached, and with an
/// end mark.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    bytes.resize(data.len().next_multiple_of(512), 0);
    for block in bytes.as_chunks_mut::<512>().0 {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    bytes.extend([0; 1024]);
    bytes
}
