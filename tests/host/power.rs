//! Stopping and starting, from outside and from inside, asked or forced, and with the host.

use std::time::Duration;

use anyhow::{Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "power",
    Base::Packaged,
    [
        a_stop_lets_the_guest_shut_down,
        a_guest_that_does_not_stop_is_killed_when_its_time_is_over,
        a_forced_stop_asks_nobody,
        a_restart_gives_a_new_init,
        a_reboot_from_inside_keeps_the_instance_running,
        a_poweroff_from_inside_stops_it,
        machinectl_poweroff_stops_it_in_order,
        stopping_its_scope_stops_it_in_order,
        so_it_does_after_a_restart_of_the_daemon_and_while_there_is_none,
        a_paused_instance_does_nothing_until_it_is_resumed,
        an_ephemeral_instance_goes_when_it_stops,
        starting_twice_and_stopping_twice_are_errors_by_state,
        the_hosts_shutdown_stops_guests_in_order_and_its_boot_starts_them_again,
    ]
);

/// An instance whose guest leaves a mark when it shuts down in order.
fn witness(stage: &Stage, name: &str) -> Result<()> {
    stage.with_debian()?;
    if stage.row(name)?.is_none() {
        stage.lxctl(&format!("launch debian {name}")).succeed()?;
    } else if stage.status(name)? != "running" {
        stage.lxctl(&format!("start {name}")).succeed()?;
    }
    stage.lxctl(&format!("wait {name} --timeout 60")).succeed()?;
    let unit = "rm -f /root/orderly; systemctl is-active -q witness || \
                systemd-run --quiet --unit=witness -p RemainAfterExit=yes -p 'ExecStop=/usr/bin/touch /root/orderly' true";
    stage.exec(name, ["sh", "-ec", unit]).succeed()?;
    Ok(())
}

/// Whether the mark is there, seen by the next start.
fn was_orderly(stage: &Stage, name: &str) -> Result<bool> {
    if stage.status(name)? != "running" {
        stage.lxctl(&format!("start {name}")).succeed()?;
    }
    Ok(stage.exec(name, ["test", "-e", "/root/orderly"]).output()?.code == Some(0))
}

fn stopped(stage: &Stage, name: &str) -> Result<()> {
    stage.lxctl(&format!("wait {name} --for stopped --timeout 60")).succeed()?;
    ensure!(stage.status(name)? == "stopped");
    let scope = format!("lxhost-{name}.scope");
    ensure!(stage.host.command(["systemctl", "is-active", &scope]).output()?.code != Some(0), "{scope} is active");
    Ok(())
}

fn a_stop_lets_the_guest_shut_down(stage: &Stage) -> Result<()> {
    witness(stage, "p1")?;
    stage.lxctl("stop p1").succeed()?;
    stopped(stage, "p1")?;
    ensure!(was_orderly(stage, "p1")?, "the guest was killed");
    Ok(())
}

fn a_guest_that_does_not_stop_is_killed_when_its_time_is_over(stage: &Stage) -> Result<()> {
    witness(stage, "p1")?;
    let unit = [
        "systemd-run",
        "--quiet",
        "--unit=stubborn",
        "-p",
        "RemainAfterExit=yes",
        "-p",
        "TimeoutStopSec=infinity",
        "-p",
        "ExecStop=/usr/bin/sleep 1000",
        "true",
    ];
    stage.exec("p1", unit).succeed()?;
    let output = stage.lxctl("stop p1 --timeout 3").output()?;
    ensure!(
        output.elapsed > Duration::from_secs(3) && output.elapsed < stage.host.patience(Duration::from_secs(60)),
        "{:?}: {}",
        output.elapsed,
        output.describe()
    );
    stopped(stage, "p1")
}

fn a_forced_stop_asks_nobody(stage: &Stage) -> Result<()> {
    witness(stage, "p1")?;
    let output = stage.lxctl("stop --force p1").output()?;
    ensure!(
        output.code == Some(0) && output.elapsed < stage.host.patience(Duration::from_secs(25)),
        "{:?}: {}",
        output.elapsed,
        output.describe()
    );
    stopped(stage, "p1")?;
    ensure!(!was_orderly(stage, "p1")?, "the guest was asked");
    Ok(())
}

fn a_restart_gives_a_new_init(stage: &Stage) -> Result<()> {
    witness(stage, "p1")?;
    let before = stage.init_of("p1")?;
    stage.lxctl("restart p1").succeed()?;
    ensure!(stage.status("p1")? == "running" && stage.init_of("p1")? != before);
    ensure!(was_orderly(stage, "p1")?, "the guest was killed");
    Ok(())
}

fn a_reboot_from_inside_keeps_the_instance_running(stage: &Stage) -> Result<()> {
    witness(stage, "p1")?;
    let before = stage.init_of("p1")?;
    stage.exec("p1", ["systemctl", "--no-block", "reboot"]).output()?;
    stage.restarted("p1", before)?;
    stage.lxctl("wait p1 --timeout 60").succeed()?;
    ensure!(was_orderly(stage, "p1")?, "the guest was killed");
    ensure!(stage.exec("p1", ["systemctl", "is-system-running", "--wait"]).succeed()? == "running\n");
    Ok(())
}

fn a_poweroff_from_inside_stops_it(stage: &Stage) -> Result<()> {
    witness(stage, "p1")?;
    stage.exec("p1", ["systemctl", "--no-block", "poweroff"]).output()?;
    stopped(stage, "p1")?;
    ensure!(was_orderly(stage, "p1")?);
    Ok(())
}

fn machinectl_poweroff_stops_it_in_order(stage: &Stage) -> Result<()> {
    witness(stage, "p1")?;
    stage.host.succeed(["machinectl", "poweroff", "p1"])?;
    stopped(stage, "p1")?;
    ensure!(was_orderly(stage, "p1")?, "the guest was killed");
    Ok(())
}

fn stopping_its_scope_stops_it_in_order(stage: &Stage) -> Result<()> {
    witness(stage, "p1")?;
    stage.host.succeed(["systemctl", "stop", "lxhost-p1.scope"])?;
    stopped(stage, "p1")?;
    ensure!(was_orderly(stage, "p1")?, "the guest was killed");
    Ok(())
}

fn so_it_does_after_a_restart_of_the_daemon_and_while_there_is_none(stage: &Stage) -> Result<()> {
    for daemon in ["restart", "stop"] {
        witness(stage, "p1")?;
        let ears = "rm -f /root/heard; trap 'touch /root/heard' 37; touch /root/listening; while :; do sleep 0.05; done";
        stage.exec("p1", ["systemd-run", "--quiet", "--collect", "sh", "-c", ears]).succeed()?;
        stage.exec("p1", ["sh", "-c", "until rm /root/listening; do sleep 0.05; done"]).succeed()?;
        stage.host.succeed(["systemctl", daemon, "lxhostd.service"])?;
        stage.host.succeed(["systemctl", "stop", "lxhost-p1.scope"])?;
        stopped(stage, "p1")?;
        ensure!(was_orderly(stage, "p1")?, "{daemon}: the guest was killed");
        let heard = stage.exec("p1", ["test", "-e", "/root/heard"]).output()?;
        ensure!(heard.code == Some(1), "{daemon}: every process got the signal that is for the init");
    }
    Ok(())
}

fn a_paused_instance_does_nothing_until_it_is_resumed(stage: &Stage) -> Result<()> {
    witness(stage, "p1")?;
    stage.lxctl("pause p1").succeed()?;
    ensure!(stage.status("p1")? == "frozen");
    let init = stage.init_of("p1")?.to_string();
    let cgroup =
        stage.host.succeed(["sh", "-c", "cat /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$0/cgroup)/cgroup.events", &init])?;
    ensure!(cgroup.contains("frozen 1"), "{cgroup}");
    stage.lxctl("resume p1").succeed()?;
    ensure!(stage.status("p1")? == "running");
    stage.exec("p1", ["true"]).succeed()?;
    Ok(())
}

fn an_ephemeral_instance_goes_when_it_stops(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("launch busybox brief --ephemeral").succeed()?;
    stage.lxctl("stop --force brief").succeed()?;
    stage.eventually("the end of brief", || Ok(stage.row("brief")?.is_none().then_some(())))
}

fn starting_twice_and_stopping_twice_are_errors_by_state(stage: &Stage) -> Result<()> {
    witness(stage, "p1")?;
    let twice = stage.lxctl("start p1").fail()?;
    ensure!(twice.code == Some(5) && twice.stderr_text().contains("p1"), "{}", twice.describe());
    stage.lxctl("stop --force p1").succeed()?;
    let twice = stage.lxctl("stop p1").fail()?;
    ensure!(twice.code == Some(5) && twice.stderr_text().contains("p1"), "{}", twice.describe());
    Ok(())
}

fn the_hosts_shutdown_stops_guests_in_order_and_its_boot_starts_them_again(stage: &Stage) -> Result<()> {
    witness(stage, "p1")?;
    stage.with_busybox()?;
    stage.lxctl("create busybox idle").succeed()?;
    stage.host.reboot()?;
    stage.eventually("p1 running again", || Ok((stage.status("p1")? == "running").then_some(())))?;
    ensure!(was_orderly(stage, "p1")?, "the host killed the guest");
    ensure!(stage.status("idle")? == "stopped");
    stage.delete("p1 idle")
}
