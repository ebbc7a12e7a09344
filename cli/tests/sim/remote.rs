//! `-H`: the same on another host. ssh is a script that runs the line here, as the far shell would.

use crate::daemon::{End, Sim};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Says on standard error where it was to go, and runs the line.
const SSH: &str = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\necho \"to $2\" >&2\nexec sh -c \"$3\"\n";

fn far(sim: &Sim, args: &[&str]) -> Command {
    let ssh = sim.path("ssh");
    if !ssh.exists() {
        std::fs::write(&ssh, SSH).unwrap();
        std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let lxctl = Path::new(env!("CARGO_BIN_EXE_lxctl")).parent().unwrap();
    let path = format!("{}:{}:{}", ssh.parent().unwrap().display(), lxctl.display(), std::env::var("PATH").unwrap());
    let mut command = sim.command(args);
    command.env("PATH", path);
    command
}

fn run(sim: &Sim, args: &[&str]) -> End {
    far(sim, args).output().unwrap().into()
}

#[test]
fn every_verb_works_on_another_host() {
    let sim = Sim::start();
    let launched = run(&sim, &["-H", "alice@far", "launch", "-q", "sim:empty", "c1"]);
    assert_eq!((launched.code, launched.out.as_str()), (0, "c1\n"), "{}", launched.err);
    assert!(launched.err.contains("to alice@far"), "{}", launched.err);
    assert_eq!(run(&sim, &["list", "-c", "n", "--format", "csv,noheader", "--host=far"]).out, "c1\n");
    let ran = run(&sim, &["exec", "-Hfar", "c1", "--", "sh", "-c", "echo \"a  b\" '$x' \\*; exit 42"]);
    assert_eq!((ran.code, ran.out.as_str()), (42, "a  b $x *\n"), "{}", ran.err);
    assert_eq!(run(&sim, &["-H", "far", "info", "nobody"]).code, 3);
}

#[test]
fn standard_input_goes_there_too() {
    let sim = Sim::start();
    sim.ok(&["launch", "-q", "sim:empty", "c1"]);
    let mut child = far(&sim, &["-H", "far", "exec", "c1", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"\0\xff text").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"\0\xff text"[..]));
}

#[test]
fn what_is_no_host_never_reaches_ssh() {
    let sim = Sim::start();
    for host in ["-oProxyCommand=touch /tmp/x", "", "a b"] {
        let end = run(&sim, &[&format!("--host={host}"), "list"]);
        assert_eq!(end.code, 2, "{host}: {}", end.err);
        assert!(!end.err.contains("to "), "{host}: {}", end.err);
    }
}
