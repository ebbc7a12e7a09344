//! Commands inside: descriptors, exit codes, signals, terminals, and what ends when its caller does.

use crate::client::{Client, PATIENCE, none, options, refused};
use crate::world::World;
use lxhost_dbus::wire::Options;
use lxhost_model::Kind;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use zbus::wire::{Fd, OwnedObjectPath, Variant};

/// Runs blocking work of a test beside the bus.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(work)).await.expect("it takes too long").unwrap()
}

fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = vec![];
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Starts a shell script; the streams that are not given come back as pipes.
async fn script(client: &Client, path: &OwnedObjectPath, script: &str) -> (OwnedObjectPath, HashMap<String, File>) {
    let guest = client.guest(path).await;
    let (exec, pipes) = guest.exec(&["sh", "-c", script], &HashMap::new(), &none()).await.unwrap();
    (exec, pipes.into_iter().map(|(name, fd)| (name, File::from(OwnedFd::from(fd)))).collect())
}

async fn ends(client: &Client, exec: &OwnedObjectPath) -> (String, i32) {
    client.exec(exec).await.wait(PATIENCE.as_micros() as u64).await.unwrap()
}

#[tokio::test]
async fn streams_are_separate_and_eight_bits_wide() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let (mut out, stdout) = std::io::pipe().unwrap();
    let (mut err, stderr) = std::io::pipe().unwrap();
    let (stdin, mut input) = std::io::pipe().unwrap();
    let fds: HashMap<&str, Fd<'_>> = HashMap::from([
        ("stdin", Fd::from(stdin.as_fd())),
        ("stdout", Fd::from(stdout.as_fd())),
        ("stderr", Fd::from(stderr.as_fd())),
    ]);
    let guest = client.guest(&path).await;
    let (exec, back) = guest.exec(&["sh", "-c", "cat; echo ünïcode >&2"], &fds, &none()).await.unwrap();
    assert!(back.is_empty(), "every stream was given");
    drop(fds);
    drop((stdin, stdout, stderr));
    let bytes: Vec<u8> = (0..=255u8).cycle().take(300_000).collect();
    let sent = bytes.clone();
    let writer = tokio::task::spawn_blocking(move || input.write_all(&sent));
    let got = blocking(move || {
        let mut got = vec![];
        out.read_to_end(&mut got).unwrap();
        got
    })
    .await;
    writer.await.unwrap().unwrap();
    assert!(got == bytes, "{} of {} bytes came back as they were", got.len(), bytes.len());
    assert_eq!(
        blocking(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).unwrap();
            text
        })
        .await,
        "ünïcode\n"
    );
    assert_eq!(ends(&client, &exec).await, ("exited".to_owned(), 0));
}

#[tokio::test]
async fn a_closed_input_is_seen_while_output_goes_on() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let (exec, mut pipes) = script(&client, &path, "n=$(wc -c); echo $n; sleep 0.1; echo more").await;
    let (mut stdin, stdout) = (pipes.remove("stdin").unwrap(), pipes.remove("stdout").unwrap());
    stdin.write_all(b"12345").unwrap();
    drop(stdin);
    assert_eq!(blocking(move || read_all(stdout)).await, b"5\nmore\n");
    assert_eq!(ends(&client, &exec).await, ("exited".to_owned(), 0));
}

#[tokio::test]
async fn exit_codes_and_signals_are_exact() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    for code in [0, 1, 126, 127, 128, 255] {
        let (exec, _pipes) = script(&client, &path, &format!("exit {code}")).await;
        assert_eq!(ends(&client, &exec).await, ("exited".to_owned(), code));
    }
    for signal in [1, 2, 9, 15] {
        let (exec, pipes) = script(&client, &path, "echo up; exec sleep 1000").await;
        let mut first = [0; 3];
        blocking(move || {
            let mut out = &pipes["stdout"];
            out.read_exact(&mut first).unwrap();
        })
        .await;
        client.exec(&exec).await.signal(signal).await.unwrap();
        assert_eq!(ends(&client, &exec).await, ("killed".to_owned(), signal));
    }
    let (exec, _pipes) = script(&client, &path, "sleep 1000").await;
    for none in [0, -1, 65, i32::MAX] {
        refused(client.exec(&exec).await.signal(none).await, Kind::InvalidArgs);
    }
    assert_eq!(client.exec(&exec).await.wait(1).await.unwrap(), ("running".to_owned(), 0));
    client.exec(&exec).await.close().await.unwrap();
    assert_eq!(ends(&client, &exec).await.0, "killed");
}

#[tokio::test]
async fn environment_and_directory_are_those_asked_for() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let guest = client.guest(&path).await;
    let wanted =
        options([("environment", Variant::from(HashMap::from([("A", "ä=b c"), ("EMPTY", "")]))), ("cwd", "/usr".into())]);
    let argv = ["sh", "-c", "echo \"$A,$EMPTY,$PWD,$0,$1\"", "a b", "--"];
    let (_, pipes) = guest.exec(&argv, &HashMap::new(), &wanted).await.unwrap();
    let stdout = File::from(OwnedFd::from(pipes.into_iter().find(|(name, _)| name == "stdout").unwrap().1));
    assert_eq!(blocking(move || read_all(stdout)).await, "ä=b c,,/usr,a b,--\n".as_bytes());
}

#[tokio::test]
async fn a_terminal_has_the_size_it_is_given() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let guest = client.guest(&path).await;
    let wanted: Options<'_> = options([("rows", 40u16.into()), ("cols", 132u16.into()), ("term", "vt100".into())]);
    let script = "echo $TERM $(stty size); read x; echo now $(stty size)";
    let (exec, master, inside) = guest.exec_pty(&["sh", "-c", script], &wanted).await.unwrap();
    assert!(inside.starts_with("/dev/pts/"), "{inside}");
    let mut master = File::from(OwnedFd::from(master));
    let mut reader = master.try_clone().unwrap();
    let until = move |mut reader: File, wanted: &'static str| {
        let mut seen = String::new();
        let mut chunk = [0; 256];
        while !seen.contains(wanted) {
            let n = reader.read(&mut chunk).unwrap();
            seen.push_str(&String::from_utf8_lossy(&chunk[..n]));
        }
        reader
    };
    reader = blocking(move || until(reader, "vt100 40 132")).await;
    client.exec(&exec).await.resize(50, 90).await.unwrap();
    master.write_all(b"\n").unwrap();
    blocking(move || until(reader, "now 50 90")).await;
    assert_eq!(ends(&client, &exec).await, ("exited".to_owned(), 0));

    let (exec, _pipes) = self::script(&client, &path, "sleep 1000").await;
    refused(client.exec(&exec).await.resize(1, 1).await, Kind::InvalidArgs);
}

#[tokio::test]
async fn a_command_ends_with_its_caller_unless_it_is_detached() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let (owned, detached) = {
        let other = world.client().await;
        let (owned, _pipes) = script(&other, &path, "sleep 1000").await;
        let guest = other.guest(&path).await;
        let apart = options([("detach", true.into()), ("null", Variant::from(vec!["stdin", "stdout", "stderr"]))]);
        let (detached, _) = guest.exec(&["sleep", "1000"], &HashMap::new(), &apart).await.unwrap();
        drop(guest);
        other.connection.close().await.unwrap();
        (owned, detached)
    };
    let (result, signal) = ends(&client, &owned).await;
    assert_eq!((result.as_str(), signal), ("killed", 1), "it is told by SIGHUP");
    assert_eq!(client.exec(&detached).await.wait(1).await.unwrap().0, "running");
    client.exec(&detached).await.close().await.unwrap();
    assert_eq!(ends(&client, &detached).await.0, "killed");
}

#[tokio::test]
async fn a_caller_that_leaves_at_once_leaves_no_command() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    for _ in 0..20 {
        let other = world.client().await;
        let connection = other.connection.clone();
        let call = tokio::spawn({
            let path = path.clone();
            async move {
                let guest = other.guest(&path).await;
                // The answer, if one comes, finds nobody.
                let _ = guest.exec(&["sleep", "1000"], &HashMap::new(), &none()).await;
            }
        });
        tokio::task::yield_now().await;
        connection.close().await.unwrap();
        call.abort();
    }
    let gone = async {
        loop {
            let state = client.instance(&path).await.get_state(&["pids"], &none()).await.unwrap();
            if u64::try_from(state["pids"].try_clone().unwrap()).unwrap() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("commands are left");
}

#[tokio::test]
async fn a_stop_ends_the_commands_inside() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let (exec, _pipes) = script(&client, &path, "sleep 1000").await;
    client.done(&client.instance(&path).await.stop(&options([("mode", "force".into())])).await.unwrap()).await;
    assert_eq!(ends(&client, &exec).await.0, "lost");
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_and_named() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let guest = client.guest(&path).await;
    let run = async |argv: &[&str], wanted: &Options<'_>| guest.exec(argv, &HashMap::new(), wanted).await;
    refused(run(&[], &none()).await, Kind::InvalidArgs);
    refused(run(&[""], &none()).await, Kind::InvalidArgs);
    assert!(refused(run(&["no-such-program"], &none()).await, Kind::NoSuchCommand).contains("no-such-program"));
    refused(run(&["true"], &options([("cwd", "/no/such".into())])).await, Kind::InvalidArgs);
    refused(run(&["true"], &options([("environment", Variant::from(HashMap::from([("A=B", "1")])))])).await, Kind::InvalidArgs);
    refused(run(&["true"], &options([("null", Variant::from(vec!["stdlog"]))])).await, Kind::InvalidArgs);
    let long = "x".repeat(200_000);
    refused(run(&["true", &long], &none()).await, Kind::InvalidArgs);
    let many = vec!["x"; 5000];
    refused(run(&many, &none()).await, Kind::InvalidArgs);
    let null = File::open("/dev/null").unwrap();
    let fds = HashMap::from([("stdlog", Fd::from(null.as_fd()))]);
    refused(guest.exec(&["true"], &fds, &none()).await, Kind::InvalidArgs);
    refused(guest.open_shell("-c", &none()).await, Kind::InvalidArgs);
    refused(guest.open_console("vga", &none()).await, Kind::Unsupported);
    let state = client.instance(&path).await.get_state(&[], &none()).await.unwrap();
    assert_eq!(u64::try_from(state["pids"].try_clone().unwrap()).unwrap(), 0, "nothing was started");
}

#[tokio::test]
async fn the_console_echoes_and_remembers() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let guest = client.guest(&path).await;
    let (stream, _) = guest.open_console("console", &none()).await.unwrap();
    let mut console = File::from(OwnedFd::from(stream));
    let echoed = blocking(move || {
        console.write_all("grüße".as_bytes()).unwrap();
        let mut back = vec![0; "grüße".len()];
        console.read_exact(&mut back).unwrap();
        back
    })
    .await;
    assert_eq!(echoed, "grüße".as_bytes());
    let size = options([("rows", 44u16.into()), ("cols", 99u16.into())]);
    guest.open_console("console", &size).await.unwrap();
    guest.resize_console(50, 120, &none()).await.unwrap();
    let log = File::from(OwnedFd::from(guest.get_console_log(&none()).await.unwrap()));
    let said = String::from_utf8_lossy(&blocking(move || read_all(log)).await).into_owned();
    assert!(said.contains("grüße") && said.contains("[99x44]") && said.contains("[120x50]"), "{said}");
}

#[tokio::test]
async fn a_thousand_commands_in_a_row_leave_no_descriptor() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let guest = client.guest(&path).await;
    let fds = || std::fs::read_dir(format!("/proc/{}/fd", world.daemon_pid())).unwrap().count();
    let nothing = options([("null", Variant::from(vec!["stdin", "stdout", "stderr"]))]);
    let run = async || {
        let (exec, _) = guest.exec(&["true"], &HashMap::new(), &nothing).await.unwrap();
        assert_eq!(ends(&client, &exec).await, ("exited".to_owned(), 0));
    };
    run().await;
    let before = fds();
    for _ in 0..1000 {
        run().await;
    }
    assert!(fds() <= before + 2, "{before} descriptors before, {} after", fds());
}
