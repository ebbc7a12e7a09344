//! What outlives what: containers and open shells outlive the daemon, its crash, an upgrade of the
//! package; the daemon adopts what runs and finishes what was under way.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lxhost_tests::host::Running;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::{package, suite, tool};

pub(crate) const SUITE: Suite = suite!(
    "outliving",
    Base::Packaged,
    [
        a_killed_daemon_leaves_containers_and_shells_alone,
        a_restart_of_the_daemon_adopts_what_runs,
        a_daemon_killed_in_the_middle_of_a_launch_leaves_nothing_half_done,
        what_stopped_while_the_daemon_was_away_is_known_after,
        a_second_daemon_is_refused,
        a_crashed_host_comes_back_with_its_instances_stopped_or_started_again,
        an_upgrade_is_noticed_by_nobody,
        a_purge_with_a_running_instance_keeps_the_state,
        removing_stops_the_guests_in_order_and_purging_leaves_nothing,
    ]
);

fn o1(stage: &Stage) -> Result<()> {
    stage.with_debian()?;
    if stage.row("o1")?.is_none() { stage.launch_ready("debian", "o1") } else { Ok(()) }
}

/// A shell in o1 that echoes what it is told, opened before something happens.
fn open_shell(stage: &Stage) -> Result<Running> {
    let argv = ["lxctl", "exec", "o1", "--", "sh", "-c", "echo open; cat; exit 42"];
    let shell = stage.host.command(argv).timeout(Duration::from_secs(120)).spawn()?;
    shell.until("open\n")?;
    Ok(shell)
}

/// That the shell still takes input, gives output and ends with its own status.
fn shell_lives(mut shell: Running) -> Result<()> {
    let mut stdin = shell.stdin.take().context("the shell has an input")?;
    stdin.write_all(b"still here\n")?;
    shell.until("still here\n")?;
    drop(stdin);
    let output = shell.wait()?;
    ensure!(output.code == Some(42), "the shell {}", output.describe());
    Ok(())
}

fn a_killed_daemon_leaves_containers_and_shells_alone(stage: &Stage) -> Result<()> {
    o1(stage)?;
    let (init, shell) = (stage.init_of("o1")?, open_shell(stage)?);
    stage.kill_daemon()?;
    ensure!(stage.init_of("o1")? == init && stage.status("o1")? == "running");
    stage.exec("o1", ["true"]).succeed()?;
    shell_lives(shell)
}

fn a_restart_of_the_daemon_adopts_what_runs(stage: &Stage) -> Result<()> {
    o1(stage)?;
    let (init, address, shell) = (stage.init_of("o1")?, stage.address("o1")?, open_shell(stage)?);
    stage.host.succeed(["systemctl", "restart", "lxhostd.service"])?;
    ensure!(stage.init_of("o1")? == init && stage.status("o1")? == "running" && stage.address("o1")? == address);
    stage.lxctl("restart o1").succeed()?;
    drop(shell);
    stage.lxctl("wait o1 --timeout 60").succeed()?;
    stage.host.succeed(["systemctl", "reload", "lxhostd.service"])?;
    Ok(())
}

fn a_daemon_killed_in_the_middle_of_a_launch_leaves_nothing_half_done(stage: &Stage) -> Result<()> {
    o1(stage)?;
    for delay in [0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.15] {
        let name = format!("half-{}", (delay * 1000.0) as u32);
        stage.host.succeed(["systemctl", "reset-failed", "lxhostd.service"])?;
        let line = format!("lxctl launch debian {name} </dev/null & sleep {delay}; kill -KILL $(pidof lxhostd); wait; true");
        stage.host.succeed(["sh", "-c", &line])?;
        stage.eventually("a daemon", || Ok((stage.lxctl("list").output()?.code == Some(0)).then_some(())))?;
        let settled = stage.eventually("an end of the launch", || {
            Ok(match stage.row(&name)? {
                None => Some("gone".to_owned()),
                Some(row) => row["status"].as_str().filter(|status| ["running", "stopped"].contains(status)).map(str::to_owned),
            })
        })?;
        if settled != "gone" {
            if settled == "stopped" {
                stage.lxctl(&format!("start {name}")).succeed()?;
            }
            stage.exec(&name, ["true"]).succeed()?;
            stage.delete(&name)?;
        }
        let left = stage.host.succeed(["sh", "-c", &format!("systemctl list-units --all --plain --no-legend 'lxhost-{name}*'; find /var/lib/lxhost -name '*{name}*'; ip -o link | grep -c half; true")])?;
        ensure!(left.trim() == "0", "after {delay} s: {left}");
    }
    ensure!(stage.status("o1")? == "running");
    Ok(())
}

fn what_stopped_while_the_daemon_was_away_is_known_after(stage: &Stage) -> Result<()> {
    o1(stage)?;
    stage.host.succeed(["systemctl", "stop", "lxhostd.service"])?;
    stage.host.succeed(["machinectl", "poweroff", "o1"])?;
    stage.eventually("the end of the scope", || {
        Ok((stage.host.command(["systemctl", "is-active", "lxhost-o1.scope"]).output()?.code != Some(0)).then_some(()))
    })?;
    stage.host.succeed(["sh", "-ec", "systemctl reset-failed lxhostd.service; systemctl start lxhostd.service"])?;
    stage.eventually("o1 stopped", || Ok((stage.status("o1")? == "stopped").then_some(())))?;
    stage.lxctl("start o1").succeed()?;
    stage.lxctl("wait o1 --timeout 60").succeed()?;
    Ok(())
}

fn a_second_daemon_is_refused(stage: &Stage) -> Result<()> {
    o1(stage)?;
    let before = stage.daemon()?;
    let second = stage.host.command(["/usr/libexec/lxhost/lxhostd"]).timeout(Duration::from_secs(20)).fail()?;
    ensure!(!second.stderr_text().contains("panicked"), "{}", second.describe());
    ensure!(stage.daemon()? == before);
    stage.exec("o1", ["true"]).succeed()?;
    Ok(())
}

fn a_crashed_host_comes_back_with_its_instances_stopped_or_started_again(stage: &Stage) -> Result<()> {
    o1(stage)?;
    stage.exec("o1", ["sh", "-c", "echo kept >/root/kept; sync"]).succeed()?;
    stage.host.crash()?;
    stage.host.power_on()?;
    let status = stage.eventually("a daemon that knows o1", || {
        let row = stage.lxctl("list").output()?.code.filter(|code| *code == 0).and_then(|_| stage.row("o1").ok().flatten());
        Ok(row.and_then(|row| row["status"].as_str().filter(|status| ["running", "stopped"].contains(status)).map(str::to_owned)))
    })?;
    if status == "stopped" {
        stage.lxctl("start o1").succeed()?;
    }
    ensure!(stage.exec("o1", ["cat", "/root/kept"]).succeed()? == "kept\n");
    stage.lxctl("wait o1 --timeout 60").succeed()?;
    Ok(())
}

fn an_upgrade_is_noticed_by_nobody(stage: &Stage) -> Result<()> {
    o1(stage)?;
    let (init, before, shell) = (stage.init_of("o1")?, stage.daemon()?, open_shell(stage)?);
    upgrade(stage)?;
    ensure!(stage.daemon()? != before, "the upgrade left the old daemon running");
    ensure!(stage.init_of("o1")? == init && stage.status("o1")? == "running");
    stage.exec("o1", ["true"]).succeed()?;
    shell_lives(shell)?;
    package::install(&stage.host, &stage.package)
}

/// Installs the same package with a higher version.
fn upgrade(stage: &Stage) -> Result<()> {
    let work = tempfile::tempdir()?;
    let tree = work.path().join("tree");
    tool::run(Command::new("dpkg-deb").arg("-R").arg(&stage.package).arg(&tree))?;
    let control = fs::read_to_string(tree.join("DEBIAN/control"))?;
    let control: Vec<&str> =
        control.lines().map(|line| if line.starts_with("Version: ") { "Version: 99.0" } else { line }).collect();
    fs::write(tree.join("DEBIAN/control"), control.join("\n") + "\n")?;
    tool::run(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Znone", "-b"])
            .arg(&tree)
            .arg(stage.host.share().join("newer.deb")),
    )?;
    stage.host.succeed(["apt-get", "install", "-q", "-y", "/lab/newer.deb"])?;
    Ok(())
}

fn a_purge_with_a_running_instance_keeps_the_state(stage: &Stage) -> Result<()> {
    o1(stage)?;
    let init = stage.init_of("o1")?.to_string();
    let script = stage.host.succeed(["cat", "/var/lib/dpkg/info/lxhost.postrm"])?;
    stage.host.put("/root/postrm", 0o755, script)?;
    let said = stage.host.command(["/root/postrm", "purge"]).output()?;
    ensure!(said.stderr_text().contains("instances are running"), "{}", said.describe());
    stage.host.succeed(["test", "-d", &format!("/proc/{init}")])?;
    stage.exec("o1", ["true"]).succeed()?;
    // The unit's own purge has forgotten that it was enabled.
    stage.host.succeed(["systemctl", "enable", "lxhostd.service", "lxhost-guests.service"])?;
    Ok(())
}

fn removing_stops_the_guests_in_order_and_purging_leaves_nothing(stage: &Stage) -> Result<()> {
    o1(stage)?;
    stage.host.succeed(["systemctl", "start", "lxhost-guests.service"])?;
    let unit = [
        "systemd-run",
        "--quiet",
        "--unit=witness",
        "-p",
        "RemainAfterExit=yes",
        "-p",
        "ExecStop=/usr/bin/touch /root/orderly",
        "true",
    ];
    stage.exec("o1", unit).succeed()?;
    stage.host.command(["apt-get", "remove", "-q", "-y", "lxhost"]).timeout(Duration::from_secs(120)).succeed()?;
    let scopes = stage.host.succeed(["systemctl", "list-units", "--plain", "--no-legend", "lxhost*"])?;
    ensure!(scopes.is_empty(), "{scopes}");
    let mark = stage.host.succeed(["find", "/var/lib/lxhost", "-path", "*/root/orderly"])?;
    ensure!(!mark.is_empty(), "the guest was killed");
    stage.host.succeed(["apt-get", "purge", "-q", "-y", "lxhost"])?;
    let left = stage.host.succeed(["sh", "-c", "ls -A /var/lib/lxhost; ls -d /run/lxhost 2>/dev/null; ip -o link | grep -v ' lo:'; nft list tables; pgrep -a dnsmasq; true"])?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}
