//! Hostile and unusual archives, block by block; the builder serves the tests of `unpack` too.

use super::*;

/// Blocks of an entry, its numbers as given.
pub(crate) fn entry(name: &str, kind: u8, link: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    with_size(name.as_bytes(), kind, link.as_bytes(), mode, data.len() as u64, data)
}

/// The same, with a size that may lie.
pub(crate) fn with_size(name: &[u8], kind: u8, link: &[u8], mode: u32, size: u64, data: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(format!("{mode:07o}").as_bytes());
    block[108..115].copy_from_slice(b"0000000");
    block[116..123].copy_from_slice(b"0000000");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[136..147].copy_from_slice(format!("{:011o}", 1_700_000_000).as_bytes());
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut block);
    let mut bytes = block.to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn seal(block: &mut [u8; 512]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A pax header with these records.
pub(crate) fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (rest + 1..).find(|n| n - rest == n.to_string().len()).unwrap();
        data.extend(format!("{length} {key}=").as_bytes());
        data.extend(*value);
        data.push(b'\n');
    }
    entry("pax", b'x', "", 0o644, &data)
}

/// Entries with the end mark.
pub(crate) fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.extend([0; 1024]);
    bytes
}

fn list(bytes: &[u8]) -> Result<Vec<Entry>> {
    let mut archive = Archive::new(bytes, Limits::default());
    let mut entries = Vec::new();
    while let Some(entry) = archive.next()? {
        entries.push(entry);
    }
    archive.finish()?;
    Ok(entries)
}

#[test]
fn long_names_of_gnu_and_pax_are_read() {
    let long = format!("{}/file", "d".repeat(200));
    let gnu = [entry("././@LongLink", b'L', "", 0, format!("{long}\0").as_bytes()), entry("short", b'0', "", 0o644, b"x")];
    assert_eq!(list(&archive(&gnu)).unwrap()[0].name, long.as_bytes());
    let pax = [pax(&[("path", long.as_bytes()), ("uid", b"70000"), ("mtime", b"5.5")]), entry("short", b'0', "", 0o644, b"x")];
    let entries = list(&archive(&pax)).unwrap();
    assert_eq!((entries[0].name.as_slice(), entries[0].uid, entries[0].mtime), (long.as_bytes(), 70_000, (5, 500_000_000)));
}

#[test]
fn a_cut_archive_is_truncated_wherever_it_is_cut() {
    let whole = archive(&[entry("a", b'0', "", 0o644, &[7; 700]), pax(&[("path", b"b")]), entry("x", b'0', "", 0o644, b"y")]);
    assert_eq!(list(&whole).unwrap().len(), 2);
    for cut in (0..whole.len() - 1024).step_by(64) {
        let error = list(&whole[..cut]).unwrap_err();
        assert!(error.to_string().contains("truncated"), "cut at {cut}: {error}");
    }
    assert!(list(&whole[..whole.len() - 1024]).is_err(), "no end mark");
}

#[test]
fn what_programs_read_differently_is_refused() {
    let size = |kind| with_size(b"a", kind, b"b", 0o644, 512, &[0; 512]);
    let one = entry("a", b'0', "", 0o644, b"");
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("hard link with data", vec![size(b'1')]),
        ("symlink with data", vec![size(b'2')]),
        ("directory with data", vec![size(b'5')]),
        ("two pax headers", vec![pax(&[("path", b"b")]), pax(&[("path", b"c")]), one.clone()]),
        ("pax header of nothing", vec![pax(&[("path", b"b")])]),
        ("unknown type", vec![entry("a", b'M', "", 0, b"")]),
        ("owner out of range", vec![pax(&[("uid", b"4294967295")]), one.clone()]),
        ("size that is none", vec![pax(&[("size", b"-1")]), one.clone()]),
        ("size of 2^63", vec![pax(&[("size", b"9223372036854775808")]), one.clone()]),
    ];
    for (what, entries) in cases {
        assert!(list(&archive(&entries)).is_err(), "{what}");
    }
    let mut wrong = archive(&[one]);
    wrong[0] = b'z';
    assert!(list(&wrong).unwrap_err().to_string().contains("checksum"));
}

#[test]
fn extension_headers_and_entries_are_capped() {
    let huge = with_size(b"x", b'x', b"", 0, 2 << 20, b"");
    assert!(matches!(list(&archive(&[huge])), Err(Error::Limit(_))));
    let name = with_size(b"L", b'L', b"", 0, 4 << 30, b"");
    assert!(matches!(list(&archive(&[name])), Err(Error::Limit(_))));
    let globals = [entry("g", b'g', "", 0, b"")].concat().repeat(50);
    let mut archive = Archive::new(globals.as_slice(), Limits { entries: 20, ..Limits::default() });
    assert!(matches!(archive.next(), Err(Error::Limit(_))));
}

#[test]
fn a_header_for_all_entries_says_nothing_of_one() {
    let global = |key: &str, value: &[u8]| {
        let mut header = pax(&[(key, value)]);
        header[156] = b'g';
        seal((&mut header[..512]).try_into().unwrap());
        header
    };
    let one = entry("a", b'0', "", 0o644, b"");
    let entries = list(&archive(&[global("comment", b"x"), global("uid", b"70000"), one.clone()])).unwrap();
    assert_eq!(entries[0].uid, 70_000);
    for key in ["path", "linkpath", "size", "SCHILY.xattr.user.a", "SCHILY.acl.access", "GNU.sparse.size"] {
        assert!(list(&archive(&[global(key, b"1"), one.clone()])).is_err(), "{key}");
    }
}

#[test]
fn a_header_full_of_attributes_is_read_in_no_time() {
    // Each was compared with all before it: a minute for a header of the largest size, as many as an archive likes.
    let names: Vec<String> = (0..30_000).map(|n| format!("SCHILY.xattr.user.{n}")).collect();
    let records: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"1"[..])).collect();
    let began = std::time::Instant::now();
    let entries = list(&archive(&[pax(&records), entry("a", b'0', "", 0o644, b"")])).unwrap();
    assert_eq!(entries[0].xattrs.len(), 30_000);
    assert!(began.elapsed().as_secs() < 5);
}

#[test]
fn every_single_flipped_byte_gives_an_answer_and_never_a_panic() {
    let whole = archive(&[
        pax(&[("path", b"b"), ("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"4096")]),
        entry("x", b'0', "", 0o644, b"1\n0\n3\nabc"),
    ]);
    for at in 0..whole.len() - 1024 {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            // The checksum is put right, so that the rest of the header is reached.
            let block = at / 512 * 512;
            if &bytes[block + 257..block + 262] == b"ustar" {
                let fixed: &mut [u8; 512] = (&mut bytes[block..block + 512]).try_into().unwrap();
                seal(fixed);
            }
            let _ = list(&bytes);
        }
    }
}
