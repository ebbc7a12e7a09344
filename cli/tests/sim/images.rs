//! Images, and what holds instances up: networks and pools.

use crate::daemon::Sim;

#[test]
fn an_image_is_copied_named_exported_and_imported_again() {
    let sim = Sim::start();
    let said = sim.ok(&["image", "copy", "sim:empty", "local:", "--alias", "mine"]);
    let fingerprint = said.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(fingerprint.len(), 64, "{said}");
    sim.ok(&["image", "alias", "create", "other", "mine"]);
    sim.ok(&["image", "alias", "rename", "other", "ours"]);
    assert_eq!(sim.ok(&["image", "alias", "list", "-f", "csv"]).lines().count(), 2);
    assert!(sim.ok(&["image", "info", "ours"]).contains(&format!("Fingerprint: {fingerprint}\n")));
    assert_eq!(sim.ok(&["image", "list", "-q"]), format!("{fingerprint}\n"));
    let target = sim.path("exported");
    sim.ok(&["image", "export", "mine", target.to_str().unwrap()]);
    assert!(target.metadata().unwrap().len() > 0);
    sim.ok(&["image", "delete", "mine"]);
    assert_eq!(sim.ok(&["image", "list", "--format", "csv"]), "");
    assert_eq!(sim.ok(&["image", "import", "-q", target.to_str().unwrap(), "--alias", "back"]).trim().len(), 64);
    sim.ok(&["launch", "back", "c1"]);
    sim.fails(3, &["image", "info", "nonesuch"]);
    sim.fails(1, &["image", "import", "/nonexistent"]);
    sim.fails(8, &["image", "import", "https://example.org/x.tar.xz"]);
    assert!(sim.ok(&["image", "list", "sim:", "-c", "l", "-f", "csv"]).lines().any(|line| line == "empty"));
}

#[test]
fn an_export_that_fails_leaves_no_file() {
    let sim = Sim::start();
    let target = sim.path("sub");
    std::fs::create_dir(&target).unwrap();
    sim.fails(3, &["image", "export", "nonesuch", target.to_str().unwrap()]);
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
}

#[test]
fn interfaces_are_attached_by_the_network_and_taken_away_again() {
    let sim = Sim::start();
    sim.ok(&["launch", "sim:empty", "c1"]);
    sim.ok(&["stop", "c1", "--force"]);
    sim.ok(&["network", "create", "lab", "ipv4.address=10.9.0.1/24"]);
    sim.ok(&["network", "attach", "lab", "c1"]);
    assert_eq!(sim.ok(&["config", "device", "get", "c1", "lab", "name"]), "eth1\n", "eth0 is the profile's");
    sim.ok(&["network", "attach", "lab", "c1", "second", "lan0"]);
    assert!(sim.ok(&["network", "info", "lab"]).contains("Used by: instance c1\n"));
    assert!(sim.fails(5, &["network", "delete", "lab"]).contains("instance c1"));
    assert!(sim.fails(5, &["network", "rename", "lab", "office"]).contains("instance c1"));
    sim.fails(2, &["network", "detach", "lab", "c1"]);
    sim.ok(&["network", "detach", "lab", "c1", "second"]);
    sim.ok(&["network", "detach", "lab", "c1"]);
    sim.fails(3, &["network", "detach", "lab", "c1"]);
    sim.ok(&["network", "attach-profile", "lab", "default", "eth1"]);
    assert!(sim.fails(5, &["network", "delete", "lab"]).contains("profile default"));
    sim.ok(&["network", "detach-profile", "lab", "default"]);
    sim.fails(4, &["network", "rename", "lab", "lxbr0"]);
    sim.ok(&["network", "delete", "lab"]);
}

#[test]
fn allocations_are_the_subnets_and_who_has_an_address_in_them() {
    let sim = Sim::start();
    sim.ok(&["launch", "sim:empty", "c1"]);
    let rows = sim.ok(&["network", "list-allocations", "--format", "csv,noheader"]);
    assert!(rows.contains("lxbr0,10.99.0.1/24,network,") && rows.contains("c1,10.99.0.2/32,instance,"), "{rows}");
    assert_eq!(sim.ok(&["network", "list", "-c", "nu", "--format", "csv,noheader"]), "lxbr0,1\n");
    sim.fails(2, &["network", "list", "-c", "nz"]);
}

#[test]
fn networks_and_pools_are_made_shown_and_deleted() {
    let sim = Sim::start();
    assert_eq!(sim.ok(&["network", "create", "lab", "ipv4.address=10.9.0.1/24"]), "Network lab created\n");
    assert!(sim.ok(&["network", "show", "lab"]).contains("ipv4.address: 10.9.0.1/24"));
    assert_eq!(sim.ok(&["network", "get", "lab", "ipv4.address"]), "10.9.0.1/24\n");
    sim.fails(4, &["network", "create", "lab"]);
    assert_eq!(sim.ok(&["network", "rename", "lab", "office"]), "Network lab renamed to office\n");
    sim.fails(3, &["network", "show", "lab"]);
    sim.ok(&["network", "delete", "office"]);
    sim.fails(3, &["network", "show", "office"]);
    let source = format!("source={}", sim.path("plain").display());
    assert_eq!(sim.ok(&["storage", "create", "plain", "dir", &source]), "Storage pool plain created\n");
    assert!(sim.ok(&["storage", "info", "plain"]).contains("Driver: dir\n"));
    assert!(sim.ok(&["storage", "list", "-q"]).lines().any(|name| name == "plain"));
    sim.ok(&["storage", "delete", "plain"]);
    sim.fails(8, &["storage", "create", "x", "nonesuch"]);
}
