//! The road: from an image to a container that has booted, has an address, runs commands, stops and is
//! gone; and what an administrator sees of it on the way.

use anyhow::{Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::image;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "road",
    Base::Packaged,
    [
        the_first_launch_needs_no_init_step,
        the_guest_boots_with_nothing_failed,
        the_guest_with_udev_boots_with_nothing_failed,
        it_gets_an_address_and_reaches_its_bridge,
        instances_reach_each_other_by_name,
        every_format_of_the_list_has_it,
        machined_and_its_tools_know_it,
        the_log_of_its_console_is_kept,
        what_was_done_is_in_the_journal_under_its_name,
        a_name_is_made_when_none_is_given,
        an_instance_of_busybox_lives_too,
        deleting_leaves_nothing,
        a_host_on_btrfs_gets_subvolumes,
    ]
);

fn c1(stage: &Stage) -> Result<()> {
    stage.with_debian()?;
    if stage.row("c1")?.is_none() {
        stage.lxctl("launch debian c1").succeed()?;
    }
    stage.lxctl("wait c1 --timeout 60").succeed()?;
    Ok(())
}

fn the_first_launch_needs_no_init_step(stage: &Stage) -> Result<()> {
    stage.with_debian()?;
    stage.lxctl("launch debian c1").succeed()?;
    ensure!(stage.status("c1")? == "running");
    ensure!(stage.exec("c1", ["cat", "/proc/1/comm"]).succeed()? == "systemd\n");
    Ok(())
}

fn boots_with_nothing_failed(stage: &Stage, name: &str) -> Result<()> {
    let state = stage.exec(name, ["systemctl", "is-system-running", "--wait"]).output()?;
    let failed = stage.exec(name, ["systemctl", "--failed", "--no-legend", "--plain"]).succeed()?;
    ensure!(state.stdout == b"running\n" && failed.is_empty(), "{}: {failed}", state.stdout_text());
    Ok(())
}

fn the_guest_boots_with_nothing_failed(stage: &Stage) -> Result<()> {
    c1(stage)?;
    boots_with_nothing_failed(stage, "c1")
}

fn the_guest_with_udev_boots_with_nothing_failed(stage: &Stage) -> Result<()> {
    stage.with_image("debian-udev", &image::debian(&stage.cache)?)?;
    stage.launch_ready("debian-udev", "with-udev")?;
    boots_with_nothing_failed(stage, "with-udev")?;
    stage.address("with-udev")?;
    stage.delete("with-udev")
}

fn it_gets_an_address_and_reaches_its_bridge(stage: &Stage) -> Result<()> {
    c1(stage)?;
    let address = stage.address("c1")?;
    let inside = stage.exec("c1", ["ip", "-4", "-oneline", "address", "show", "eth0"]).succeed()?;
    ensure!(inside.contains(&format!("inet {address}/")), "the list says {address}, the guest {inside}");
    let route = stage.exec("c1", ["ip", "route", "show", "default"]).succeed()?;
    let gateway = route.split(' ').nth(2).unwrap_or_default().to_owned();
    stage.exec("c1", ["ping", "-c", "1", "-W", "5", &gateway]).succeed()?;
    stage.host.succeed(["ping", "-c", "1", "-W", "5", &address])?;
    Ok(())
}

fn instances_reach_each_other_by_name(stage: &Stage) -> Result<()> {
    c1(stage)?;
    stage.launch_ready("debian", "c2")?;
    let (first, second) = (stage.address("c1")?, stage.address("c2")?);
    let resolves = |from: &str, name: &str, address: &str| {
        stage.eventually(&format!("{name} as {from} sees it"), || {
            let said = stage.exec(from, ["getent", "ahostsv4", name]).output()?.stdout_text();
            Ok(said.starts_with(address).then_some(()))
        })
    };
    resolves("c1", "c2", &second)?;
    resolves("c2", "c1", &first)?;
    stage.exec("c1", ["ping", "-c", "1", "-W", "5", "c2"]).succeed()?;
    stage.delete("c2")
}

fn every_format_of_the_list_has_it(stage: &Stage) -> Result<()> {
    c1(stage)?;
    for format in ["table", "compact", "csv", "json", "yaml"] {
        let said = stage.lxctl(&format!("list --format {format}")).succeed()?;
        ensure!(said.contains("c1"), "{format}: {said}");
    }
    ensure!(stage.lxctl("list -c n --format csv,noheader").succeed()? == "c1\n");
    ensure!(stage.lxctl("list -q").succeed()? == "c1\n");
    ensure!(stage.lxctl("list status=stopped --format csv,noheader").succeed()?.is_empty());
    Ok(())
}

fn machined_and_its_tools_know_it(stage: &Stage) -> Result<()> {
    c1(stage)?;
    let machines = stage.host.succeed(["machinectl", "list", "--no-legend"])?;
    ensure!(machines.contains("c1 "), "{machines}");
    ensure!(stage.host.succeed(["systemctl", "-M", "c1", "is-system-running"])? == "running\n");
    stage.host.succeed(["systemctl", "is-active", "lxhost-c1.scope"])?;
    Ok(())
}

fn the_log_of_its_console_is_kept(stage: &Stage) -> Result<()> {
    c1(stage)?;
    let log = stage.lxctl("console c1 --show-log").succeed()?;
    ensure!(log.contains("multi-user.target") || log.contains("Welcome to"), "{log}");
    Ok(())
}

fn what_was_done_is_in_the_journal_under_its_name(stage: &Stage) -> Result<()> {
    c1(stage)?;
    stage.host.succeed(["journalctl", "--sync"])?;
    let lines = stage.host.succeed(["journalctl", "--no-pager", "--output=cat", "LXHOST_INSTANCE=c1"])?;
    ensure!(!lines.trim().is_empty(), "the daemon has no lines about c1");
    Ok(())
}

fn a_name_is_made_when_none_is_given(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    let name = stage.lxctl("launch busybox -q").succeed()?;
    let name = name.trim();
    ensure!(name.split('-').count() == 2 && stage.status(name)? == "running", "{name}");
    stage.delete(name)
}

fn an_instance_of_busybox_lives_too(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("launch busybox tiny").succeed()?;
    ensure!(stage.exec("tiny", ["id", "-u"]).succeed()? == "0\n");
    stage.address("tiny")?;
    stage.lxctl("stop tiny").succeed()?;
    ensure!(stage.status("tiny")? == "stopped");
    stage.lxctl("delete tiny").succeed()?;
    Ok(())
}

fn deleting_leaves_nothing(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    let before = lxhost_tests::unchanged::Picture::take(&stage.host)?;
    stage.lxctl("launch busybox gone").succeed()?;
    stage.address("gone")?;
    let running = stage.lxctl("delete gone").fail()?;
    ensure!(running.code == Some(5), "{}", running.describe());
    stage.delete("gone")?;
    before.same(&stage.host)
}

fn a_host_on_btrfs_gets_subvolumes(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    stage.with_debian()?;
    stage.launch_ready("debian", "c1")?;
    boots_with_nothing_failed(&stage, "c1")?;
    let pools = stage.lxctl("storage list --format json").succeed()?;
    ensure!(pools.contains("\"btrfs\""), "{pools}");
    let subvolumes = stage.host.succeed(["btrfs", "subvolume", "list", "/var/lib/lxhost"])?;
    ensure!(subvolumes.lines().count() >= 2, "{subvolumes}");
    stage.delete("c1")
}
