//! Hostile images against a real directory with a canary beside it.

use super::*;
use crate::archive::tests::{archive, entry, pax, with_size};
use crate::check::{self, Part};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

/// A target directory, with a file outside of it that nothing may touch.
struct Place {
    top: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("target")).unwrap();
        fs::write(top.path().join("canary"), "untouched").unwrap();
        fs::set_permissions(top.path().join("canary"), fs::Permissions::from_mode(0o600)).unwrap();
        Place { top }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.top.path().join("target").join(name)
    }

    fn unpack_with(&self, bytes: &[u8], unified: bool, limits: Limits) -> Result<Counts> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let part = if unified { Part::Unified } else { Part::Rootfs };
        let checked = check::run(file.try_clone().unwrap(), part, limits, |_| {});
        std::io::Seek::rewind(&mut file).unwrap();
        let result = run(file, unified, self.top.path().join("target").as_os_str(), limits, |_| {});
        // What cannot be unpacked is refused on arrival, with the same words.
        match (&checked, &result) {
            (Ok(_), Ok(_)) => {}
            (Err(Error::Metadata(_)), _) => {}
            (Err(checked), Err(unpacked)) => assert_eq!(checked.to_string(), unpacked.to_string()),
            (checked, unpacked) => panic!("checked: {checked:?}, unpacked: {unpacked:?}"),
        }
        let canary = self.top.path().join("canary");
        assert_eq!(fs::read_to_string(&canary).unwrap(), "untouched");
        assert_eq!(fs::metadata(&canary).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(self.top.path()).unwrap().count(), 2, "something was made outside");
        result
    }

    fn unpack(&self, entries: &[Vec<u8>]) -> Result<Counts> {
        self.unpack_with(&archive(entries), false, Limits::default())
    }
}

#[test]
fn everything_that_leaves_the_tree_is_refused() {
    let dir = || entry("d/", b'5', "", 0o755, b"");
    let out = || entry("out", b'2', "..", 0o777, b"");
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("absolute name", vec![entry("/canary", b'0', "", 0o644, b"x")]),
        ("name with ..", vec![entry("../canary", b'0', "", 0o644, b"x")]),
        ("name with .. inside", vec![dir(), entry("d/../../canary", b'0', "", 0o644, b"x")]),
        ("file through a link", vec![out(), entry("out/canary", b'0', "", 0o644, b"x")]),
        ("directory through a link", vec![out(), entry("out/new/", b'5', "", 0o777, b"")]),
        ("directory over a link", vec![out(), entry("out/", b'5', "", 0o777, b"")]),
        ("hard link out", vec![entry("a", b'1', "../canary", 0o644, b"")]),
        ("absolute hard link", vec![entry("a", b'1', "/etc/passwd", 0o644, b"")]),
        ("hard link through a link", vec![out(), entry("a", b'1', "out/canary", 0o644, b"")]),
        ("hard link to a link", vec![entry("l", b'2', "../canary", 0o777, b""), entry("a", b'1', "l", 0o644, b"")]),
        ("hard link to a directory", vec![dir(), entry("a", b'1', "d", 0o644, b"")]),
        ("hard link to the root", vec![dir(), entry("a", b'1', ".", 0o644, b"")]),
        ("hard link to nothing", vec![entry("a", b'1', "b", 0o644, b"")]),
        ("the root as a link", vec![entry("./", b'2', "..", 0o777, b"")]),
        ("file over a directory", vec![dir(), entry("d", b'0', "", 0o644, b"x")]),
        ("link over a directory", vec![dir(), entry("d", b'2', "..", 0o777, b"")]),
        ("directory over a file", vec![entry("d", b'0', "", 0o644, b"x"), dir()]),
        ("file below a file", vec![entry("f", b'0', "", 0o644, b"x"), entry("f/x", b'0', "", 0o644, b"x")]),
        ("fifo over a directory", vec![dir(), entry("d", b'6', "", 0o644, b"")]),
        ("empty link target", vec![entry("l", b'2', "", 0o777, b"")]),
        ("name with a NUL", vec![pax(&[("path", b"a\0b")]), entry("x", b'0', "", 0o644, b"x")]),
        ("no name", vec![pax(&[("path", b"")]), entry("x", b'0', "", 0o644, b"x")]),
        ("component of 256 bytes", vec![pax(&[("path", &[b'a'; 256])]), entry("x", b'0', "", 0o644, b"x")]),
        ("path of 5000 bytes", vec![pax(&[("path", &b"aaaa/".repeat(1000))]), entry("x", b'0', "", 0o644, b"x")]),
        ("too deep", vec![pax(&[("path", &b"a/".repeat(300))]), entry("x", b'5', "", 0o755, b"")]),
    ];
    for (what, entries) in cases {
        let error = Place::new().unpack(&entries).map(|_| what).unwrap_err();
        assert!(matches!(error, Error::Entry { .. }), "{what}: {error}");
        assert!(!error.to_string().contains(['\n', '\0']), "{what}");
    }
}

#[test]
fn files_links_modes_and_times_arrive_as_packed() {
    let place = Place::new();
    let counts = place
        .unpack(&[
            entry("./", b'5', "", 0o755, b""),
            entry("./usr/", b'5', "", 0o2750, b""),
            entry("./usr/su", b'0', "", 0o4755, b"program"),
            entry("./usr/also", b'1', "./usr/su", 0o4755, b""),
            entry("./etc-link", b'2', "/etc/shadow", 0o777, b""),
            entry("./pipe", b'6', "", 0o622, b""),
            entry("./dev/null", b'3', "", 0o666, b""),
            entry("./dev/also", b'1', "./dev/null", 0o666, b""),
            entry("./again", b'0', "", 0o644, b"first"),
            entry("./again", b'0', "", 0o600, b"2"),
            entry("./usr/closed/", b'5', "", 0, b""),
        ])
        .unwrap();
    assert_eq!((counts.devices, counts.bytes), (2, 13));
    let su = fs::metadata(place.path("usr/su")).unwrap();
    assert_eq!((su.mode() & 0o7777, su.nlink(), su.mtime()), (0o4755, 2, 1_700_000_000));
    assert_eq!(fs::read_to_string(place.path("usr/also")).unwrap(), "program");
    assert_eq!(fs::metadata(place.path("usr")).unwrap().mode() & 0o7777, 0o2750);
    assert_eq!(fs::metadata(place.path("usr")).unwrap().mtime(), 1_700_000_000);
    assert_eq!(fs::metadata(place.path("usr/closed")).unwrap().mode() & 0o7777, 0);
    assert_eq!(fs::read_link(place.path("etc-link")).unwrap(), Path::new("/etc/shadow"));
    assert_eq!(fs::symlink_metadata(place.path("etc-link")).unwrap().mtime(), 1_700_000_000);
    let pipe = fs::metadata(place.path("pipe")).unwrap();
    assert!(pipe.file_type().is_fifo() && pipe.mode() & 0o7777 == 0o622);
    assert!(!place.path("dev/null").exists() && !place.path("dev/also").exists());
    assert_eq!(fs::read_to_string(place.path("again")).unwrap(), "2");
    fs::set_permissions(place.path("usr/closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn caps_on_bytes_entries_and_lies_hold() {
    let megabyte = || entry("big", b'0', "", 0o644, &vec![1; 1 << 20]);
    let limits = Limits { bytes: 100_000, ..Limits::default() };
    assert!(matches!(Place::new().unpack_with(&archive(&[megabyte()]), false, limits), Err(Error::Limit(_))));
    let many: Vec<_> = (0..50).map(|n| entry(&format!("f{n}"), b'0', "", 0o644, b"")).collect();
    let limits = Limits { entries: 20, ..Limits::default() };
    assert!(matches!(Place::new().unpack_with(&archive(&many), false, limits), Err(Error::Limit(_))));
    let parents: Vec<_> = (0..15).map(|n| entry(&format!("d{n}/e/f/g"), b'0', "", 0o644, b"")).collect();
    assert!(matches!(Place::new().unpack_with(&archive(&parents), false, limits), Err(Error::Limit(_))));
    let lie = [pax(&[("size", b"1099511627776")]), entry("lie", b'0', "", 0o644, b"short")];
    assert!(matches!(Place::new().unpack(&lie), Err(Error::Limit(_))));
    let lie = with_size(b"lie", b'0', b"", 0o644, 1 << 30, b"short");
    assert!(Place::new().unpack(&[lie]).unwrap_err().to_string().contains("truncated"));
}

#[test]
fn a_bomb_stops_at_the_cap_in_every_compression() {
    let zeros = archive(&[entry("zeros", b'0', "", 0o644, &vec![0; 8 << 20])]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&zeros).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
    xz.write_all(&zeros).unwrap();
    let packed = [gzip.finish().unwrap(), xz.finish().unwrap(), zstd::encode_all(zeros.as_slice(), 1).unwrap()];
    for bytes in packed {
        assert!(bytes.len() < 1 << 20);
        let limits = Limits { bytes: 1 << 20, ..Limits::default() };
        let error = Place::new().unpack_with(&bytes, false, limits).unwrap_err();
        assert!(matches!(error, Error::Limit(_)), "{error}");
        // Cut in the middle, and with its checksum damaged.
        assert!(Place::new().unpack_with(&bytes[..bytes.len() / 2], false, Limits::default()).is_err());
        let counts = Place::new().unpack_with(&bytes, false, Limits::default()).unwrap();
        assert_eq!(counts.bytes, 8 << 20);
    }
}

#[test]
fn a_unified_image_gives_only_its_rootfs() {
    let place = Place::new();
    let unified = [
        entry("metadata.yaml", b'0', "", 0o644, b"architecture: x86_64\n"),
        entry("templates/x", b'0', "", 0o644, b"x"),
        entry("rootfs/", b'5', "", 0o755, b""),
        entry("rootfs/etc/name", b'0', "", 0o644, b"c1"),
        entry("rootfs/etc/same", b'1', "rootfs/etc/name", 0o644, b""),
    ];
    place.unpack_with(&archive(&unified), true, Limits::default()).unwrap();
    assert_eq!(fs::read_to_string(place.path("etc/same")).unwrap(), "c1");
    assert!(!place.path("metadata.yaml").exists() && !place.path("templates").exists());
    let bad: [(&str, Vec<u8>); 3] = [
        ("no rootfs", entry("metadata.yaml", b'0', "", 0o644, b"x")),
        ("rootfs is a link", entry("rootfs", b'2', "/", 0o777, b"")),
        ("rootfs is a file", entry("rootfs", b'0', "", 0o644, b"x")),
    ];
    for (what, entry) in bad {
        assert!(Place::new().unpack_with(&archive(&[entry]), true, Limits::default()).is_err(), "{what}");
    }
    let out = entry("rootfs/a", b'1', "metadata.yaml", 0o644, b"");
    assert!(Place::new().unpack_with(&archive(&[unified[0].clone(), out]), true, Limits::default()).is_err());
}

#[test]
fn sparse_files_keep_their_holes() {
    let place = Place::new();
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"disk"),
        ("GNU.sparse.realsize", b"10485760"),
    ];
    let mut data = b"2\n0\n4096\n8388608\n4096\n".to_vec();
    data.resize(512, 0);
    data.extend([b'a'; 4096]);
    data.extend([b'b'; 4096]);
    place.unpack(&[pax(&records), entry("GNUSparseFile.1/disk", b'0', "", 0o600, &data)]).unwrap();
    let bytes = fs::read(place.path("disk")).unwrap();
    assert_eq!((bytes.len(), bytes[0], bytes[5000], bytes[8_388_608], bytes[8_392_704]), (10 << 20, b'a', 0, b'b', 0));
    assert!(fs::metadata(place.path("disk")).unwrap().blocks() * 512 < 1 << 20);
}

#[test]
fn what_gnu_tar_packs_comes_out_the_same() {
    let source = tempfile::tempdir().unwrap();
    let at = |name: &str| source.path().join(name);
    fs::create_dir_all(at("deep/er")).unwrap();
    fs::write(at(&format!("deep/er/{}", "n".repeat(150))), "long").unwrap();
    fs::write(at("empty"), "").unwrap();
    let sparse = fs::File::create(at("sparse")).unwrap();
    sparse.set_len(16 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", (16 << 20) - 3).unwrap();
    std::os::unix::fs::symlink("../x".repeat(60), at("link")).unwrap();
    fs::hard_link(at("empty"), at("hard")).unwrap();
    for format in ["gnu", "posix", "ustar"] {
        let mut command = std::process::Command::new("tar");
        // ustar has no room for names and targets this long, and no sparse files.
        let what: &[&str] = if format == "ustar" { &["empty", "hard"] } else { &["--sparse", "."] };
        command.args(["--numeric-owner", "--format", format, "-C"]).arg(source.path()).args(["-cf", "-"]);
        let packed = command.args(what).output().unwrap();
        assert!(packed.status.success(), "{format}");
        let place = Place::new();
        place.unpack_with(&packed.stdout, false, Limits::default()).unwrap();
        let mut compare = std::process::Command::new("tar");
        compare.args(["-C"]).arg(place.path("")).args(["--compare", "-f", "-"]).stdin(std::process::Stdio::piped());
        let mut child = compare.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&packed.stdout).unwrap();
        assert!(child.wait().unwrap().success(), "{format}");
    }
}
