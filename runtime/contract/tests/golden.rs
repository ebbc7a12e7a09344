//! Messages as they were when the contract was published. The files in `golden/` are what monitors on users' hosts speak:
//! a new message gets a new file, and no file is ever edited.
//!
//! With `LXHOST_GOLDEN=new` in the environment files that do not exist yet are written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

use lxhost_contract::*;

fn launch() -> Launch {
    let ids = vec![IdRange { inside: 0, outside: 1_000_000, count: 65_536 }, IdRange { inside: 65_536, outside: 7, count: 1 }];
    Launch {
        id: "0c9b2ab0000040008000000000000001".to_owned(),
        name: "c1".to_owned(),
        hostname: "c1".to_owned(),
        uuid: "0c9b2ab0-0000-4000-8000-000000000001".to_owned(),
        uids: ids.clone(),
        gids: ids,
        root: Root::Overlay(Overlay { lowers: vec!["/images/a".into(), "/images/b".into()], dir: "/instances/c1".into() }),
        mounts: vec![Mount {
            kind: MountKind::Tmpfs,
            source: "/source".into(),
            target: "/target".into(),
            read_only: true,
            idmapped: true,
            recursive: true,
            optional: true,
            no_exec: true,
            suid: true,
            size: 1 << 33,
            mode: 0o1777,
            ..Mount::default()
        }],
        nodes: vec![Node { source: "/dev/null".into(), target: "/dev/null".into(), optional: true }],
        argv: vec!["/sbin/init".into(), "--flag".into()],
        env: vec!["container=lxhost".into(), "EMPTY=".into()],
        stop_signal: 37,
        seccomp: Bytes(vec![6, 0, 0, 0, 0, 0, 255, 127]),
        capabilities: 0x1e0_fdfc_ffff,
        rlimits: vec![Rlimit { resource: 7, soft: 1024, hard: u64::MAX }],
        read_only: vec!["/proc/sysrq-trigger".into()],
        masked: vec!["/proc/kcore".into(), "/proc/keys".into()],
        rows: 24,
        columns: 80,
        runtime_dir: "/run/lxhost/instances/c1".into(),
        nesting: true,
        controlling_tty: true,
        run_size: 1 << 20,
        oom_score: -5,
        os_release: Bytes(b"ID=debian\n".to_vec()),
        disks: vec![],
    }
}

fn disk() -> Mount {
    Mount { source: "/home/mia".into(), target: "/mnt".into(), idmapped: true, no_links: true, follows: true, ..Mount::default() }
}

fn exec() -> Exec {
    Exec {
        id: 1 << 40,
        argv: vec!["sh".into(), "-c".into(), String::new().into()],
        env: vec!["A=b".into()],
        cwd: "/tmp".into(),
        user: "ada".to_owned(),
        group: "staff".to_owned(),
        pty: true,
        rows: 40,
        columns: 132,
        login: true,
    }
}

fn welcome() -> Welcome {
    let exited = ExecExited { id: 4, code: 3, signal: 0, core: false };
    Welcome {
        major: 1,
        minor: 0,
        program: "0.1.0".to_owned(),
        id: "0c9b2ab0000040008000000000000001".to_owned(),
        name: "c1".to_owned(),
        phase: Phase::Stopping,
        payload_pid: 4242,
        monitor_pid: 4241,
        ready: true,
        frozen: true,
        sessions: vec![Session { id: 3, pid: 99, exited: None }, Session { id: 4, pid: 100, exited: Some(exited) }],
        started_usec: 123_456_789,
        cgroup: "/sys/fs/cgroup/machine.slice/lxhost-c1.scope".into(),
        addresses: vec![address()],
    }
}

fn address() -> InterfaceAddress {
    InterfaceAddress { interface: "eth0".to_owned(), address: Bytes(vec![10, 0, 0, 2]), prefix: 24 }
}

fn request(request: impl Into<Request>) -> Message {
    Message::Request(7, Box::new(request.into()))
}

fn reply(reply: impl Into<Reply>) -> Message {
    Message::Reply(7, reply.into())
}

fn event(event: impl Into<Event>) -> Message {
    Message::Event(event.into())
}

fn all() -> Vec<(&'static str, Message)> {
    vec![
        ("hello", request(Hello { major: 1, minor: 2 })),
        ("launch", request(launch())),
        ("launch-tree", request(Launch { root: Root::Tree("/tree".into()), ..Launch::default() })),
        ("launch-disks", request(Launch { disks: vec![disk()], ..Launch::default() })),
        ("scope-ready", request(ScopeReady { cgroup: "/sys/fs/cgroup/x.scope".into() })),
        ("go", request(Go {})),
        ("signal", request(Signal { signal: 37 })),
        ("kill", request(Kill {})),
        ("freeze", request(Freeze {})),
        ("thaw", request(Thaw {})),
        ("console-attach", request(ConsoleAttach { replay: true, rows: 24, columns: 80 })),
        ("console-detach", request(ConsoleDetach { id: 3 })),
        ("console-resize", request(ConsoleResize { rows: 24, columns: 80 })),
        ("console-log", request(ConsoleLog {})),
        ("route-socket", request(RouteSocket {})),
        ("disk-attach", request(DiskAttach { disk: disk() })),
        ("disk-detach", request(DiskDetach { target: "/mnt".into() })),
        ("exec", request(exec())),
        ("exec-signal", request(ExecSignal { id: 9, signal: 15 })),
        ("exec-resize", request(ExecResize { id: 9, rows: 1, columns: 2 })),
        ("exec-ack", request(ExecAck { id: 9 })),
        ("welcome", reply(welcome())),
        ("done", reply(Done {})),
        ("refused", reply(Refused { reason: Refusal::CommandNotFound, errno: 2, subject: "nothing".to_owned() })),
        ("exec-started", reply(ExecStarted { id: 9, pid: 77, terminal: Some(0) })),
        ("console-attached", reply(ConsoleAttached { id: 3 })),
        ("scope-entered", event(ScopeEntered { monitor_pid: 5 })),
        ("payload-created", event(PayloadCreated { pid: 6 })),
        ("started", event(Started { pid: 6 })),
        ("launch-failed", event(LaunchFailed { step: "overlay".to_owned(), errno: 30 })),
        ("ready", event(Ready {})),
        ("stopping", event(Stopping { how: "reboot".to_owned() })),
        ("exec-exited", event(ExecExited { id: 9, code: 0, signal: 11, core: true })),
        ("exited", event(Exited { end: End::Reboot, code: 0, signal: 0 })),
        ("failed", event(Failed { step: "poll".to_owned(), errno: 5 })),
        ("addresses", event(Addresses { list: vec![address()] })),
    ]
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.hex"))
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.chunks(32).map(|line| line.join(" ") + "\n").collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

#[test]
fn every_message_is_written_as_it_always_was() {
    for (name, message) in all() {
        let path = file(name);
        if !path.exists() && std::env::var("LXHOST_GOLDEN").is_ok_and(|value| value == "new") {
            std::fs::write(&path, hex(&message.to_bytes())).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(hex(&message.to_bytes()), golden, "{name}");
    }
}

#[test]
fn every_golden_message_is_still_understood() {
    for (name, message) in all() {
        let bytes = unhex(&std::fs::read_to_string(file(name)).unwrap());
        assert_eq!(Message::from_bytes(&bytes).as_ref(), Ok(&message), "{name}");
    }
}

#[test]
fn a_message_of_a_newer_contract_is_named_by_its_number() {
    let bytes = Head { kind: 0x01ff, serial: 3 }.begin();
    assert_eq!(Message::from_bytes(&bytes), Err(WireError::Kind { kind: 0x01ff }));
    let bytes = Head { kind: 0x7701, serial: 3 }.begin();
    assert_eq!(Message::from_bytes(&bytes), Err(WireError::Kind { kind: 0x7701 }));
}

#[test]
fn a_word_that_is_not_known_yet_is_the_most_general_one() {
    let mut bytes = event(Exited { end: End::Signal, code: 0, signal: 9 }).to_bytes();
    let field = [1, 0, 2, 0, 0, 0, 3, 0];
    let at = bytes.windows(field.len()).position(|found| found == field).unwrap();
    bytes[at + 6] = 99;
    let Ok(Message::Event(Event::Exited(exited))) = Message::from_bytes(&bytes) else { panic!("not read") };
    assert_eq!(exited.end, End::Exit);
}

#[test]
fn golden_messages_cut_or_changed_anywhere_never_panic() {
    for (_, message) in all() {
        let bytes = message.to_bytes();
        for end in 0..bytes.len() {
            let _ = Message::from_bytes(&bytes[..end]);
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[end] = value;
                let _ = Message::from_bytes(&changed);
            }
        }
    }
}
