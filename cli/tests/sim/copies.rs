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
    assert!(sim.fails(8, &["copy", "c1", "c2", "--refresh"]).contains("--refresh"));
    assert!(sim.fails(8, &["copy", "c1", "serveur2:c1"]).contains("serveur2"));
    assert!(sim.fails(2, &["copy", "c1", "c/9"]).contains("name"));
}
