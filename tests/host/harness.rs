//! The test host itself: what the other suites rely on.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lxhost_tests::host::{Host, HostSpec, Network, State};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "harness",
    Base::Bare,
    [
        the_host_comes_up_with_nothing_failed,
        exit_status_signals_and_streams_are_exact,
        input_reaches_a_command_and_a_late_one_is_killed,
        an_ordinary_user_is_one,
        files_go_in_and_out_unchanged,
        packages_come_from_the_relay_and_nothing_else_is_reachable,
        a_reboot_a_crash_and_a_power_off_keep_the_disk,
        the_nothing_changed_check_sees_every_kind_of_change,
        two_hosts_do_not_see_each_others_processes,
        the_state_directory_can_be_btrfs,
        three_hosts_on_a_wire_reach_each_other_and_nobody_else,
    ]
);

fn the_host_comes_up_with_nothing_failed(stage: &Stage) -> Result<()> {
    let state = stage.host.succeed(["systemctl", "is-system-running"])?;
    ensure!(state == "running\n", "{state}{}", stage.host.succeed(["systemctl", "--failed"])?);
    Ok(())
}

fn exit_status_signals_and_streams_are_exact(stage: &Stage) -> Result<()> {
    let output = stage.host.command(["sh", "-c", "echo out; echo err >&2; exit 7"]).output()?;
    ensure!(
        (output.code, output.stdout.as_slice(), output.stderr.as_slice()) == (Some(7), b"out\n", b"err\n"),
        "{}",
        output.describe()
    );
    let output = stage.host.command(["sh", "-c", "kill -SEGV $$"]).output()?;
    ensure!((output.code, output.signal) == (None, Some(11)), "{}", output.describe());
    Ok(())
}

fn input_reaches_a_command_and_a_late_one_is_killed(stage: &Stage) -> Result<()> {
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let output = stage.host.command(["cat"]).stdin(bytes.clone()).output()?;
    ensure!(output.stdout == bytes, "the bytes came back changed");
    let mut cat = stage.host.command(["cat"]).spawn()?;
    cat.stdin.as_mut().context("a running command has an input")?.write_all(b"hello")?;
    cat.until("hello")?;
    let start = Instant::now();
    let late = stage.host.command(["sleep", "1234"]).timeout(Duration::from_millis(300)).output();
    ensure!(late.is_err() && start.elapsed() < stage.host.patience(Duration::from_secs(60)), "{late:?}");
    let left = stage.host.command(["pgrep", "-f", "sleep 1234"]).output()?;
    ensure!(left.code == Some(1), "the late command still runs: {}", left.describe());
    Ok(())
}

fn an_ordinary_user_is_one(stage: &Stage) -> Result<()> {
    let said = stage
        .host
        .command(["sh", "-c", "id -un; id -Gn; pwd; echo $HOME; grep CapEff /proc/self/status"])
        .user("alice")
        .succeed()?;
    ensure!(said == "alice\nalice\n/home/alice\n/home/alice\nCapEff:\t0000000000000000\n", "{said}");
    Ok(())
}

fn files_go_in_and_out_unchanged(stage: &Stage) -> Result<()> {
    let bytes: Vec<u8> = (0..=255).rev().cycle().take(100_000).collect();
    stage.host.put("/root/new/file", 0o640, bytes.clone())?;
    ensure!(stage.host.get("/root/new/file")? == bytes, "the bytes came back changed");
    ensure!(stage.host.succeed(["stat", "-c", "%a %U", "/root/new/file"])? == "640 root\n");
    ensure!(stage.host.get("/root/none").is_err());
    Ok(())
}

fn packages_come_from_the_relay_and_nothing_else_is_reachable(stage: &Stage) -> Result<()> {
    stage.host.succeed(["apt-get", "update", "-q"])?;
    stage.host.succeed(["apt-get", "download", "-q", "hello"])?;
    let routes = stage.host.succeed(["ip", "route"])?;
    ensure!(routes.is_empty(), "the host has routes: {routes}");
    let refused = stage.host.command([
        "apt-get",
        "-o",
        "Dir::Etc::SourceParts=/dev/null",
        "-o",
        "Dir::Etc::SourceList=/root/other.list",
        "update",
    ]);
    stage.host.put("/root/other.list", 0o644, "deb http://192.0.2.1/other trixie main\n")?;
    refused.fail()?;
    Ok(())
}

fn a_reboot_a_crash_and_a_power_off_keep_the_disk(stage: &Stage) -> Result<()> {
    let boot = || stage.host.succeed(["cat", "/proc/1/stat"]).map(|stat| stat.split(' ').nth(21).map(str::to_owned));
    let before = boot()?;
    stage.host.succeed(["sh", "-c", "echo kept >/var/lib/lxhost/file; echo kept >/etc/kept; sync"])?;
    stage.host.reboot()?;
    ensure!(boot()? != before, "PID 1 is as old as before");
    stage.host.crash()?;
    ensure!(stage.host.succeed(["true"]).is_err(), "a host that is off runs commands");
    stage.host.power_on()?;
    stage.host.power_off()?;
    stage.host.power_on()?;
    ensure!(stage.host.succeed(["cat", "/var/lib/lxhost/file", "/etc/kept"])? == "kept\nkept\n");
    Ok(())
}

/// Writes `plain.tar` with an empty file that has an attribute. Not every share with a host carries those of files.
fn pack_attribute(share: &Path) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("plain");
    fs::write(&file, "")?;
    rustix::fs::setxattr(&file, "trusted.lab", b"1", rustix::fs::XattrFlags::empty())?;
    let mut tar = Command::new("tar");
    tar.args(["--xattrs", "--xattrs-include=*", "-cf"]).arg(share.join("plain.tar"));
    ensure!(tar.arg("-C").arg(directory.path()).arg("plain").status()?.success(), "tar failed");
    Ok(())
}

/// All at once, for a picture of a host takes its time.
fn the_nothing_changed_check_sees_every_kind_of_change(stage: &Stage) -> Result<()> {
    let host = &stage.host;
    nothing_changes(host, || host.succeed(["systemctl", "status", "dbus.service"]))?;
    pack_attribute(&host.share())?;
    host.succeed(["touch", "/var/lib/lxhost/plain"])?;
    let changes = [
        ("touch /var/lib/lxhost/new", "rm /var/lib/lxhost/new", "files: new: /var/lib/lxhost/new f 0644 0:0"),
        ("chmod 600 /etc/passwd", "chmod 644 /etc/passwd", "files: new: /etc/passwd f 0600 0:0"),
        (
            "tar --xattrs --xattrs-include='*' -xf /lab/plain.tar -C /var/lib/lxhost",
            "rm /var/lib/lxhost/plain",
            "SCHILY.xattr.trusted.lab",
        ),
        ("chown 1000 /var/lib/lxhost/plain", "true", "files: new: /var/lib/lxhost/plain f 0644 1000:0"),
        ("sed -i s/root/ruut/ /etc/passwd-", "sed -i s/ruut/root/ /etc/passwd-", "  /etc/passwd-"),
        ("mount -t tmpfs none /mnt", "umount /mnt", "/mnt rw"),
        ("ip link add lab0 type veth peer lab1", "ip link del lab0", "links: new: lab0@lab1"),
        ("ip address add 203.0.113.9/32 dev lo", "ip address del 203.0.113.9/32 dev lo", "inet 203.0.113.9/32"),
        (
            "ip route add blackhole 203.0.113.0/24",
            "ip route del blackhole 203.0.113.0/24",
            "links: new: blackhole 203.0.113.0/24",
        ),
        ("nft add table inet lab", "nft delete table inet lab", "rules: new: table inet lab"),
        ("mkdir /sys/fs/cgroup/lab", "rmdir /sys/fs/cgroup/lab", "cgroups: new: /sys/fs/cgroup/lab"),
        ("systemd-run --quiet --unit=lxhost-x sleep 99", "systemctl stop lxhost-x", "units: new: lxhost-x.service"),
        ("mknod /dev/lab b 7 99", "rm /dev/lab", "devices: new: /dev/lab"),
        ("setsid --fork sleep 77 >/dev/null 2>&1", "pkill -x sleep", "sleep 77"),
        ("echo evil >/srv/canary/file", "echo canary >/srv/canary/file", "canary: new: "),
    ];
    let make = |line: &str| host.succeed(["sh", "-ec", line]).map(drop);
    let seen = nothing_changes(host, || changes.iter().try_for_each(|(line, _, _)| make(line)));
    changes.iter().try_for_each(|(_, undo, _)| make(undo))?;
    let said = format!("{:#}", seen.err().context("nothing of it was seen")?);
    for (line, _, part) in &changes {
        ensure!(said.contains(part), "{line}: {part} is not in {said}");
    }
    Ok(())
}

fn two_hosts_do_not_see_each_others_processes(stage: &Stage) -> Result<()> {
    let other = Host::boot(&stage.cache, &stage.spec)?;
    for host in [&stage.host, &other] {
        host.succeed(["systemd-run", "--quiet", "--unit=twin", "sleep", "4321"])?;
    }
    other.succeed(["systemctl", "kill", "--signal=KILL", "twin.service"])?;
    other.command(["sh", "-c", "while systemctl -q is-active twin; do sleep 0.1; done"]).succeed()?;
    stage.host.succeed(["systemctl", "is-active", "twin.service"])?;
    stage.host.succeed(["pgrep", "-f", "sleep 4321"])?;
    stage.host.succeed(["systemctl", "stop", "twin.service"])?;
    Ok(())
}

fn the_state_directory_can_be_btrfs(stage: &Stage) -> Result<()> {
    let host = Host::boot(&stage.cache, &HostSpec { state: State::Btrfs, ..stage.spec.clone() })?;
    ensure!(host.succeed(["stat", "-f", "-c", "%T", "/var/lib/lxhost"])? == "btrfs\n");
    host.succeed(["btrfs", "subvolume", "create", "/var/lib/lxhost/sub"])?;
    Ok(())
}

fn three_hosts_on_a_wire_reach_each_other_and_nobody_else(stage: &Stage) -> Result<()> {
    let network = Network::private()?;
    let began = Instant::now();
    let hosts = network.hosts(&stage.cache, &stage.spec, 3)?;
    println!("    three hosts on a wire: {:.1?}", began.elapsed());
    for (number, host) in (1..).zip(&hosts) {
        for other in 1..=3 {
            host.succeed(["ping", "-c", "1", "-W", "30", &format!("10.77.0.{other}")])?;
        }
        ensure!(host.succeed(["hostname"])? == format!("lab{number}\n"));
        host.command(["ping", "-c", "1", "-W", "1", "192.0.2.7"]).fail()?;
    }
    for own in ["cat /etc/machine-id", "cat /sys/class/net/lab0/address"] {
        let said: Vec<String> = hosts.iter().map(|host| host.succeed(["sh", "-c", own])).collect::<Result<_>>()?;
        ensure!(said[0] != said[1] && said[1] != said[2] && said[2] != said[0], "{own}: {said:?}");
    }
    stage.host.command(["ping", "-c", "1", "-W", "1", "10.77.0.1"]).fail()?;
    Ok(())
}
