//! What the host sees of a container: its addresses, its links, its entry at machined.

use std::net::IpAddr;
use std::process::Command;

use lxhost_engine::ports::launcher::{Exec, ExecResult, Launcher, LauncherEvent, Streams};
use lxhost_engine::ports::{HostEnd, Inside, NicKind, NicSpec, Port};
use lxhost_netlink::{Bridge, Handle};

use crate::host::{Guest, make_tree, runtime};

#[tokio::test]
async fn addresses_are_told_and_links_go_with_the_container() {
    let Some(program) = runtime() else { return };
    let netlink = Handle::open().unwrap();
    let bridge = format!("lt{}", std::process::id());
    let _ = netlink.ensure_bridge(&Bridge::new(bridge.parse().unwrap(), "02:00:00:00:00:06".parse().unwrap())).await.unwrap();
    let (mut spec, dir) = Guest::plan(&["/bin/sleep", "1000"]);
    make_tree(&dir);
    let host_name = format!("lv{}", std::process::id());
    let end = HostEnd { name: host_name.clone(), ..HostEnd::default() };
    spec.nics = vec![NicSpec {
        name: "eth0".to_owned(),
        mac: Some("02:00:00:00:00:07".to_owned()),
        mtu: None,
        kind: NicKind::Bridged(Port { end, bridge: bridge.clone(), ..Port::default() }),
        inside: Inside::default(),
    }];
    let guest = Guest::start_from(&program, spec, dir).await;
    assert!(netlink.link_exists(&host_name).await.unwrap());
    let wanted = ("eth0".to_owned(), IpAddr::from([192, 0, 2, 7]));
    let exec = Exec {
        session: 1,
        argv: ["ip", "addr", "add", "192.0.2.7/24", "dev", "eth0"].map(str::to_owned).to_vec(),
        ..Exec::default()
    };
    let null = || std::fs::File::open("/dev/null").unwrap().into();
    let streams = Streams { stdin: null(), stdout: null(), stderr: null() };
    guest.launcher.exec(guest.id, exec, streams).await.unwrap();
    loop {
        match guest.next().await {
            LauncherEvent::Addresses(_, list) if list.contains(&wanted) => break,
            LauncherEvent::Addresses(..) | LauncherEvent::ExecEnded(_, 1, ExecResult::Exited(0)) => {}
            other => panic!("not an address: {other:?}"),
        }
    }
    let guest = guest.restart_daemon().await;
    assert!(guest.running.addresses.contains(&wanted), "a new daemon is told as well");
    guest.finish().await;
    assert!(!netlink.link_exists(&host_name).await.unwrap(), "the host's end is left");
    let _ = netlink.delete_bridge(&bridge).await.unwrap();
}

#[tokio::test]
async fn machined_knows_a_container_while_it_runs() {
    let Some(program) = runtime() else { return };
    if !Command::new("machinectl").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("skipped: no machinectl");
        return;
    }
    let guest = Guest::start(&program, &["/bin/sleep", "1000"]).await;
    let shown = || {
        let output =
            Command::new("machinectl").args(["show", &guest.machine, "-p", "Leader", "-p", "Class", "-p", "Unit"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let begin = std::time::Instant::now();
    // Registered beside the start, and machined itself may have to be started for it.
    while shown().is_empty() {
        assert!(begin.elapsed().as_secs() < 10, "machined does not know it");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let text = shown();
    for line in
        [format!("Leader={}", guest.running.leader), "Class=container".to_owned(), format!("Unit=lxhost-{}.scope", guest.machine)]
    {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    guest.finish().await;
}
