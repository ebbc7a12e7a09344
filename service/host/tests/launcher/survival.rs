//! Daemons come and go; containers, commands and their results stay.

use lxhost_engine::ports::launcher::{Exec, ExecResult, LaunchSpec, Launcher, LauncherEvent, RootSpec, Streams};
use lxhost_host::monitor::{Launching, Monitor};
use lxhost_model::instance::ExitReason;

use crate::host::{Guest, make_tree, runtime};

fn nowhere() -> Streams {
    let open = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap().into();
    Streams { stdin: open(), stdout: open(), stderr: open() }
}

#[tokio::test]
async fn a_command_outlives_the_daemon_and_its_result_is_not_lost() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &["/bin/sleep", "1000"]).await;
    let slow = Exec { session: 1, argv: vec!["sh".into(), "-c".into(), "read x < /tmp/go; exit 9".into()], ..Exec::default() };
    guest.sh(5, "mknod /tmp/go p").await;
    guest.launcher.exec(guest.id, slow, nowhere()).await.unwrap();
    let leader = guest.running.leader;
    let guest = guest.restart_daemon().await;
    assert_eq!((guest.running.leader, guest.running.sessions.as_slice()), (leader, [1].as_slice()));
    // Ends while nobody listens to it: between two daemons.
    let fifo = format!("/proc/{leader}/root/tmp/go");
    let command = tokio::task::spawn_blocking(move || std::fs::write(fifo, "go\n"));
    let guest = guest.restart_daemon().await;
    command.await.unwrap().unwrap();
    loop {
        match guest.next_end().await {
            LauncherEvent::ExecEnded(_, 1, result) => break assert_eq!(result, ExecResult::Exited(9)),
            // The one before: its end was told, and nobody had asked for the next.
            LauncherEvent::ExecEnded(_, 5, _) => {}
            other => panic!("not the end of a command: {other:?}"),
        }
    }
    guest.finish().await;
}

#[tokio::test]
async fn an_end_without_a_daemon_is_told_to_the_next() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &["/bin/sleep", "1000"]).await;
    let Guest { launcher, id, machine, running, dir, .. } = guest;
    drop(launcher);
    let leader = rustix::process::Pid::from_raw(running.leader as i32).unwrap();
    let pidfd = rustix::process::pidfd_open(leader, rustix::process::PidfdFlags::empty()).unwrap();
    rustix::process::kill_process(leader, rustix::process::Signal::KILL).unwrap();
    let mut ended = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut ended, None).unwrap();
    let launcher = Guest::launcher(&program).await;
    // The monitor may still be writing its record: then it is adopted, and tells itself.
    let adopted = launcher.adopt(id, &machine).await.unwrap();
    loop {
        match launcher.next_event().await.unwrap() {
            LauncherEvent::Exited(found, exit) => {
                assert_eq!((found, exit.reason, exit.status), (id, ExitReason::Crash, 9), "adopted: {adopted:?}");
                break;
            }
            other => println!("{other:?}"),
        }
    }
    launcher.kill(id, &machine).await.unwrap();
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_daemon_that_dies_before_go_leaves_no_container() {
    let Some(program) = runtime() else { return };
    let dir = std::path::PathBuf::from(format!("/run/lxhost/instances/test-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let tree = std::path::PathBuf::from(format!("/var/lib/lxhost/test-{}-undo", std::process::id()));
    make_tree(&tree);
    let ids = vec![lxhost_contract::IdRange { inside: 0, outside: 900_000_000, count: 65_536 }];
    let launch = lxhost_contract::Launch {
        name: "undo".to_owned(),
        hostname: "undo".to_owned(),
        uids: ids.clone(),
        gids: ids,
        root: lxhost_contract::Root::Tree(tree.clone()),
        argv: vec!["/bin/sleep".into(), "1000".into()],
        runtime_dir: dir.clone(),
        ..lxhost_contract::Launch::default()
    };
    let cgroup = std::path::PathBuf::from(format!("/sys/fs/cgroup/lxhost-undo-{}", std::process::id()));
    std::fs::create_dir(&cgroup).unwrap();
    let mut launching = Launching::begin(&program, launch).await.unwrap();
    std::fs::write(cgroup.join("cgroup.procs"), launching.pid().to_string()).unwrap();
    let created = launching.scope_ready(&cgroup).await.unwrap();
    assert!(std::path::Path::new(&format!("/proc/{}", created.pid)).exists());
    drop(launching);
    let begin = std::time::Instant::now();
    while !std::fs::read_to_string(cgroup.join("cgroup.events")).unwrap().contains("populated 0") {
        assert!(begin.elapsed().as_secs() < 10, "something of the launch is left");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert!(Monitor::adopt(&dir).await.unwrap().is_none());
    for sub in ["supervisor", "payload", ""] {
        std::fs::remove_dir(cgroup.join(sub)).unwrap();
    }
    std::fs::remove_dir_all(tree).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_debian_guest_boots_to_running_with_no_failed_unit_and_powers_off() {
    let Some(program) = runtime() else { return };
    let Some(tree) = std::env::var_os("LXHOST_TEST_TREE") else {
        println!("skipped: LXHOST_TEST_TREE does not name a Debian tree");
        return;
    };
    let (spec, dir) = Guest::plan(&[]);
    for name in ["upper", "work"] {
        std::fs::create_dir_all(dir.join(name)).unwrap();
    }
    let spec = LaunchSpec { root: RootSpec::Overlay { lowers: vec![tree.into()], dir: dir.clone() }, ..spec };
    let guest = Guest::start_from(&program, spec, dir).await;
    loop {
        if guest.next().await == LauncherEvent::Ready(guest.id) {
            break;
        }
    }
    let (out, _, _) = guest.sh(1, "systemctl is-system-running; systemctl --failed --plain --no-legend | wc -l").await;
    assert_eq!(out, "running\n0\n");
    let guest = guest.restart_daemon().await;
    assert!(guest.running.ready);
    guest.launcher.shut_down(guest.id).await.unwrap();
    assert_eq!(guest.exit().await.0, ExitReason::Poweroff);
    guest.finish().await;
}
