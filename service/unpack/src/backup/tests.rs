//! What was packed is unpacked as it was; what is no whole backup is refused.

use super::restore::Target;
use super::tree::Trees;
use super::*;
use crate::codec;
use crate::error::Error;
use crate::limits::Limits;
use lxhost_model::backup::{
    About, Backup, Compression, Past, ROOT, Request, Tree, VOLUME, VolumeBackup, VolumePast, snapshot_root, volume_snapshot,
};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A tree with one of everything.
fn guest(at: &Path) {
    let long = "n".repeat(200);
    fs::create_dir_all(at.join("etc").join(&long).join(&long)).unwrap();
    fs::write(at.join("etc/hostname"), "c1\n").unwrap();
    fs::write(at.join("etc").join(&long).join(&long).join("deep"), "x").unwrap();
    fs::write(at.join("program"), vec![7; 300_000]).unwrap();
    fs::set_permissions(at.join("program"), Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(at.join("program"), at.join("same")).unwrap();
    symlink("../../../etc/shadow", at.join("link")).unwrap();
    symlink(format!("/{long}"), at.join("far")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at.join("socket")).unwrap();
    fs::set_permissions(at.join("etc"), Permissions::from_mode(0o1777)).unwrap();
    rustix::fs::setxattr(at.join("program"), "user.note", b"a=b\n\0", rustix::fs::XattrFlags::empty()).unwrap();
}

fn pack(place: &Path, compression: Compression, trees: Vec<Tree>, snapshots: &[&str]) -> PathBuf {
    let past = |name: &&str| Past { name: (*name).to_owned(), ..Past::default() };
    let backup = Backup { name: "c1".into(), snapshots: snapshots.iter().map(past).collect(), ..Backup::default() };
    let request = serde_json::to_vec(&Request { compression, about: About::Backup(backup), trees }).unwrap();
    let file = place.join("backup");
    pack::run(request.as_slice(), File::create(&file).unwrap(), |_| ()).unwrap();
    file
}

fn tree(name: &str, layer: &Path) -> Tree {
    Tree { name: name.to_owned(), layers: vec![layer.to_owned()], shifts: vec![] }
}

fn target(name: &str, directory: &Path) -> Target {
    fs::create_dir(directory).unwrap();
    Target { name: name.to_owned(), directory: directory.to_owned(), shifts: Default::default() }
}

#[test]
fn what_was_packed_comes_back_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    let (from, to, snap) = (place.path().join("from"), place.path().join("to"), place.path().join("snap"));
    fs::create_dir(&from).unwrap();
    guest(&from);
    for compression in [Compression::None, Compression::Gzip, Compression::Xz, Compression::Zstd] {
        let trees = vec![tree(ROOT, &from), tree(&snapshot_root("s0"), &from.join("etc"))];
        let file = pack(place.path(), compression, trees, &["s0"]);
        let verified = verify::run(File::open(&file).unwrap(), Limits::default(), |_| ()).unwrap();
        assert_eq!(serde_json::to_value(&verified).unwrap()["backup"]["snapshots"][0]["name"], "s0");
        let About::Backup(index) = index::run(File::open(&file).unwrap(), Limits::default()).unwrap() else {
            panic!("what is it?")
        };
        assert_eq!((index.name.as_str(), index.snapshots.len()), ("c1", 1));
        let targets = vec![target(ROOT, &to), target(&snapshot_root("s0"), &snap)];
        restore::run(File::open(&file).unwrap(), targets, Limits::default(), |_| ()).unwrap();

        let long = "n".repeat(200);
        assert_eq!(fs::read(to.join("program")).unwrap(), vec![7; 300_000]);
        let (program, same) = (fs::metadata(to.join("program")).unwrap(), fs::metadata(to.join("same")).unwrap());
        assert_eq!((program.mode() & 0o7777, program.ino()), (0o4755, same.ino()));
        assert_eq!(program.mtime(), fs::metadata(from.join("program")).unwrap().mtime());
        assert_eq!(fs::metadata(to.join("etc")).unwrap().mode() & 0o7777, 0o1777);
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("../../../etc/shadow"));
        assert_eq!(fs::read_link(to.join("far")).unwrap(), Path::new(&format!("/{long}")));
        assert_eq!(fs::read(to.join("etc").join(&long).join(&long).join("deep")).unwrap(), b"x");
        assert!(fs::symlink_metadata(to.join("pipe")).unwrap().file_type().is_fifo());
        assert!(!to.join("socket").exists());
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(to.join("program"), "user.note", &mut value).unwrap();
        assert_eq!(&value[..length], b"a=b\n\0");
        assert_eq!(fs::read(snap.join("hostname")).unwrap(), b"c1\n");
        fs::remove_dir_all(&to).unwrap();
        fs::remove_dir_all(&snap).unwrap();
    }
}

#[test]
fn a_file_that_changes_while_it_is_packed_keeps_the_archive_whole() {
    let mut trees = Trees::new(Vec::new(), |_| ());
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("log"), "12345").unwrap();
    trees.tree(lxhost_safefs::Dir::open(place.path()).unwrap(), "top").unwrap();
    let archive = trees.finish().unwrap();
    assert_eq!(archive.len() % 512, 0);
    let mut reader = tar::Archive::new(archive.as_slice());
    let names: Vec<_> = reader.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(names, [Path::new("top/"), Path::new("top/log")]);
}

#[test]
fn a_backup_that_is_cut_or_damaged_anywhere_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let from = place.path().join("from");
    fs::create_dir(&from).unwrap();
    fs::write(
        from.join("file"),
        (0..200_000u32).flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes()).collect::<Vec<u8>>(),
    )
    .unwrap();
    for compression in [Compression::None, Compression::Gzip, Compression::Xz, Compression::Zstd] {
        let whole = fs::read(pack(place.path(), compression, vec![tree(ROOT, &from)], &[])).unwrap();
        for length in [600, whole.len() / 2, whole.len() - 1100, whole.len() - 1] {
            // A tar file without compression may lack a part of its end marks.
            if compression == Compression::None && length == whole.len() - 1 {
                continue;
            }
            let cut = place.path().join("cut");
            fs::write(&cut, &whole[..length]).unwrap();
            let error = verify::run(File::open(&cut).unwrap(), Limits::default(), |_| ()).unwrap_err();
            assert_eq!(error.status(), 2, "{compression:?} cut to {length} of {}: {error}", whole.len());
        }
        if compression != Compression::None {
            let mut damaged = whole.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 1;
            fs::write(place.path().join("damaged"), &damaged).unwrap();
            let file = File::open(place.path().join("damaged")).unwrap();
            assert!(verify::run(file, Limits::default(), |_| ()).is_err(), "{compression:?}");
        }
    }
}

/// An archive of a backup with these entries after its index.
fn archive(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let (index, _) = index::render(&Backup { name: "c1".into(), ..Backup::default() }).unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let all = std::iter::once((INDEX, tar::EntryType::Regular, index.as_str())).chain(entries.iter().copied());
    for (name, kind, text) in all {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        let data = if kind == tar::EntryType::Regular { text } else { "" };
        if kind == tar::EntryType::Symlink || kind == tar::EntryType::Link {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn what_would_leave_its_tree_is_refused_and_nothing_is_written_outside() {
    use tar::EntryType::{Directory, Link, Regular, Symlink};
    let canary = "canary";
    for hostile in [
        vec![("backup/container/rootfs", Symlink, "/")],
        vec![("backup/container/rootfs", Directory, ""), ("backup/container/rootfs/../../x", Regular, canary)],
        vec![("backup/container/rootfs/etc", Symlink, "/etc"), ("backup/container/rootfs/etc/x", Regular, canary)],
        vec![("backup/container/rootfs/a", Link, "backup/index.yaml")],
        vec![("backup/container/rootfs/a", Link, "/etc/passwd")],
        vec![("/etc/x", Regular, canary), ("backup/container/rootfs", Directory, "")],
        vec![("backup/container.bin", Regular, canary), ("backup/container/rootfs", Directory, "")],
        vec![("backup/container/backup.yaml", Regular, canary)],
        vec![],
    ] {
        let place = tempfile::tempdir().unwrap();
        let targets = vec![target(ROOT, &place.path().join("root"))];
        let tar = archive(&hostile);
        let error = restore::stream(tar.as_slice(), targets, Limits::default(), || ()).unwrap_err();
        assert_eq!(error.status(), 2, "{hostile:?}: {error}");
        let error = verify::stream(tar.as_slice(), Limits::default(), || ()).unwrap_err();
        assert_eq!(error.status(), 2, "{hostile:?}: {error}");
        let outside: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(outside, ["root"], "{hostile:?}");
    }
}

/// Names below a tree of a backup that LXD, Incus or we know, in every shape but the expected one.
#[test]
fn files_that_a_daemon_would_know_lie_aside() {
    use tar::EntryType::{Directory, Fifo, Link, Regular, Symlink};
    let known = ["backup.yaml", "metadata.yaml", "instance.yaml", "snapshot.yaml", "prepared", "quota", "tree", "image", "below"];
    let known =
        known.into_iter().chain(["root", "upper", "work", "empty", "plain", "templates", "templates/hosts.tpl", "exec-output"]);
    for name in known {
        for (kind, says) in [
            (Symlink, "/etc/shadow"),
            (Symlink, "rootfs/etc"),
            (Link, "backup/container/rootfs/etc/canary"),
            (Fifo, ""),
            (Directory, ""),
            (Regular, "name: x"),
        ] {
            for own in [ROOT.to_owned(), snapshot_root("s")] {
                let place = tempfile::tempdir().unwrap();
                let top = own.trim_end_matches("/rootfs");
                let (known, etc, canary) = (format!("{top}/{name}"), format!("{own}/etc"), format!("{own}/etc/canary"));
                let entries = [
                    (own.as_str(), Directory, ""),
                    (etc.as_str(), Directory, ""),
                    (canary.as_str(), Regular, "canary"),
                    (known.as_str(), kind, says),
                ];
                let targets = vec![target(&own, &place.path().join("to"))];
                // A hard link may be refused, where it leads is another tree's.
                let restored = restore::stream(archive(&entries).as_slice(), targets, Limits::default(), || ());
                assert!(restored.is_ok() || kind == Link, "{known} {kind:?}: {restored:?}");
                let there: Vec<_> = fs::read_dir(place.path().join("to")).unwrap().map(|one| one.unwrap().file_name()).collect();
                assert!(there == ["etc"] || (restored.is_err() && there.len() <= 1), "{known} {kind:?}: {there:?}");
                assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "{known} {kind:?}");
            }
        }
    }
}

#[test]
fn a_tree_that_is_something_else_is_refused() {
    use tar::EntryType::{Fifo, Link, Regular, Symlink};
    for own in [ROOT.to_owned(), snapshot_root("s"), VOLUME.to_owned(), volume_snapshot("s")] {
        for (kind, says) in [(Symlink, "/"), (Symlink, "../.."), (Link, "/etc"), (Link, INDEX), (Fifo, ""), (Regular, "canary")] {
            let place = tempfile::tempdir().unwrap();
            let below = format!("{own}/canary");
            let entries = [(own.as_str(), kind, says), (below.as_str(), Regular, "canary")];
            let targets = vec![target(&own, &place.path().join("to"))];
            let error = restore::stream(archive(&entries).as_slice(), targets, Limits::default(), || ()).unwrap_err();
            assert_eq!(error.status(), 2, "{own} {kind:?}: {error}");
            assert!(place.path().join("to").symlink_metadata().unwrap().is_dir());
            assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "{own} {kind:?}");
        }
    }
}

#[test]
fn all_trees_together_stay_within_the_cap() {
    use tar::EntryType::{Directory, Regular};
    let place = tempfile::tempdir().unwrap();
    let text = "x".repeat(600);
    let entries = [
        ("backup/container/rootfs", Directory, ""),
        ("backup/container/rootfs/a", Regular, text.as_str()),
        ("backup/snapshots/s/rootfs/a", Regular, text.as_str()),
    ];
    let targets = vec![target(ROOT, &place.path().join("root")), target(&snapshot_root("s"), &place.path().join("snap"))];
    let limits = Limits { bytes: 1000, ..Limits::default() };
    let error = restore::stream(archive(&entries).as_slice(), targets, limits, || ()).unwrap_err();
    assert!(matches!(error, Error::Limit(_)), "{error}");
}

#[test]
fn a_file_that_is_no_archive_is_refused() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("text"), "not a backup").unwrap();
    assert!(matches!(codec::open(File::open(place.path().join("text")).unwrap()), Err(Error::Archive(_))));
}

#[test]
fn a_volume_comes_back_with_its_top_directory_and_its_snapshots() {
    let place = tempfile::tempdir().unwrap();
    let (from, to, snap) = (place.path().join("from"), place.path().join("to"), place.path().join("snap"));
    fs::create_dir(&from).unwrap();
    guest(&from);
    fs::set_permissions(&from, Permissions::from_mode(0o2770)).unwrap();
    let past = VolumePast { name: "s0".into(), ..VolumePast::default() };
    let backup = VolumeBackup { name: "data".into(), snapshots: vec![past], ..VolumeBackup::default() };
    let trees = vec![tree(VOLUME, &from), tree(&volume_snapshot("s0"), &from.join("etc"))];
    let compression = Compression::None;
    let request = serde_json::to_vec(&Request { compression, about: About::Volume(backup.clone()), trees }).unwrap();
    let file = place.path().join("backup");
    pack::run(request.as_slice(), File::create(&file).unwrap(), |_| ()).unwrap();
    assert_eq!(index::run(File::open(&file).unwrap(), Limits::default()).unwrap(), About::Volume(backup));
    let verified = verify::run(File::open(&file).unwrap(), Limits::default(), |_| ()).unwrap();
    assert_eq!(serde_json::to_value(&verified).unwrap()["volume"]["snapshots"][0]["name"], "s0");
    let targets = vec![target(VOLUME, &to), target(&volume_snapshot("s0"), &snap)];
    restore::run(File::open(&file).unwrap(), targets, Limits::default(), |_| ()).unwrap();
    assert_eq!(fs::metadata(&to).unwrap().mode() & 0o7777, 0o2770);
    assert_eq!(fs::read(to.join("etc/hostname")).unwrap(), b"c1\n");
    assert_eq!(fs::read(snap.join("hostname")).unwrap(), b"c1\n");
}
