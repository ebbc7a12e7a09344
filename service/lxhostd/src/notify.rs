//! What the service manager is told (sd_notify(3)): ready, reloading, stopping, alive.

use libsystemd::daemon::{NotifyState, notify, watchdog_enabled};
use lxhost_model::Error;
use std::time::Duration;
use zbus::Connection;

/// Longest an answer to our own ping may take before the watchdog is left to bite.
const PATIENCE: Duration = Duration::from_secs(30);

fn tell(states: &[NotifyState]) {
    // Outside of a unit nobody listens, which is fine.
    if let Err(error) = notify(false, states) {
        tracing::debug!("sd_notify: {error}");
    }
}

pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("Serving org.lxhost1".to_owned())]);
}

pub(crate) fn reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
    tell(&[NotifyState::Reloading, NotifyState::Other(format!("MONOTONIC_USEC={usec}"))]);
}

pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

pub(crate) fn failed(error: &Error) {
    // The text goes on one line of a line-based protocol.
    tell(&[
        NotifyState::Status(error.message.replace(['\n', '\r'], " ")),
        NotifyState::Buserror(error.kind.dbus_name().to_owned()),
    ]);
}

/// Tells the watchdog that we are alive as long as our own object server answers over the bus.
pub(crate) async fn watchdog(connection: Connection) {
    let Some(limit) = watchdog_enabled(false) else { return };
    let mut ticks = tokio::time::interval(limit / 3);
    loop {
        ticks.tick().await;
        let name = connection.unique_name().map(ToString::to_string).unwrap_or_default();
        let ping = connection.call_method(Some(name.as_str()), "/org/lxhost1", Some("org.freedesktop.DBus.Peer"), "Ping", &());
        match tokio::time::timeout(PATIENCE, ping).await {
            Ok(Ok(_)) => tell(&[NotifyState::Watchdog]),
            Ok(Err(error)) => tracing::error!("own ping failed: {error}"),
            Err(_) => tracing::error!("own ping was not answered within {} s", PATIENCE.as_secs()),
        }
    }
}
