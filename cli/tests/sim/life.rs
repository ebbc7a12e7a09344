//! Instances from launch to delete, their configuration, and what they share.

use crate::daemon::Sim;
use std::process::Stdio;

#[test]
fn a_container_lives_from_launch_to_delete() {
    let sim = Sim::start();
    let end = sim.run(&["launch", "sim:empty", "c1", "-c", "user.team=red", "-c", "limits.memory=1GiB"]);
    assert_eq!((end.code, end.out.as_str()), (0, "Launching c1\n"), "{}", end.err);
    assert!(end.err.contains("pool default") && end.err.contains("lxbr0"), "the first launch says what it made: {}", end.err);
    sim.ok(&["wait", "c1"]);
    sim.ok(&["wait", "c1", "--for", "address"]);
    assert!(sim.ok(&["list", "-c", "ns4t", "--format", "csv"]).starts_with("c1,RUNNING,10."));
    assert_eq!(sim.ok(&["list", "-c", "n,user.team", "user.team=red", "--format", "csv"]), "c1,red\n");
    assert!(sim.fails(5, &["delete", "c1"]).contains("--force"));
    sim.ok(&["pause", "c1"]);
    assert_eq!(sim.ok(&["list", "-c", "s", "--format", "csv"]), "FROZEN\n");
    sim.ok(&["resume", "c1"]);
    sim.ok(&["restart", "c1"]);
    sim.ok(&["stop", "c1"]);
    sim.ok(&["wait", "c1", "--for", "stopped"]);
    sim.ok(&["rename", "c1", "web"]);
    sim.ok(&["start", "web"]);
    sim.ok(&["delete", "--force", "web"]);
    assert_eq!(sim.ok(&["list", "--format", "csv"]), "");
}

#[test]
fn more_instances_than_the_bus_allows_calls_are_listed_and_deleted() {
    let sim = Sim::start();
    let names: Vec<String> = (0..140).map(|i| format!("n{i}")).collect();
    for name in &names {
        sim.ok(&["init", "sim:empty", name, "-c", "user.team=red"]);
    }
    assert_eq!(sim.ok(&["list", "-c", "n,user.team", "user.team=red", "--format", "csv"]).lines().count(), 140);
    let words: Vec<&str> = ["delete"].into_iter().chain(names.iter().map(String::as_str)).collect();
    sim.ok(&words);
    assert_eq!(sim.ok(&["list", "--format", "csv"]), "");
}

#[test]
fn a_generated_name_is_what_quiet_prints() {
    let sim = Sim::start();
    let name = sim.ok(&["launch", "-q", "sim:empty"]).trim().to_owned();
    assert!(name.split('-').count() == 2, "{name}");
    assert_eq!(sim.ok(&["list", "-q"]), format!("{name}\n"));
    let said = sim.ok(&["create", "sim:empty"]);
    assert!(said.starts_with("Creat") && said.lines().count() == 1, "{said}");
    assert_eq!(sim.ok(&["list", "-q", "status=stopped"]).lines().count(), 1);
}

#[test]
fn several_names_are_tried_all_and_the_first_failure_is_the_status() {
    let sim = Sim::start();
    sim.ok(&["create", "sim:empty", "a"]);
    sim.ok(&["create", "sim:empty", "b"]);
    let error = sim.fails(3, &["start", "a", "nope", "b"]);
    assert!(error.contains("\"nope\""), "{error}");
    assert_eq!(sim.ok(&["list", "-c", "ns", "--format", "csv"]), "a,RUNNING\nb,RUNNING\n");
    sim.ok(&["stop", "--all"]);
    assert_eq!(sim.ok(&["list", "-q", "status=running"]), "");
    sim.ok(&["start", "--all"]);
    assert_eq!(sim.ok(&["list", "-q", "status=running"]).lines().count(), 2);
}

#[test]
fn bad_names_and_images_are_refused_and_nothing_is_made() {
    let sim = Sim::start();
    for name in ["../x", "a/b", "a b", "a\nb", "-", &"a".repeat(300), "é"] {
        sim.fails(2, &["launch", "sim:empty", name]);
        sim.fails(2, &["launch", "sim:empty", "--", name]);
    }
    assert!(sim.fails(3, &["launch", "ubuntu:16:04", "c1"]).contains("ubuntu:16.04"));
    sim.fails(3, &["launch", "-q", "nonesuch", "c1"]);
    sim.fails(3, &["launch", "sim:nonesuch"]);
    sim.fails(2, &["launch", "-q", "sim:empty", "c1", "-c", "limits.memry=1"]);
    sim.fails(2, &["launch", "sim:empty", "c1", "-d", "eth9,mtu=1"]);
    sim.fails(8, &["launch", "sim:empty", "c1", "--vm"]);
    assert_eq!(sim.ok(&["list", "--format", "csv"]), "");
}

#[test]
fn configuration_and_devices_are_set_shown_and_unset() {
    let sim = Sim::start();
    sim.ok(&["create", "sim:empty", "c1", "-d", "root,pool=default"]);
    sim.ok(&["config", "set", "c1", "limits.memory", "1GiB"]);
    sim.ok(&["config", "set", "c1", "limits.memory=2GiB", "boot.autostart=true"]);
    assert_eq!(sim.ok(&["config", "get", "c1", "limits.memory"]), "2GiB\n");
    assert!(sim.fails(2, &["config", "set", "c1", "limits.memry", "1"]).contains("limits.memory"));
    sim.fails(8, &["config", "set", "core.https_address", "[::]"]);
    assert!(sim.fails(2, &["config", "device", "set", "c1", "root", "size=5KiB"]).contains("1MiB"));
    sim.ok(&["config", "device", "set", "c1", "root", "size=5GiB"]);
    assert_eq!(sim.ok(&["config", "device", "get", "c1", "root", "size"]), "5GiB\n");
    sim.ok(&["config", "unset", "c1", "boot.autostart"]);
    let shown = sim.ok(&["config", "show", "c1"]);
    assert!(shown.contains("config:\n  limits.memory: 2GiB\ndevices:\n  root:\n") && shown.contains("pool: default"), "{shown}");
    sim.ok(&["config", "device", "add", "c1", "eth1", "nic", "network=lxbr0"]);
    sim.ok(&["config", "device", "set", "c1", "eth1", "mtu", "1400"]);
    sim.ok(&["config", "device", "set", "c1", "eth0", "mtu=1300"]);
    assert_eq!(sim.ok(&["config", "device", "get", "c1", "eth1", "mtu"]), "1400\n");
    assert_eq!(sim.ok(&["config", "device", "list", "c1", "--format", "csv"]), "eth0,nic\neth1,nic\nroot,disk\n");
    sim.fails(4, &["config", "device", "add", "c1", "eth1", "nic"]);
    sim.fails(3, &["config", "device", "remove", "c1", "eth9"]);
    sim.ok(&["config", "device", "remove", "c1", "eth1"]);
    let yaml = sim.path("c1.yaml");
    std::fs::write(&yaml, "config: {user.a: 1}\ndevices: {}\nprofiles: [default]\n").unwrap();
    let mut edit = sim.command(&["config", "edit", "c1"]);
    assert!(edit.stdin(std::fs::File::open(&yaml).unwrap()).status().unwrap().success());
    assert_eq!(sim.ok(&["config", "get", "c1", "user.a"]), "1\n");
    assert_eq!(sim.ok(&["config", "get", "c1", "limits.memory"]), "\n");
}

#[test]
fn a_definition_in_a_file_makes_an_instance_and_a_pipe_is_left_alone() {
    let sim = Sim::start();
    let yaml = sim.path("c1.yaml");
    std::fs::write(&yaml, "config:\n  user.from: file\n").unwrap();
    let mut launch = sim.command(&["launch", "sim:empty", "c1"]);
    assert!(launch.stdin(std::fs::File::open(&yaml).unwrap()).stdout(Stdio::null()).status().unwrap().success());
    assert_eq!(sim.ok(&["config", "get", "c1", "user.from"]), "file\n");
    // Nobody ever writes to this pipe or closes it.
    let (reader, _writer) = std::io::pipe().unwrap();
    assert!(sim.command(&["launch", "sim:empty", "c2"]).stdin(reader).stdout(Stdio::null()).status().unwrap().success());
}

#[test]
fn profiles_are_made_used_and_deleted() {
    let sim = Sim::start();
    sim.ok(&["create", "sim:empty", "c1"]);
    let yaml = sim.path("web.yaml");
    std::fs::write(&yaml, "config:\n  limits.processes: 100\ndescription: Web\nname: ignored\n").unwrap();
    let mut create = sim.command(&["profile", "create", "web"]);
    assert!(create.stdin(std::fs::File::open(&yaml).unwrap()).stdout(Stdio::null()).status().unwrap().success());
    sim.ok(&["profile", "set", "web", "limits.memory", "1GB"]);
    sim.ok(&["profile", "assign", "c1", "default,web"]);
    assert_eq!(sim.ok(&["config", "get", "--expanded", "c1", "limits.processes"]), "100\n");
    let shown = sim.ok(&["profile", "show", "web"]);
    assert!(shown.contains("description: Web") && shown.contains("used_by:\n- c1"), "{shown}");
    sim.fails(5, &["profile", "delete", "web"]);
    sim.ok(&["profile", "remove", "c1", "web"]);
    sim.ok(&["profile", "copy", "web", "web2"]);
    sim.ok(&["profile", "unset", "web2", "limits.memory"]);
    assert_eq!(sim.ok(&["profile", "get", "web2", "limits.memory"]), "\n");
    sim.ok(&["profile", "delete", "web"]);
    assert_eq!(sim.ok(&["profile", "list", "-q"]), "default\nweb2\n");
}

#[test]
fn init_makes_what_is_missing_and_its_dump_makes_the_same() {
    let sim = Sim::start();
    let said = sim.ok(&["init", "--auto"]);
    assert!(said.contains("pool default") && said.contains("lxbr0"), "{said}");
    assert_eq!(sim.ok(&["init", "--auto"]), "");
    let dump = sim.ok(&["init", "--dump"]);
    let other = Sim::start();
    std::fs::write(other.path("preseed"), &dump).unwrap();
    let file = std::fs::File::open(other.path("preseed")).unwrap();
    assert!(other.command(&["init", "--preseed"]).stdin(file).stdout(Stdio::null()).status().unwrap().success());
    assert_eq!(other.ok(&["network", "list", "--format", "csv"]), sim.ok(&["network", "list", "--format", "csv"]));
    assert_eq!(other.ok(&["profile", "show", "default"]), sim.ok(&["profile", "show", "default"]));
    assert!(other.fails(2, &["init"]).contains("--auto"));
}
