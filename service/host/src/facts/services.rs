//! The host's services: systemd as PID 1, Polkit, machined. Asked on the system bus, five seconds each.

use super::source::Source;
use super::{fail, ok, warn};
use lxhost_engine::ports::Check;
use std::time::Duration;
use zbus::{Connection, OwnedVariant};

/// Oldest systemd whose interfaces we use.
const OLDEST: u32 = 255;

const PATIENCE: Duration = Duration::from_secs(5);

/// PID 1, as sd_booted(3) tells it, and its version.
pub(super) async fn systemd(source: &Source, bus: Option<&Connection>) -> Vec<Check> {
    let name = "systemd";
    if !source.path("run/systemd/system").is_dir() {
        return vec![fail(name, "it is not PID 1 here", "lxhost needs a host that was booted with systemd")];
    }
    let Some(bus) = bus else { return vec![no_bus(name)] };
    vec![match version(bus).await {
        Ok(version) => judge_version(&version),
        Err(why) => fail(name, format!("PID 1 does not answer: {why}"), "look at `systemctl status` and `journalctl -b -p err`"),
    }]
}

fn judge_version(version: &str) -> Check {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    match digits.parse::<u32>() {
        Ok(found) if found >= OLDEST => ok("systemd", version),
        Ok(_) => fail("systemd", format!("{version} is older than {OLDEST}"), "upgrade the host"),
        Err(_) => {
            warn("systemd", format!("version {version:?} is not understood"), format!("make sure that it is {OLDEST} or newer"))
        }
    }
}

/// Whether Polkit answers and knows our actions.
pub(super) async fn polkit(source: &Source, bus: Option<&Connection>) -> Vec<Check> {
    let name = "polkit";
    let Some(bus) = bus else { return vec![no_bus(name)] };
    if let Err(why) = ping(bus, "org.freedesktop.PolicyKit1").await {
        return vec![warn(name, format!("not reachable ({why}): only root may use lxhost"), "install and start polkitd")];
    }
    if !source.path("usr/share/polkit-1/actions/org.lxhost1.policy").is_file() {
        return vec![warn(name, "it does not know lxhost's actions: only root may use lxhost", "install org.lxhost1.policy")];
    }
    vec![ok(name, "answers")]
}

/// Whether machined answers; containers run without it.
pub(super) async fn machined(bus: Option<&Connection>) -> Vec<Check> {
    let name = "machined";
    let Some(bus) = bus else { return vec![no_bus(name)] };
    let hint = "install systemd-container, so that machinectl and journalctl -M know the containers";
    vec![match ping(bus, "org.freedesktop.machine1").await {
        Ok(()) => ok(name, "answers"),
        Err(why) => warn(name, format!("not reachable ({why})"), hint),
    }]
}

fn no_bus(name: &str) -> Check {
    warn(name, "unknown: there is no connection to the system bus", "start dbus.service")
}

async fn version(bus: &Connection) -> Result<String, String> {
    let what = ("org.freedesktop.systemd1.Manager", "Version");
    let properties = Some("org.freedesktop.DBus.Properties");
    let call = bus.call_method(Some("org.freedesktop.systemd1"), "/org/freedesktop/systemd1", properties, "Get", &what);
    let reply = answer(call).await?;
    let value: OwnedVariant = reply.body().deserialize().map_err(|e| e.to_string())?;
    String::try_from(value).map_err(|e| e.to_string())
}

async fn ping(bus: &Connection, service: &str) -> Result<(), String> {
    answer(bus.call_method(Some(service), "/", Some("org.freedesktop.DBus.Peer"), "Ping", &())).await.map(drop)
}

async fn answer(call: impl Future<Output = zbus::Result<zbus::Message>>) -> Result<zbus::Message, String> {
    match tokio::time::timeout(PATIENCE, call).await {
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        Ok(reply) => reply.map_err(|e| e.to_string().replace('\n', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions_are_understood() {
        for (version, state) in [("257.8-1~deb13u2", "ok"), ("255", "ok"), ("252.39-1~deb12u1", "fail"), ("v9", "warn")] {
            assert_eq!(judge_version(version).state, state, "{version}");
        }
    }
}
