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
fn networks_and_pools_are_made_shown_and_deleted() {
    let sim = Sim::start();
    assert_eq!(sim.ok(&["network", "create", "lab", "ipv4.address=10.9.0.1/24"]), "Network lab created\n");
    assert!(sim.ok(&["network", "show", "lab"]).contains("ipv4.address: 10.9.0.1/24"));
    assert_eq!(sim.ok(&["network", "get", "lab", "ipv4.address"]), "10.9.0.1/24\n");
    sim.fails(4, &["network", "create", "lab"]);
    sim.ok(&["network", "delete", "lab"]);
    sim.fails(3, &["network", "show", "lab"]);
    let source = format!("source={}", sim.path("plain").display());
    assert_eq!(sim.ok(&["storage", "create", "plain", "dir", &source]), "Storage pool plain created\n");
    assert!(sim.ok(&["storage", "info", "plain"]).contains("Driver: dir\n"));
    assert!(sim.ok(&["storage", "list", "-q"]).lines().any(|name| name == "plain"));
    sim.ok(&["storage", "delete", "plain"]);
    sim.fails(8, &["storage", "create", "x", "nonesuch"]);
}
