//! Inits that are not systemd: sysvinit with OpenRC's services, and a program that knows nothing of being one.
//! Each starts, stops in order, restarts, reboots and powers off.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lxhost_tests::image;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "inits",
    Base::Packaged,
    [
        openrc_boots_and_gets_an_address,
        openrc_stops_in_order,
        openrc_restarts_in_order,
        openrc_reboots_and_powers_off_from_inside,
        stopping_the_scope_of_openrc_stops_it_in_order,
        openrcs_own_init_stops_in_order,
        a_program_is_an_init_that_is_asked_to_end,
        a_program_restarts_reboots_and_powers_off,
        what_a_program_ended_with_is_told,
        a_program_that_ignores_everything_is_killed,
    ]
);

/// An orderly stop takes the guest a few seconds; a kill comes after thirty.
const ORDERLY: Duration = Duration::from_secs(20);
/// OpenRC starts thousands of programs: seconds on the machine itself, minutes where each is emulated.
const BOOT: Duration = Duration::from_secs(90);

fn openrc(stage: &Stage) -> Result<()> {
    stage.with_image("openrc", &image::openrc(&stage.cache)?)?;
    if stage.row("o1")?.is_none() {
        stage.lxctl("launch openrc o1 --wait").succeed()?;
    } else if stage.status("o1")? != "running" {
        stage.lxctl("start o1").succeed()?;
    }
    default_runlevel(stage)
}

/// The last service of the boot has started and has taken the mark of an orderly stop away.
fn default_runlevel(stage: &Stage) -> Result<()> {
    stage.within(BOOT, "the end of the boot", || {
        let said = stage.exec("o1", ["rc-service", "witness", "status"]).output()?;
        Ok((said.code == Some(0) && said.stdout_text().contains("started")).then_some(()))
    })
}

/// Whether the mark of an orderly stop is in what the stopped instance has left.
fn orderly(stage: &Stage, name: &str) -> Result<()> {
    ensure!(stage.status(name)? == "stopped", "{name} is {}", stage.status(name)?);
    let found = stage.host.succeed(["find", "/var/lib/lxhost/pools", "-path", "*/upper/root/orderly"])?;
    ensure!(!found.is_empty(), "{name} was killed");
    stage.host.succeed(["rm", found.trim()])?;
    Ok(())
}

fn openrc_boots_and_gets_an_address(stage: &Stage) -> Result<()> {
    openrc(stage)?;
    ensure!(stage.exec("o1", ["cat", "/proc/1/comm"]).succeed()? == "init\n");
    let address = stage.address("o1")?;
    stage.host.succeed(["ping", "-c", "1", "-W", "5", &address])?;
    ensure!(stage.exec("o1", ["hostname"]).succeed()? == "o1\n");
    Ok(())
}

fn openrc_stops_in_order(stage: &Stage) -> Result<()> {
    openrc(stage)?;
    let stop = stage.lxctl("stop o1").output()?;
    ensure!(stop.code == Some(0) && stop.elapsed < stage.host.patience(ORDERLY), "{:?}: {}", stop.elapsed, stop.describe());
    orderly(stage, "o1")
}

fn openrc_restarts_in_order(stage: &Stage) -> Result<()> {
    openrc(stage)?;
    let before = stage.init_of("o1")?;
    let restart = stage.lxctl("restart o1").output()?;
    ensure!(
        restart.code == Some(0) && restart.elapsed < stage.host.patience(ORDERLY),
        "{:?}: {}",
        restart.elapsed,
        restart.describe()
    );
    ensure!(stage.status("o1")? == "running" && stage.init_of("o1")? != before);
    openrc(stage)
}

fn openrc_reboots_and_powers_off_from_inside(stage: &Stage) -> Result<()> {
    openrc(stage)?;
    let before = stage.init_of("o1")?;
    stage.exec("o1", ["reboot"]).output()?;
    stage.restarted("o1", before)?;
    default_runlevel(stage)?;
    stage.exec("o1", ["poweroff"]).output()?;
    stage.lxctl("wait o1 --for stopped --timeout 60").succeed()?;
    orderly(stage, "o1")
}

fn stopping_the_scope_of_openrc_stops_it_in_order(stage: &Stage) -> Result<()> {
    openrc(stage)?;
    stage.host.succeed(["systemctl", "stop", "lxhost-o1.scope"])?;
    stage.lxctl("wait o1 --for stopped --timeout 60").succeed()?;
    orderly(stage, "o1")
}

fn openrcs_own_init_stops_in_order(stage: &Stage) -> Result<()> {
    openrc(stage)?;
    stage.lxctl("stop o1").succeed()?;
    orderly(stage, "o1")?;
    stage.lxctl("config set o1 linux.init=/sbin/openrc-init").succeed()?;
    stage.lxctl("start o1").succeed()?;
    default_runlevel(stage)?;
    ensure!(stage.exec("o1", ["cat", "/proc/1/comm"]).succeed()? == "openrc-init\n");
    let stop = stage.lxctl("stop o1").output()?;
    ensure!(stop.code == Some(0) && stop.elapsed < stage.host.patience(ORDERLY), "{:?}: {}", stop.elapsed, stop.describe());
    orderly(stage, "o1")?;
    stage.delete("o1")
}

/// An instance whose init is this script; it is not started.
fn program(stage: &Stage, name: &str, script: &str) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl(&format!("launch busybox {name}")).succeed()?;
    let put = stage.exec(name, ["sh", "-ec", "cat >/root/program; chmod +x /root/program; sync"]);
    put.stdin(format!("#!/bin/sh\n{script}\n")).succeed()?;
    stage.lxctl(&format!("stop --force {name}")).succeed()?;
    stage.lxctl(&format!("config set {name} linux.init=/root/program")).succeed()?;
    Ok(())
}

const POLITE: &str = "rm -f /root/orderly; trap 'touch /root/orderly; exit 0' TERM; while :; do sleep 1 & wait $!; done";

fn a_program_is_an_init_that_is_asked_to_end(stage: &Stage) -> Result<()> {
    program(stage, "polite", POLITE)?;
    stage.lxctl("start polite").succeed()?;
    stage.lxctl("wait polite --timeout 10").succeed()?;
    ensure!(stage.exec("polite", ["cat", "/proc/1/comm"]).succeed()? == "program\n");
    let stop = stage.lxctl("stop polite").output()?;
    ensure!(stop.code == Some(0) && stop.elapsed < stage.host.patience(ORDERLY), "{:?}: {}", stop.elapsed, stop.describe());
    orderly(stage, "polite")
}

fn a_program_restarts_reboots_and_powers_off(stage: &Stage) -> Result<()> {
    if stage.row("polite")?.is_none() {
        program(stage, "polite", POLITE)?;
    }
    stage.lxctl("start polite").succeed()?;
    let before = stage.init_of("polite")?;
    stage.lxctl("restart polite").succeed()?;
    let after = stage.init_of("polite")?;
    ensure!(before != after);
    stage.exec("polite", ["reboot", "-f"]).output()?;
    stage.restarted("polite", after)?;
    stage.exec("polite", ["poweroff", "-f"]).output()?;
    stage.lxctl("wait polite --for stopped --timeout 30").succeed()?;
    stage.lxctl("start polite").succeed()?;
    stage.host.succeed(["systemctl", "stop", "lxhost-polite.scope"])?;
    stage.lxctl("wait polite --for stopped --timeout 30").succeed()?;
    orderly(stage, "polite")?;
    stage.delete("polite")
}

fn what_a_program_ended_with_is_told(stage: &Stage) -> Result<()> {
    program(stage, "brief", "exit 7")?;
    stage.lxctl("start brief").output()?;
    stage.lxctl("wait brief --for stopped --timeout 30").succeed()?;
    let info = stage.lxctl("info brief").succeed()?;
    let end = info.lines().find(|line| line.to_lowercase().contains("exit")).context("info says nothing of its end")?;
    ensure!(end.contains('7'), "{end}");
    stage.delete("brief")
}

fn a_program_that_ignores_everything_is_killed(stage: &Stage) -> Result<()> {
    program(stage, "deaf", "trap '' TERM INT; while :; do sleep 1; done")?;
    stage.lxctl("start deaf").succeed()?;
    let stop = stage.lxctl("stop deaf --timeout 2").output()?;
    ensure!(stop.elapsed < stage.host.patience(ORDERLY), "{:?}: {}", stop.elapsed, stop.describe());
    ensure!(stage.status("deaf")? == "stopped", "{}", stop.describe());
    stage.delete("deaf")
}
