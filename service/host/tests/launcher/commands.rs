//! Commands in a container: streams, ends, users, terminals, and what they may leave.

use lxhost_engine::ports::launcher::{Exec, ExecResult, Launcher, LauncherEvent};
use lxhost_model::Kind;

use crate::host::{Guest, runtime};

const IDLE: [&str; 2] = ["/bin/sleep", "1000"];

#[tokio::test]
async fn streams_are_separate_and_the_status_is_exact() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &IDLE).await;
    let (out, err, result) = guest.sh(1, "echo out; echo err >&2; exit 7").await;
    assert_eq!((out.as_str(), err.as_str(), result), ("out\n", "err\n", ExecResult::Exited(7)));
    let (_, _, result) = guest.sh(2, "kill -9 $$").await;
    assert_eq!(result, ExecResult::Signaled(9, false));
    guest.finish().await;
}

#[tokio::test]
async fn every_byte_passes_and_the_end_of_input_is_seen() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &IDLE).await;
    let all: Vec<u8> = (0..=255).collect();
    let exec = Exec { session: 1, argv: vec!["cat".into()], ..Exec::default() };
    let (out, _, result) = guest.command(exec, &all).await;
    assert_eq!(out, all.iter().map(|byte| char::from(*byte)).collect::<String>());
    assert_eq!(result, ExecResult::Exited(0));
    guest.finish().await;
}

#[tokio::test]
async fn users_groups_and_directories_are_those_of_the_container() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &IDLE).await;
    let argv = |line: &str| vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()];
    let exec =
        Exec { session: 1, argv: argv("id -u; id -G; pwd; echo $HOME $USER"), user: Some("ada".into()), ..Exec::default() };
    let (out, _, _) = guest.command(exec, b"").await;
    assert_eq!(out, "1000\n1000 50\n/tmp\n/tmp ada\n");
    let exec = Exec {
        session: 2,
        argv: argv("pwd; grep CapEff /proc/self/status"),
        user: Some("ada".into()),
        cwd: Some("/etc".into()),
        ..Exec::default()
    };
    let (out, _, _) = guest.command(exec, b"").await;
    assert_eq!(out, "/etc\nCapEff:\t0000000000000000\n");
    guest.finish().await;
}

#[tokio::test]
async fn what_is_not_there_is_named_and_changes_nothing() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &IDLE).await;
    let with = |change: &dyn Fn(&mut Exec)| {
        let mut exec = Exec { session: 1, argv: vec!["true".into()], ..Exec::default() };
        change(&mut exec);
        exec
    };
    let wrong = [
        (with(&|e| e.argv = vec!["nothing-there".into()]), Kind::NoSuchCommand, "nothing-there: command not found"),
        (with(&|e| e.argv = vec!["/etc/passwd".into()]), Kind::NotExecutable, "/etc/passwd: Permission denied"),
        (with(&|e| e.user = Some("nobody-here".into())), Kind::InvalidArgs, "there is no user nobody-here inside"),
        (with(&|e| e.group = Some("no-group".into())), Kind::InvalidArgs, "there is no group no-group inside"),
        (with(&|e| e.cwd = Some("/no/such".into())), Kind::InvalidArgs, "there is no directory /no/such inside"),
    ];
    for (exec, kind, message) in wrong {
        let mut exec = exec;
        exec.pty = Some((24, 80));
        let error = guest.launcher.exec_pty(guest.id, exec).await.unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(error.message.contains(message), "{}", error.message);
    }
    let (_, _, result) = guest.sh(1, "true").await;
    assert_eq!(result, ExecResult::Exited(0), "the session number is free again");
    guest.finish().await;
}

#[tokio::test]
async fn a_fifo_in_place_of_passwd_does_not_hold_anybody() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &IDLE).await;
    let (_, _, result) = guest.sh(1, "rm /etc/passwd; mknod /etc/passwd p").await;
    assert_eq!(result, ExecResult::Exited(0));
    let exec = Exec { session: 2, argv: vec!["true".into()], ..Exec::default() };
    assert_eq!(guest.command(exec, b"").await.2, ExecResult::Exited(0));
    guest.finish().await;
}

#[tokio::test]
async fn a_terminal_is_the_containers_own_and_follows_its_size() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &IDLE).await;
    let line = "tty; stty size; read go; stty size; exit 3";
    let exec = Exec { session: 1, argv: vec!["sh".into(), "-c".into(), line.into()], pty: Some((33, 99)), ..Exec::default() };
    let (_, master, path) = guest.launcher.exec_pty(guest.id, exec).await.unwrap();
    let mut terminal = std::fs::File::from(master);
    let mut seen = read_until(&mut terminal, "33 99");
    guest.launcher.exec_resize(guest.id, 1, 40, 120).await.unwrap();
    std::io::Write::write_all(&mut terminal, b"go\n").unwrap();
    seen.push_str(&read_until(&mut terminal, "40 120"));
    assert!(seen.contains(&path), "{seen:?} does not name {path}");
    assert_eq!(guest.next_end().await, LauncherEvent::ExecEnded(guest.id, 1, ExecResult::Exited(3)));
    guest.finish().await;
}

fn read_until(terminal: &mut std::fs::File, wanted: &str) -> String {
    let mut seen = String::new();
    let mut bytes = [0; 256];
    while !seen.contains(wanted) {
        let read = std::io::Read::read(terminal, &mut bytes).unwrap();
        assert!(read > 0, "the terminal closed after {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    seen
}

#[tokio::test]
async fn a_closed_terminal_hangs_the_session_up() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &IDLE).await;
    let exec = Exec { session: 1, argv: vec!["cat".into()], pty: Some((24, 80)), ..Exec::default() };
    let (_, master, _) = guest.launcher.exec_pty(guest.id, exec).await.unwrap();
    drop(master);
    assert_eq!(guest.next_end().await, LauncherEvent::ExecEnded(guest.id, 1, ExecResult::Signaled(1, false)));
    guest.finish().await;
}

#[tokio::test]
async fn a_thousand_commands_leave_no_descriptor_process_or_terminal() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &IDLE).await;
    let monitor = guest.monitor_pid();
    let descriptors = || std::fs::read_dir(format!("/proc/{monitor}/fd")).unwrap().count();
    let children = || std::fs::read_to_string(format!("/proc/{monitor}/task/{monitor}/children")).unwrap();
    guest.sh(1, "true").await;
    let (before, processes) = (descriptors(), children());
    for session in 2..1002 {
        let mut exec = Exec { session, argv: vec!["true".into()], ..Exec::default() };
        if session % 4 == 0 {
            exec.pty = Some((24, 80));
            guest.launcher.exec_pty(guest.id, exec).await.unwrap();
            assert!(matches!(guest.next_end().await, LauncherEvent::ExecEnded(..)));
        } else {
            assert_eq!(guest.command(exec, b"").await.2, ExecResult::Exited(0));
        }
    }
    // The last end is acknowledged with the next event asked for: a command more settles it.
    guest.sh(1002, "true").await;
    assert_eq!(descriptors(), before);
    assert_eq!(children(), processes);
    let (out, _, _) = guest.sh(1003, "ls /dev/pts | wc -l").await;
    assert_eq!(out.trim(), "2", "console and ptmx");
    guest.finish().await;
}

#[tokio::test]
async fn the_console_takes_input_and_keeps_what_was_said() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &["/bin/sh", "-c", "echo hello from console; while read l; do echo got $l; done"]).await;
    let console = guest.launcher.console(guest.id).await.unwrap();
    let mut console = std::fs::File::from(console);
    std::io::Write::write_all(&mut console, b"word\n").unwrap();
    read_until(&mut console, "got word");
    let log = guest.launcher.console_log(guest.id).await.unwrap();
    let log = std::io::read_to_string(std::fs::File::from(log)).unwrap();
    assert!(log.starts_with("hello from console\r\n"), "{log:?}");
    guest.finish().await;
}
