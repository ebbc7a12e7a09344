//! The trash as people type it.

use crate::daemon::Sim;

#[test]
fn what_is_deleted_comes_back_and_is_gone_for_good() {
    let sim = Sim::start();
    assert!(sim.fails(3, &["undo"]).contains("trash.expiry"), "the way to have one is said");
    sim.ok(&["create", "sim:empty", "c1", "-c", "user.team=red"]);
    sim.ok(&["snapshot", "c1", "s1"]);
    assert!(sim.fails(2, &["storage", "set", "default", "trash.expiry=soon"]).contains("trash.expiry"));
    sim.ok(&["storage", "set", "default", "trash.expiry=7d"]);
    sim.ok(&["delete", "c1"]);
    assert_eq!(sim.ok(&["list", "-q"]), "");
    assert!(sim.ok(&["trash", "list", "--format", "csv"]).starts_with("c1,instance,default,1,"));
    let json = sim.ok(&["trash", "list", "default", "--format", "json"]);
    assert!(json.contains("\"expires_at\"") && json.contains("\"snapshots\": 1"), "{json}");
    assert_eq!(sim.ok(&["undo"]), "Brought back: instance c1\n");
    assert_eq!(sim.ok(&["config", "get", "c1", "user.team"]), "red\n");

    sim.ok(&["delete", "c1/s1"]);
    sim.ok(&["snapshot", "c1", "s1"]);
    assert!(sim.fails(4, &["undo"]).contains("another name"));
    assert_eq!(sim.ok(&["undo", "--name", "s2", "-q"]), "c1/s2\n");

    sim.ok(&["delete", "c1"]);
    sim.ok(&["create", "sim:empty", "c1"]);
    assert!(sim.fails(4, &["trash", "restore", "c1"]).contains("NEW"));
    sim.ok(&["trash", "restore", "c1", "c2"]);
    sim.ok(&["delete", "c1", "c2", "--now"]);
    assert_eq!(sim.ok(&["trash", "list", "-q"]), "");

    for _ in 0..2 {
        sim.ok(&["create", "sim:empty", "c1"]);
        sim.ok(&["delete", "c1"]);
    }
    assert!(sim.fails(2, &["trash", "delete", "c1"]).contains("start of an id"));
    assert!(sim.fails(3, &["trash", "delete", "c7"]).contains("nothing in the trash"));
    sim.ok(&["storage", "volume", "create", "default", "data"]);
    sim.ok(&["storage", "volume", "delete", "default", "data"]);
    sim.ok(&["trash", "delete", "data"]);
    let info = sim.ok(&["storage", "info", "default", "--format", "json"]);
    assert!(info.contains("\"in_trash\": 2") && info.contains("\"nearly_full\": "), "{info}");
    assert!(sim.ok(&["storage", "info", "default"]).contains("In trash: 2"));
    let list = sim.ok(&["storage", "list", "--format", "json"]);
    assert!(["\"total\"", "\"used\"", "\"free\""].iter().all(|key| list.contains(key)), "{list}");
    sim.ok(&["create", "sim:empty", "c8"]);
    assert!(sim.ok(&["info", "c8"]).contains("Disk usage:\n    root: "));
    assert!(sim.fails(3, &["trash", "empty", "nowhere"]).contains("nowhere"));
    sim.ok(&["trash", "empty"]);
    assert_eq!(sim.ok(&["trash", "list", "-q"]), "");
}
