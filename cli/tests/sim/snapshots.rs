//! Snapshots as people type them, LXD's way and Incus'.

use crate::daemon::Sim;

#[test]
fn snapshots_are_taken_shown_restored_and_deleted_in_both_grammars() {
    let sim = Sim::start();
    sim.ok(&["create", "sim:empty", "c1", "-c", "user.team=red"]);
    assert_eq!(sim.ok(&["snapshot", "c1"]), "Snapshot c1/snap0 created\n");
    assert_eq!(sim.ok(&["snapshot", "create", "c1", "-q"]), "snap1\n");
    sim.ok(&["snapshot", "c1", "before", "--comment", "Avant mise à jour"]);
    assert!(sim.fails(4, &["snapshot", "c1", "before"]).contains("exists already"));
    assert!(sim.fails(8, &["snapshot", "c1", "memory", "--stateful"]).contains("not supported"));
    sim.ok(&["snapshot", "create", "c1", "before", "--reuse", "--comment", "again"]);
    assert_eq!(sim.ok(&["list", "-c", "nS", "--format", "csv"]), "c1,3\n");
    let list = sim.ok(&["snapshot", "list", "c1", "--format", "csv"]);
    assert!(list.starts_with("snap0,") && list.trim_end().ends_with(",again"), "{list}");
    assert!(sim.ok(&["info", "c1"]).contains("Snapshots:"));
    for words in [&["snapshot", "show", "c1", "before"][..], &["info", "c1/before"]] {
        let shown = sim.ok(words);
        assert!(shown.contains("user.team: red") && shown.contains("description: again"), "{shown}");
    }
    sim.ok(&["config", "set", "c1", "user.team=blue"]);
    sim.ok(&["restore", "c1", "before"]);
    assert_eq!(sim.ok(&["config", "get", "c1", "user.team"]), "red\n");
    sim.ok(&["rename", "c1/before", "c1/after"]);
    sim.ok(&["snapshot", "rename", "c1", "after", "later"]);
    assert!(sim.fails(2, &["rename", "c1/later", "c2/later"]).contains("its instance"));
    sim.ok(&["delete", "c1/snap0"]);
    sim.ok(&["snapshot", "delete", "c1", "snap1", "later"]);
    assert_eq!(sim.ok(&["snapshot", "list", "c1", "--format", "csv"]), "");
    assert!(sim.fails(3, &["restore", "c1", "later"]).contains("no snapshot later"));
    assert_eq!(sim.ok(&["list", "--format", "csv", "-c", "n"]), "c1\n");
}

#[test]
fn snapshots_are_scheduled_and_kept_as_long_as_is_said() {
    let sim = Sim::start();
    sim.ok(&["create", "sim:empty", "c1"]);
    for (key, value) in [
        ("snapshots.schedule", "0 6 * * *"),
        ("snapshots.schedule.stopped", "true"),
        ("snapshots.pattern", "auto-%d"),
        ("snapshots.expiry", "7d"),
    ] {
        sim.ok(&["config", "set", "c1", key, value]);
    }
    assert!(sim.fails(2, &["config", "set", "c1", "snapshots.schedule", "6 o'clock"]).contains("schedule"));
    sim.ok(&["snapshot", "c1"]);
    sim.ok(&["snapshot", "create", "c1", "ever", "--no-expiry"]);
    sim.ok(&["snapshot", "create", "c1", "soon", "--expiry", "1m 12H"]);
    assert!(sim.fails(2, &["snapshot", "create", "c1", "x", "--expiry", "later"]).contains("lifetime"));
    let list = sim.ok(&["snapshot", "list", "c1", "--format", "csv"]);
    let ends: Vec<bool> = list.lines().map(|line| line.split(',').nth(2).is_some_and(|end| !end.is_empty())).collect();
    assert_eq!(ends, [true, false, true], "{list}");
    assert!(sim.ok(&["snapshot", "show", "c1", "auto-0"]).contains("expires_at: "));
}

#[test]
fn a_volume_has_snapshots_in_both_grammars() {
    let sim = Sim::start();
    sim.ok(&["storage", "create", "disks", "dir"]);
    sim.ok(&["storage", "volume", "create", "disks", "data", "user.team=red"]);
    let on = |words: &[&'static str]| [&["storage", "volume", "snapshot"], words].concat();
    assert_eq!(sim.ok(&on(&["disks", "data"])), "Snapshot data/snap0 created\n");
    assert_eq!(sim.ok(&on(&["create", "disks", "data", "-q"])), "snap1\n");
    sim.ok(&on(&["disks", "data", "before", "--comment", "Avant", "--expiry", "7d"]));
    assert!(sim.fails(4, &on(&["create", "disks", "data", "before"])).contains("exists already"));
    let list = sim.ok(&on(&["list", "disks", "data", "--format", "csv"]));
    assert!(list.starts_with("snap0,") && list.trim_end().ends_with(",Avant"), "{list}");
    let json = sim.ok(&on(&["list", "disks", "data", "--format", "json"]));
    assert!(json.contains("\"name\": \"before\"") || json.contains("\"name\":\"before\""), "{json}");
    for words in [&["show", "disks", "data", "before"][..], &["show", "disks", "data/before"]] {
        let shown = sim.ok(&on(words));
        assert!(shown.contains("user.team: red") && shown.contains("description: Avant"), "{shown}");
    }
    assert!(sim.fails(2, &on(&["show", "disks", "data"])).contains("which snapshot"));
    assert!(sim.ok(&["storage", "volume", "info", "disks", "data"]).contains("Snapshots:"));
    sim.ok(&on(&["rename", "disks", "data", "before", "after"]));
    sim.ok(&on(&["restore", "disks", "data", "after"]));
    assert!(sim.fails(3, &on(&["restore", "disks", "data", "before"])).contains("no snapshot before"));
    sim.ok(&on(&["delete", "disks", "data", "snap0", "snap1", "after"]));
    assert_eq!(sim.ok(&on(&["list", "disks", "data", "--format", "csv"])), "");
    sim.ok(&["storage", "volume", "set", "disks", "data", "snapshots.schedule=@daily", "snapshots.expiry=1w"]);
    assert!(sim.fails(2, &["storage", "volume", "set", "disks", "data", "snapshots.schedule=@startup"]).contains("not started"));
}
