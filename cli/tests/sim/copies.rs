//! Copies as people type them.

use crate::daemon::Sim;

#[test]
fn instances_and_snapshots_are_copied_as_lxd_and_incus_do() {
    let sim = Sim::start();
    sim.ok(&["create", "sim:empty", "c1", "-c", "user.team=red", "--description", "first"]);
    sim.ok(&["snapshot", "c1", "before"]);
    sim.ok(&["config", "set", "c1", "user.team=blue"]);
    assert_eq!(sim.ok(&["copy", "c1", "c2"]), "");
    assert_eq!(sim.ok(&["config", "get", "c2", "user.team"]), "blue\n");
    assert!(sim.ok(&["info", "c2"]).contains("Description: first"));
    sim.ok(&["copy", "c1/before", "c3", "-c", "user.more=1", "--stateless"]);
    assert_eq!(sim.ok(&["config", "get", "c3", "user.team"]), "red\n");
    assert_eq!(sim.ok(&["config", "get", "c3", "user.more"]), "1\n");
    sim.ok(&["cp", "c1", "c4", "--instance-only", "--no-profiles", "--description", "fourth"]);
    assert_eq!(sim.ok(&["list", "-c", "nS", "--format", "csv"]), "c1,1\nc2,1\nc3,0\nc4,0\n");
    sim.ok(&["copy", "c1", "c5", "-d", "eth0,ipv4.address=10.0.3.9", "--copy-snapshots"]);
    let devices = sim.ok(&["config", "device", "show", "c5"]);
    assert!(devices.contains("10.0.3.9") && devices.contains("network:"), "{devices}");
    let named = sim.ok(&["copy", "c1", "-q"]);
    assert!(sim.ok(&["list", "-q"]).contains(&named), "{named}");
    assert!(sim.ok(&["copy", "c1"]).starts_with("Copied to "));
    assert!(sim.fails(4, &["copy", "c1", "c2"]).contains("exists already"));
    assert!(sim.fails(3, &["copy", "c1/gone", "c9"]).contains("no snapshot gone"));
    assert!(sim.fails(3, &["copy", "c8", "c9"]).contains("c8"));
    sim.ok(&["snapshot", "create", "c1", "later"]);
    assert_eq!(sim.ok(&["copy", "c1", "c2", "--refresh", "--storage", "default"]), "c2 is as c1 is\n");
    assert!(sim.ok(&["snapshot", "list", "c2", "-q"]).contains("later"));
    sim.ok(&["copy", "c1/later", "c6", "--refresh"]);
    assert!(sim.fails(2, &["copy", "c1", "c1", "--refresh"]).contains("itself"));
    assert!(sim.fails(2, &["copy", "c1", "--refresh"]).contains("which copy"));
    assert!(sim.fails(8, &["copy", "c1", "serveur2:c1"]).contains("serveur2"));
    assert!(sim.fails(2, &["copy", "c1", "c/9"]).contains("name"));
}

#[test]
fn a_volume_is_copied_and_moved_in_both_grammars() {
    let sim = Sim::start();
    sim.ok(&["storage", "create", "disks", "dir"]);
    sim.ok(&["storage", "create", "fast", "dir"]);
    sim.ok(&["storage", "volume", "create", "disks", "data", "user.team=red"]);
    sim.ok(&["storage", "volume", "snapshot", "disks", "data", "s1"]);
    let on = |words: &[&'static str]| [&["storage", "volume"], words].concat();
    assert_eq!(sim.ok(&on(&["copy", "disks/data", "disks/data2"])), "Storage volume data copied to disks/data2\n");
    assert_eq!(sim.ok(&on(&["snapshot", "list", "disks", "data2", "-q"])), "s1\n");
    sim.ok(&on(&["copy", "disks", "data", "fast", "data", "--volume-only"]));
    assert_eq!(sim.ok(&on(&["snapshot", "list", "fast", "data", "-q"])), "");
    sim.ok(&on(&["cp", "disks/data/s1", "fast/old"]));
    assert_eq!(sim.ok(&on(&["get", "fast", "old", "user.team"])), "red\n");
    sim.ok(&on(&["copy", "disks/data", "fast/data", "--refresh"]));
    assert_eq!(sim.ok(&on(&["snapshot", "list", "fast", "data", "-q"])), "s1\n");
    assert!(sim.fails(2, &on(&["copy", "disks/data", "disks/data", "--refresh"])).contains("itself"));
    assert!(sim.fails(4, &on(&["copy", "disks/data", "fast/data"])).contains("exists already"));
    assert!(sim.fails(2, &on(&["copy", "disks/data", "fast"])).contains("from where"));
    assert!(sim.fails(2, &on(&["move", "disks/data/s1", "fast/x"])).contains("snapshot stays"));
    assert!(sim.fails(3, &on(&["copy", "disks/data/s9", "fast/x"])).contains("no snapshot s9"));
    assert_eq!(sim.ok(&on(&["move", "disks/data2", "disks/data3"])), "Storage volume data2 moved to disks/data3\n");
    sim.ok(&on(&["mv", "disks", "data3", "fast", "data4"]));
    assert_eq!(sim.ok(&on(&["snapshot", "list", "fast", "data4", "-q"])), "s1\n");
    assert_eq!(sim.ok(&on(&["list", "disks", "-q"])), "data\n");
}
