//! Looking on: monitor, operations, doctor, completion; and nobody to ask.

use crate::daemon::{End, Sim};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn the_monitor_shows_a_launch_as_it_happens() {
    let sim = Sim::start();
    let mut monitor = sim.command(&["monitor", "--format", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(monitor.stdout.take().unwrap()).lines();
    // It listens once it reports something; instances are made until it does.
    let mut made = 0;
    let first = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| lines.next().unwrap().unwrap());
        while !waiting.is_finished() {
            made += 1;
            sim.ok(&["launch", "-q", "sim:empty", &format!("c{made}")]);
        }
        waiting.join().unwrap()
    });
    let event: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert!(event["event"].is_string() && event["time"].is_string(), "{first}");
    sim.ok(&["launch", "-q", "sim:empty", "last"]);
    let running = |line: &str| line.contains("\"name\":\"last\"") && line.contains("\"new\":\"running\"");
    assert!(lines.by_ref().any(|line| running(&line.unwrap())));
    monitor.kill().unwrap();
    monitor.wait().unwrap();
}

#[test]
fn operations_are_listed_and_shown() {
    let sim = Sim::start();
    sim.ok(&["create", "sim:empty", "c1"]);
    let rows = sim.ok(&["operation", "list", "--format", "csv"]);
    let id = rows.lines().find(|row| row.contains("instance.create")).unwrap().split(',').next().unwrap().to_owned();
    assert!(sim.ok(&["operation", "show", &id]).contains("verb: instance.create"));
    assert!(sim.fails(3, &["launch", "-q", "sim:nonesuch", "c2"]).contains("nonesuch"));
    let rows = sim.ok(&["operation", "list", "--format", "csv"]);
    assert!(rows.contains("instance.create,FAILED") && rows.contains("instance.create,DONE"), "{rows}");
    let rows: serde_json::Value = serde_json::from_str(&sim.ok(&["operation", "list", "--format", "json"])).unwrap();
    assert!(rows.as_array().unwrap().iter().any(|row| row["status"] == "failed"), "{rows}");
    sim.fails(3, &["operation", "show", "999999"]);
    sim.fails(3, &["operation", "delete", "999999"]);
}

#[test]
fn everything_that_is_shown_is_json_when_asked_and_else_yaml() {
    let sim = Sim::start();
    sim.ok(&["launch", "sim:empty", "c1"]);
    let first = |list: &[&str]| sim.ok(list).lines().next().unwrap().to_owned();
    let (id, image) = (first(&["operation", "list", "-q"]), first(&["image", "list", "-q"]));
    for show in [
        "config show c1",
        "config device show c1",
        "profile show default",
        "network show lxbr0",
        "network info lxbr0",
        "storage show default",
        "storage info default",
        &format!("image show {image}"),
        &format!("image info {image}"),
        "info c1",
        "info",
        "info --resources",
        "version",
        &format!("operation show {id}"),
    ] {
        let words: Vec<&str> = show.split(' ').collect();
        let out = sim.ok(&[&words[..], &["--format", "json"]].concat());
        let json: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{show}: {error}: {out}"));
        assert!(json.is_object(), "{show}: {out}");
        assert!(!sim.ok(&words).trim_start().starts_with('{') || show.contains("device"), "{show}");
    }
}

#[test]
fn every_list_is_printed_in_every_format() {
    let sim = Sim::start();
    sim.ok(&["launch", "sim:empty", "c1"]);
    for list in [
        "list",
        "image list",
        "network list",
        "network list-allocations",
        "network list-leases lxbr0",
        "storage list",
        "profile list",
        "operation list",
        "doctor",
        "config device list c1",
    ] {
        for format in ["table", "compact", "csv", "json", "yaml"] {
            let args: Vec<&str> = list.split(' ').chain(["--format", format]).collect();
            let out = sim.ok(&args);
            if format == "json" {
                assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok(), "{args:?}: {out}");
            }
        }
    }
}

#[test]
fn names_are_completed() {
    let sim = Sim::start();
    sim.ok(&["create", "sim:empty", "web1"]);
    sim.ok(&["create", "sim:empty", "db1"]);
    let complete = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lxctl"));
        sim.environment(&mut command);
        command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string()).env("_CLAP_IFS", "\n");
        let output = command.arg("--").args(words).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["lxctl", "stop", "w"]), ["web1"]);
    assert!(complete(&["lxctl", "exec", ""]).iter().any(|name| name == "db1"));
    assert!(complete(&["lxctl", "lau"]).iter().any(|verb| verb == "launch"));
    assert!(complete(&["lxctl", "profile", "show", ""]).iter().any(|name| name == "default"));
}

#[test]
fn without_a_daemon_there_is_a_hint_and_no_hang() {
    let mut sim = Sim::start();
    sim.without_daemon();
    let error = sim.fails(1, &["list"]);
    assert!(error.contains("systemctl status lxhostd"), "{error}");
    let doctor = sim.run(&["doctor", "--format", "csv"]);
    assert_eq!(doctor.code, 1);
    assert!(doctor.out.starts_with("daemon,fail,"), "{}", doctor.out);
    let version = sim.run(&["version"]);
    assert_eq!(version.code, 0);
    assert!(version.out.contains("unreachable"), "{}", version.out);
    let mut command = sim.command(&["list"]);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    let end = End::from(command.output().unwrap());
    assert_eq!(end.code, 1);
    assert!(end.err.starts_with("Error: cannot reach the system bus"), "{}", end.err);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let sim = Sim::start();
    sim.ok(&["create", "sim:empty", "c1"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let end = End::from(sim.command(&["list"]).stdout(writer).output().unwrap());
    assert_eq!((end.code, end.err.as_str()), (0, ""));
}
