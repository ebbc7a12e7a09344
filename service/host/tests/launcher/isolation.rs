//! What the root of a container cannot do, seen from inside.

use lxhost_engine::ports::launcher::{ExecResult, MountSpec};

use crate::host::{Guest, make_tree, runtime};

#[tokio::test]
async fn masks_and_read_only_mounts_cannot_be_taken_away() {
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &["/bin/sleep", "1000"]).await;
    for (session, line) in [
        "cat /proc/keys",
        "umount /proc/keys",
        "umount -l /proc",
        "mount -o remount,rw /sys",
        "mount -o remount,rw,bind /sys",
        "mount -o remount,dev /",
        "mknod /dev/sda b 8 0",
        "umount /sys",
    ]
    .into_iter()
    .enumerate()
    {
        let (out, _, result) = guest.sh(session as u32 + 10, line).await;
        assert!(matches!(result, ExecResult::Exited(code) if code != 0), "{line} succeeded: {out}");
    }
    let (out, _, _) = guest.sh(2, "cat /proc/sys/kernel/hostname; echo $FROM_CONFIG; cat /run/host/container-manager").await;
    assert!(out.starts_with("guest"), "{out}");
    guest.finish().await;
}

#[tokio::test]
async fn the_init_has_what_the_container_interface_says() {
    let Some(program) = runtime() else { return };
    let init = ["/bin/sh", "-c", "env; ls /run/host; mount; while :; do sleep 1000; done"];
    let guest = Guest::start(&program, &init).await;
    let environment = std::fs::read(format!("/proc/{}/environ", guest.running.leader)).unwrap();
    let environment: Vec<String> = environment.split(|b| *b == 0).map(|v| String::from_utf8_lossy(v).into_owned()).collect();
    for wanted in
        ["container=lxhost", "NOTIFY_SOCKET=/run/host/notify", "FROM_CONFIG=yes", &format!("container_uuid={}", guest.id.uuid())]
    {
        assert!(environment.iter().any(|found| found == wanted), "{wanted} is not in {environment:?}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", guest.running.leader)).unwrap();
    let files: Vec<&str> =
        limits.lines().filter(|line| line.starts_with("Max open files")).flat_map(str::split_whitespace).collect();
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
    // A test host without CAP_SYS_RESOURCE cannot raise its own limit.
    let hard = if can_raise_limits() { 524_288 } else { most.min(524_288) };
    assert_eq!(files[3..5], ["1024".to_owned(), hard.to_string()], "{limits}");
    let open = std::fs::read_dir(format!("/proc/{}/fd", guest.running.leader)).unwrap().count();
    assert_eq!(open, 3, "nothing but its console");
    guest.finish().await;
}

#[tokio::test]
async fn the_payloads_cgroup_belongs_to_the_container_and_its_limits_do_not() {
    use std::os::unix::fs::MetadataExt;
    let Some(program) = runtime() else { return };
    let guest = Guest::start(&program, &["/bin/sleep", "1000"]).await;
    let scope = guest.scope();
    let owner = |path: &str| std::fs::metadata(scope.join(path)).unwrap().uid();
    assert!(owner("payload") >= 1_000_000);
    assert!(owner("payload/cgroup.procs") >= 1_000_000);
    assert_eq!(owner("payload/cgroup.freeze"), 0);
    assert_eq!(owner("cgroup.procs"), 0);
    assert_eq!(std::fs::read_to_string(scope.join("cgroup.procs")).unwrap(), "", "the scope itself is empty");
    guest.finish().await;
}

#[tokio::test]
async fn a_read_only_directory_of_the_host_stays_read_only() {
    let Some(program) = runtime() else { return };
    let (mut spec, dir) = Guest::plan(&["/bin/sleep", "1000"]);
    make_tree(&dir);
    let share = dir.with_extension("share");
    std::fs::create_dir_all(&share).unwrap();
    std::fs::write(share.join("file"), "shared").unwrap();
    std::os::unix::fs::symlink("/", dir.join("escape")).unwrap();
    let mount = |target: &str, read_only| MountSpec { source: share.clone(), target: target.to_owned(), read_only };
    spec.mounts = vec![mount("/srv/ro", true), mount("/escape/srv/rw", false)];
    let guest = Guest::start_from(&program, spec, dir).await;
    assert!(!std::path::Path::new("/srv/rw").exists(), "a link of the image led out of it");
    let (out, _, _) = guest.sh(1, "cat /srv/ro/file; ls -ln /srv/ro/file").await;
    assert!(out.starts_with("shared") && out.contains(" 0 "), "{out}");
    let forbidden = ["echo x > /srv/ro/new", "mount -o remount,rw,bind /srv/ro", "umount /srv/ro"];
    for (session, line) in forbidden.into_iter().enumerate() {
        let (_, _, result) = guest.sh(session as u32 + 10, line).await;
        assert_ne!(result, ExecResult::Exited(0), "{line}");
    }
    let (_, _, result) = guest.sh(3, "echo x > /srv/rw/new").await;
    assert_eq!(result, ExecResult::Exited(0));
    assert_eq!(std::fs::read_to_string(share.join("new")).unwrap(), "x\n");
    guest.finish().await;
    std::fs::remove_dir_all(share).unwrap();
}

fn can_raise_limits() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(effective.trim(), 16).unwrap() & (1 << 24) != 0
}
