//! Commands, shells and consoles: data, ends, signals, terminals.

use crate::daemon::{End, Sim};
use crate::terminal::Terminal;
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Termios};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

fn started() -> Sim {
    let sim = Sim::start();
    sim.ok(&["launch", "-q", "sim:empty", "c1"]);
    sim
}

#[test]
fn the_streams_are_separate_and_the_status_is_the_commands() {
    let sim = started();
    let end = sim.run(&["exec", "c1", "--", "sh", "-c", "echo out; echo err >&2; exit 42"]);
    assert_eq!((end.code, end.out.as_str(), end.err.as_str()), (42, "out\n", "err\n"));
    assert_eq!(sim.run(&["exec", "c1", "--", "sh", "-c", "kill -9 $$"]).code, 137);
    assert_eq!(sim.run(&["exec", "c1", "--", "sh", "-c", "kill -TERM $$"]).code, 143);
    let error = sim.fails(127, &["exec", "c1", "--", "nonesuch"]);
    assert!(error.contains("nonesuch"), "{error}");
    let out = sim.ok(&["exec", "c1", "--env", "A=b c", "--cwd", "/usr", "--", "sh", "-c", "echo $A; pwd"]);
    assert_eq!(out, "b c\n/usr\n");
    sim.fails(3, &["exec", "c2", "--", "true"]);
    sim.ok(&["stop", "c1"]);
    assert!(sim.fails(5, &["exec", "c1", "--", "true"]).contains("lxctl start c1"));
}

#[test]
fn data_goes_through_unchanged_and_ends_when_the_input_ends() {
    let sim = started();
    let data: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let mut child = sim.command(&["exec", "c1", "--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sent = data.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let mut back = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(back == data);
}

#[test]
fn no_standard_input_is_the_null_device() {
    let sim = started();
    let (reader, _writer) = std::io::pipe().unwrap();
    let end = sim.command(&["exec", "-n", "c1", "--", "cat"]).stdin(reader).output().unwrap();
    assert_eq!((end.status.code(), end.stdout.len()), (Some(0), 0));
}

#[test]
fn a_signal_to_lxctl_reaches_the_command() {
    let sim = started();
    let script = "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = sim.command(&["exec", "c1", "--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "got");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_terminal_is_passed_on_with_its_size_and_restored() {
    let sim = started();
    let script = "trap 'stty size' WINCH; tty; stty size; while read -r line; do echo \"<$line>\"; done; exit 3";
    let mut terminal = Terminal::run(&sim, &["exec", "c1", "--", "sh", "-c", script]);
    let shown = terminal.expect("10 40");
    assert!(shown.contains("/dev/pts/"), "{shown}");
    let raw = terminal.settings();
    terminal.type_in("hällo\n");
    terminal.expect("<hällo>");
    terminal.resize(20, 60);
    // The shell looks at its trap when the next line comes.
    terminal.type_in("x\n");
    terminal.expect("20 60");
    terminal.type_in("\u{4}");
    let (code, after) = terminal.settings_after_end();
    assert_eq!(code, 3);
    let echoes = |settings: &Termios| settings.local_modes.contains(LocalModes::ECHO);
    assert!(!echoes(&raw) && echoes(&after), "raw while it ran, and as before after it");
}

#[test]
fn ctrl_c_on_a_terminal_is_the_commands() {
    let sim = started();
    let mut terminal = Terminal::run(&sim, &["exec", "c1", "--", "sh", "-c", "echo ready; exec sleep 60"]);
    terminal.expect("ready");
    terminal.type_in("\u{3}");
    assert_eq!(terminal.end(), 130);
}

#[test]
fn a_forced_terminal_takes_its_input_from_a_pipe() {
    let sim = started();
    let mut child = sim
        .command(&["exec", "-t", "c1", "--", "sh", "-c", "tty; read -r x; echo \"<$x>\"; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"abc\n").unwrap();
    let end = End::from(child.wait_with_output().unwrap());
    assert_eq!(end.code, 0, "{}", end.err);
    assert!(end.out.contains("/dev/pts/") && end.out.contains("<abc>\r\n"), "{}", end.out);
}

#[test]
fn the_console_is_left_by_its_escape_and_keeps_a_log() {
    let sim = started();
    let mut terminal = Terminal::run(&sim, &["console", "c1"]);
    terminal.expect("Ctrl-a q");
    terminal.type_in("hello\r");
    terminal.expect("hello");
    terminal.type_in("\u{1}q");
    assert_eq!(terminal.end(), 0);
    assert!(sim.ok(&["console", "c1", "--show-log"]).contains("hello"));
}
