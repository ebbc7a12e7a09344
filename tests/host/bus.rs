//! The API as any D-Bus client sees it, here busctl.

use anyhow::{Context, Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "bus",
    Base::Packaged,
    [
        introspection_shows_one_level,
        each_collection_has_an_object_manager,
        a_change_of_state_is_signalled,
        nothing_secret_is_a_property,
        the_service_manager_is_told_how_it_is,
        a_call_starts_the_daemon,
        the_log_level_can_be_changed_while_it_runs,
    ]
);

const NAME: &str = "org.lxhost1";

fn b1(stage: &Stage) -> Result<String> {
    stage.with_busybox()?;
    if stage.row("b1")?.is_none() {
        stage.lxctl("launch busybox b1").succeed()?;
    }
    let said = stage.host.succeed([
        "busctl",
        "call",
        NAME,
        "/org/lxhost1",
        "org.lxhost1.Manager",
        "GetInstance",
        "ss",
        "default",
        "b1",
    ])?;
    Ok(said.split('"').nth(1).with_context(|| format!("no path in {said}"))?.to_owned())
}

fn introspection_shows_one_level(stage: &Stage) -> Result<()> {
    let path = b1(stage)?;
    let of = |path: &str| stage.host.succeed(["busctl", "call", NAME, path, "org.freedesktop.DBus.Introspectable", "Introspect"]);
    for path in ["/", "/org", "/org/lxhost1", "/org/lxhost1/instance"] {
        let xml = of(path)?;
        ensure!(xml.contains("<node name=") && !xml.contains("org.lxhost1.Instance"), "{path}: {xml}");
    }
    let xml = of(&path)?;
    for interface in ["org.lxhost1.Instance", "org.lxhost1.Guest"] {
        ensure!(xml.contains(interface), "{interface} is not in {xml}");
    }
    Ok(())
}

fn each_collection_has_an_object_manager(stage: &Stage) -> Result<()> {
    let path = b1(stage)?;
    for (collection, has) in [
        ("instance", path.as_str()),
        ("image", "/org/lxhost1/image/"),
        ("network", "/org/lxhost1/network/"),
        ("profile", "/org/lxhost1/profile/"),
        ("pool", "/org/lxhost1/pool/"),
    ] {
        let at = format!("/org/lxhost1/{collection}");
        let said =
            stage.host.succeed(["busctl", "call", NAME, &at, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"])?;
        ensure!(said.contains(has), "{collection}: {said}");
    }
    Ok(())
}

fn a_change_of_state_is_signalled(stage: &Stage) -> Result<()> {
    b1(stage)?;
    let watch = stage.host.command(["busctl", "monitor", "--json=short", NAME]).spawn()?;
    // A monitor is deaf until the bus has made it one: a call that it has seen says when.
    stage.eventually("a monitor that hears", || {
        stage.host.succeed(["busctl", "get-property", NAME, "/org/lxhost1", "org.lxhost1.Manager", "Version"])?;
        Ok(watch.said().contains("Version").then_some(()))
    })?;
    stage.lxctl("pause b1").succeed()?;
    let seen = watch.until("InstanceStateChanged")?;
    stage.lxctl("resume b1").succeed()?;
    ensure!(seen.contains("b1"), "{seen}");
    watch.until("PropertiesChanged")?;
    Ok(())
}

fn nothing_secret_is_a_property(stage: &Stage) -> Result<()> {
    let path = b1(stage)?;
    stage.lxctl("config set b1 user.secret=opensesame environment.TOKEN=opensesame").succeed()?;
    let all = stage.host.command(["busctl", "introspect", NAME, &path]).user("alice").succeed()?;
    let managed = ["busctl", "call", NAME, "/org/lxhost1/instance", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"];
    let managed = stage.host.command(managed).user("alice").succeed()?;
    ensure!(!all.contains("opensesame") && !managed.contains("opensesame"), "{all}{managed}");
    Ok(())
}

fn the_service_manager_is_told_how_it_is(stage: &Stage) -> Result<()> {
    b1(stage)?;
    let show = |property: &str| stage.host.succeed(["systemctl", "show", "-P", property, "lxhostd.service"]);
    ensure!(show("ActiveState")? == "active\n" && show("Type")? == "notify-reload\n");
    ensure!(show("WatchdogUSec")? != "0\n" && !show("StatusText")?.trim().is_empty());
    stage.host.succeed(["systemctl", "reload", "lxhostd.service"])?;
    ensure!(show("NRestarts")? == "0\n", "it restarted");
    Ok(())
}

fn a_call_starts_the_daemon(stage: &Stage) -> Result<()> {
    b1(stage)?;
    stage.host.succeed(["systemctl", "stop", "lxhostd.service"])?;
    ensure!(stage.status("b1")? == "running");
    ensure!(stage.host.succeed(["systemctl", "is-active", "lxhostd.service"])? == "active\n");
    Ok(())
}

fn the_log_level_can_be_changed_while_it_runs(stage: &Stage) -> Result<()> {
    b1(stage)?;
    let level = || stage.host.succeed(["systemctl", "service-log-level", "lxhostd.service"]);
    let before = level()?;
    stage.host.succeed(["systemctl", "service-log-level", "lxhostd.service", "debug"])?;
    ensure!(level()? == "debug\n" && before == "info\n", "{before}");
    stage.host.succeed(["systemctl", "service-log-level", "lxhostd.service", "info"])?;
    stage.delete("b1")
}
