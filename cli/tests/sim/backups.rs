//! Backups as people type them. What is in one of a simulated instance is no archive: its format is another's test.

use crate::daemon::Sim;

#[test]
fn an_instance_goes_into_a_file_and_comes_out_beside_itself() {
    let sim = Sim::start();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("c1.tar.gz").to_string_lossy().into_owned();
    sim.ok(&["create", "sim:empty", "c1", "-c", "user.team=red"]);
    sim.ok(&["snapshot", "c1", "before"]);
    assert_eq!(sim.ok(&["export", "c1", &file]), format!("Backup of c1 written to {file}\n"));
    assert!(sim.fails(4, &["import", &file]).contains("another name"));
    assert_eq!(sim.ok(&["import", &file, "c2", "-c", "user.team=blue"]), "Instance c2 imported\n");
    assert_eq!(sim.ok(&["config", "get", "c2", "user.team"]), "blue\n");
    assert_eq!(sim.ok(&["import", &file, "--alias", "c3", "-q"]), "c3\n");
    assert_eq!(sim.ok(&["snapshot", "list", "c3", "-q"]), "before\n");
    sim.ok(&["export", "c1", &file, "--instance-only"]);
    sim.ok(&["import", &file, "c4", "--no-profiles"]);
    assert_eq!(sim.ok(&["list", "-c", "nPS", "--format", "csv", "c4"]), "c4,,0\n");
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["c1.tar.gz"], "nothing half written is left");
}

#[test]
fn what_cannot_be_written_or_read_is_told_by_name() {
    let sim = Sim::start();
    let place = tempfile::tempdir().unwrap();
    sim.ok(&["create", "sim:empty", "c1"]);
    assert!(sim.fails(3, &["export", "c9"]).contains("c9"));
    assert!(sim.fails(1, &["export", "c1", "/nonexistent/c1.tar"]).contains("/nonexistent"));
    assert!(sim.fails(2, &["export", "c1", "--compression", "zstd -19"]).contains("compression"));
    assert!(sim.fails(2, &["import", &place.path().to_string_lossy()]).contains("directory"));
    assert!(sim.fails(1, &["import", "/nonexistent/c1.tar"]).contains("/nonexistent/c1.tar"));
    let text = place.path().join("text");
    std::fs::write(&text, "no backup").unwrap();
    assert!(sim.fails(10, &["import", &text.to_string_lossy(), "c2"]).contains("backup"));
}

#[test]
fn a_volume_goes_into_a_file_and_comes_out_beside_itself() {
    let sim = Sim::start();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("data.tar.gz").to_string_lossy().into_owned();
    sim.ok(&["storage", "create", "disks", "dir"]);
    sim.ok(&["storage", "volume", "create", "disks", "data", "user.team=red"]);
    sim.ok(&["storage", "volume", "snapshot", "disks", "data", "before"]);
    let on = |words: &[&str]| [&["storage", "volume"], words].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let ok = |words: &[&str]| sim.ok(&on(words).iter().map(String::as_str).collect::<Vec<_>>());
    let fails = |code: i32, words: &[&str]| sim.fails(code, &on(words).iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ok(&["export", "disks", "data", &file]), format!("Backup of data written to {file}\n"));
    assert!(fails(4, &["import", "disks", &file]).contains("exists already"));
    assert_eq!(ok(&["import", "disks", &file, "data2"]), "Storage volume data2 imported\n");
    assert_eq!(ok(&["get", "disks", "data2", "user.team"]), "red\n");
    assert_eq!(ok(&["snapshot", "list", "disks", "data2", "-q"]), "before\n");
    ok(&["export", "disks", "data", &file, "--volume-only"]);
    assert_eq!(ok(&["import", "disks", &file, "data3", "-q"]), "data3\n");
    assert_eq!(ok(&["snapshot", "list", "disks", "data3", "-q"]), "");
    assert!(fails(8, &["import", "disks", &file, "data4", "--type", "iso"]).contains("--type"));
    assert!(fails(3, &["import", "nothing", &file, "data4"]).contains("nothing"));
    assert!(sim.fails(10, &["import", &file, "c1"]).contains("storage volume import"));
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["data.tar.gz"], "nothing half written is left");
}
