//! How a container ends, from inside and outside.

use std::process::Command;

use lxhost_engine::ports::launcher::{ExecResult, Launcher, LauncherEvent, Whom};
use lxhost_engine::ports::{HostEnd, Inside, NicKind, NicSpec, Port};
use lxhost_model::Kind;
use lxhost_model::instance::ExitReason;

use crate::host::{Guest, make_tree, runtime};

#[tokio::test]
async fn a_plain_program_ends_with_its_status() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &["/bin/sh", "-c", "exit 5"]).await;
    assert_eq!(guest.exit().await, (ExitReason::Crash, 5));
    assert!(!guest.scope().exists());
    guest.finish().await;
}

#[tokio::test]
async fn poweroff_and_reboot_from_inside_are_told_apart() {
    let Some(program) = runtime() else { return };
    for (command, wanted) in [("poweroff -f", ExitReason::Poweroff), ("reboot -f", ExitReason::Reboot)] {
        let guest = Guest::start(&program, &["/bin/sh", "-c", command]).await;
        assert_eq!(guest.exit().await.0, wanted, "{command}");
        guest.finish().await;
    }
}

#[tokio::test]
async fn busybox_init_powers_off_when_asked() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &["/bin/init"]).await;
    let (_, _, result) = guest.sh(1, "true").await;
    assert_eq!(result, ExecResult::Exited(0));
    guest.launcher.shut_down(guest.id).await.unwrap();
    assert_eq!(guest.exit().await.0, ExitReason::Poweroff);
    guest.finish().await;
}

#[tokio::test]
async fn a_program_that_handles_the_signal_ends_by_itself() {
    let Some(program) = runtime() else { return };
    let init = ["/bin/sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 1; done"];
    let guest = Guest::start(&program, &init).await;
    let console = guest.launcher.console(guest.id).await.unwrap();
    drop(console);
    wait_until(|| handles_term(guest.running.leader));
    guest.launcher.shut_down(guest.id).await.unwrap();
    assert_eq!(guest.exit().await, (ExitReason::Poweroff, 0));
    guest.finish().await;
}

fn handles_term(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 14) != 0
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !done() {
        assert!(begin.elapsed() < std::time::Duration::from_secs(10), "it does not come to pass");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[tokio::test]
async fn a_killed_container_is_killed_and_nothing_is_left() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &["/bin/sleep", "1000"]).await;
    guest.launcher.signal(guest.id, Whom::All, 9).await.unwrap();
    assert_eq!(guest.exit().await, (ExitReason::Killed, 9));
    assert!(!guest.scope().exists());
    guest.launcher.kill(guest.id, &guest.machine).await.unwrap();
    assert_eq!(guest.launcher.shut_down(guest.id).await.unwrap_err().kind, Kind::NotRunning);
    guest.finish().await;
}

#[tokio::test]
async fn systemctl_stop_asks_us_first() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &["/bin/sleep", "1000"]).await;
    let unit = format!("lxhost-{}.scope", guest.machine);
    let stopping = tokio::task::spawn_blocking(move || Command::new("systemctl").args(["stop", &unit]).status().unwrap());
    assert_eq!(guest.next_end().await, LauncherEvent::StopRequested(guest.id));
    guest.launcher.kill(guest.id, &guest.machine).await.unwrap();
    assert!(stopping.await.unwrap().success());
    guest.finish().await;
}

#[tokio::test]
async fn a_frozen_container_runs_nothing_and_can_still_be_killed() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &["/bin/sleep", "1000"]).await;
    guest.launcher.freeze(guest.id).await.unwrap();
    guest.launcher.freeze(guest.id).await.unwrap();
    let exec = lxhost_engine::ports::launcher::Exec { session: 1, pty: Some((1, 1)), ..Default::default() };
    assert_eq!(guest.launcher.exec_pty(guest.id, exec).await.unwrap_err().kind, Kind::InvalidState);
    guest.launcher.thaw(guest.id).await.unwrap();
    let (_, _, result) = guest.sh(1, "true").await;
    assert_eq!(result, ExecResult::Exited(0));
    guest.launcher.freeze(guest.id).await.unwrap();
    guest.finish().await;
}

#[tokio::test]
async fn a_launch_that_fails_names_the_step_and_leaves_nothing() {
    let Some(program) = runtime() else { return };
    let launcher = Guest::launcher(&program).await;
    let (mut spec, dir) = Guest::plan(&["/bin/no-such-init"]);
    make_tree(&dir);
    let scope = format!("/sys/fs/cgroup/machine.slice/lxhost-{}.scope", spec.machine);
    let error = launcher.launch(spec.clone(), Box::pin(async { Ok(()) })).await.unwrap_err();
    assert!(error.message.contains("/bin/no-such-init"), "{}", error.message);
    assert!(!std::path::Path::new(&scope).exists());
    spec.root = lxhost_engine::ports::launcher::RootSpec::Tree { path: "/no/such/root".into() };
    let error = launcher.launch(spec.clone(), Box::pin(async { Ok(()) })).await.unwrap_err();
    assert!(error.message.contains("/no/such/root"), "{}", error.message);
    let end = HostEnd { name: "lxtest0".into(), ..HostEnd::default() };
    spec.nics = vec![NicSpec {
        name: "eth0".into(),
        mac: Some("02:00:00:00:00:01".into()),
        mtu: None,
        kind: NicKind::Bridged(Port { end, bridge: "no-such-br".into(), ..Port::default() }),
        inside: Inside::default(),
    }];
    spec.root = lxhost_engine::ports::launcher::RootSpec::Tree { path: dir.clone() };
    spec.init = vec!["/bin/sleep".into(), "1000".into()];
    let error = launcher.launch(spec, Box::pin(async { Ok(()) })).await.unwrap_err();
    assert!(error.message.contains("no-such-br"), "{}", error.message);
    assert!(!std::path::Path::new(&scope).exists());
    std::fs::remove_dir_all(dir).unwrap();
}
