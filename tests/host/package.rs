//! The package: installing, upgrading, removing and purging it.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::{package, suite, tool};

pub(crate) const SUITE: Suite = suite!(
    "package",
    Base::Bare,
    [
        it_installs_from_what_a_plain_server_has,
        its_groups_are_there_and_empty,
        its_units_are_enabled_and_valid,
        bus_and_polkit_know_it,
        its_state_is_searchable_but_not_listable,
        an_upgrade_keeps_state_and_leaves_the_guests_alone,
        the_old_package_of_its_name_conflicts,
        removing_keeps_the_state,
        purging_removes_everything,
    ]
);

/// Puts the package with another version where the host finds it as `/lab/NAME`.
fn repacked(stage: &Stage, name: &str, version: &str) -> Result<()> {
    let work = tempfile::tempdir()?;
    let tree = work.path().join("tree");
    tool::run(Command::new("dpkg-deb").arg("-R").arg(&stage.package).arg(&tree))?;
    let control = fs::read_to_string(tree.join("DEBIAN/control"))?;
    let version = format!("Version: {version}");
    let control: Vec<&str> =
        control.lines().map(|line| if line.starts_with("Version: ") { version.as_str() } else { line }).collect();
    fs::write(tree.join("DEBIAN/control"), control.join("\n") + "\n")?;
    tool::run(
        Command::new("dpkg-deb").args(["--root-owner-group", "-Znone", "-b"]).arg(&tree).arg(stage.host.share().join(name)),
    )?;
    Ok(())
}

/// Installs the package unless an earlier test of this host has.
fn with_package(stage: &Stage) -> Result<()> {
    let state = stage.host.command(["dpkg-query", "-W", "-f=${db:Status-Status}", "lxhost"]).output()?;
    if state.stdout != b"installed" {
        package::install(&stage.host, &stage.package)?;
    }
    Ok(())
}

fn it_installs_from_what_a_plain_server_has(stage: &Stage) -> Result<()> {
    package::install(&stage.host, &stage.package)?;
    ensure!(stage.host.succeed(["dpkg-query", "-W", "-f=${db:Status-Status}", "lxhost"])? == "installed");
    let changed = stage.host.succeed(["dpkg", "--verify", "lxhost"])?;
    ensure!(changed.is_empty(), "{changed}");
    Ok(())
}

fn its_groups_are_there_and_empty(stage: &Stage) -> Result<()> {
    with_package(stage)?;
    let groups = stage.host.succeed(["getent", "group", "lxhost", "lxhost-admin"])?;
    ensure!(groups.lines().count() == 2 && groups.lines().all(|line| line.ends_with(':')), "{groups}");
    Ok(())
}

fn its_units_are_enabled_and_valid(stage: &Stage) -> Result<()> {
    with_package(stage)?;
    for unit in ["lxhostd.service", "lxhost-guests.service", "dbus-org.lxhost1.service"] {
        stage.host.succeed(["systemctl", "is-enabled", unit])?;
    }
    let said = stage
        .host
        .command(["systemd-analyze", "verify", "lxhostd.service", "lxhost-guests.service", "lxhost-snapshots.timer"])
        .output()?;
    // A server without man-db cannot look at the pages that the units name.
    let complaints: Vec<String> = said
        .stderr_text()
        .lines()
        .filter(|line| line.contains("lxhost") && !line.contains("Command 'man "))
        .map(str::to_owned)
        .collect();
    ensure!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}

fn bus_and_polkit_know_it(stage: &Stage) -> Result<()> {
    with_package(stage)?;
    let names = stage.host.succeed(["busctl", "list", "--activatable", "--no-legend"])?;
    ensure!(names.contains("org.lxhost1"), "{names}");
    let owned = stage
        .host
        .command(["busctl", "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "RequestName", "su", "org.lxhost1", "4"])
        .user("alice")
        .fail()?;
    ensure!(owned.stderr_text().contains("denied"), "{}", owned.describe());
    let actions = stage.host.succeed(["pkaction"])?;
    ensure!(actions.lines().filter(|line| line.starts_with("org.lxhost1.")).count() == 26, "{actions}");
    let journal = stage.host.succeed(["journalctl", "--boot", "--no-pager", "-u", "polkit.service"])?;
    ensure!(!journal.contains("rror compiling"), "{journal}");
    Ok(())
}

fn its_state_is_searchable_but_not_listable(stage: &Stage) -> Result<()> {
    with_package(stage)?;
    for path in ["/var/lib/lxhost", "/run/lxhost"] {
        ensure!(stage.host.succeed(["stat", "-c", "%a %U:%G", path])? == "711 root:root\n", "{path}");
        stage.host.command(["ls", path]).user("alice").fail()?;
    }
    Ok(())
}

fn an_upgrade_keeps_state_and_leaves_the_guests_alone(stage: &Stage) -> Result<()> {
    with_package(stage)?;
    let started = || stage.host.succeed(["systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", "lxhost-guests.service"]);
    let before = started()?;
    ensure!(before != "0\n", "lxhost-guests.service is not active");
    stage.host.put("/var/lib/lxhost/kept", 0o600, "kept")?;
    repacked(stage, "newer.deb", "99.0")?;
    stage.host.succeed(["apt-get", "install", "-q", "-y", "/lab/newer.deb"])?;
    ensure!(stage.host.succeed(["dpkg-query", "-W", "-f=${Version}", "lxhost"])? == "99.0");
    ensure!(started()? == before, "lxhost-guests.service was restarted, which stops every instance");
    ensure!(stage.host.get("/var/lib/lxhost/kept")? == b"kept");
    Ok(())
}

fn the_old_package_of_its_name_conflicts(stage: &Stage) -> Result<()> {
    with_package(stage)?;
    let relations = stage.host.succeed(["dpkg-query", "-W", "-f=${Conflicts};${Replaces}", "lxhost"])?;
    ensure!(relations == "lxctl;lxctl", "{relations}");
    Ok(())
}

fn removing_keeps_the_state(stage: &Stage) -> Result<()> {
    with_package(stage)?;
    stage.host.put("/var/lib/lxhost/kept", 0o600, "kept")?;
    stage.host.succeed(["apt-get", "remove", "-q", "-y", "lxhost"])?;
    ensure!(stage.host.get("/var/lib/lxhost/kept")? == b"kept");
    for path in ["/usr/bin/lxctl", "/usr/libexec/lxhost", "/usr/share/dbus-1/system.d/org.lxhost1.conf"] {
        ensure!(!stage.host.has(path)?, "{path} is left");
    }
    let units = stage.host.succeed(["systemctl", "list-units", "--plain", "--no-legend", "lxhost*"])?;
    ensure!(units.is_empty(), "{units}");
    Ok(())
}

fn purging_removes_everything(stage: &Stage) -> Result<()> {
    with_package(stage)?;
    stage.host.succeed(["apt-get", "purge", "-q", "-y", "lxhost"])?;
    let left = stage.host.succeed(["sh", "-c", "ls -A /var/lib/lxhost; ls -d /run/lxhost /etc/lxhost 2>/dev/null; find / -xdev -path /proc -prune -o -name '*lxhost*' -print | grep -v -e '^/lab' -e '^/var/lib/lxhost$' -e '^/var/log' -e '^/var/cache' -e '^/srv' -e '^/tmp'; true"])?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}
