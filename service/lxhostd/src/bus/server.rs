//! `GetServerInfo`: about daemon and host, and what `lxctl doctor` shows.

use super::job::value;
use lxhost_dbus::wire::Values;
use lxhost_engine::ports::Check;
use lxhost_engine::{Engine, Result};
use std::collections::HashMap;
use zbus::wire::Variant;

/// Everything about the server.
pub(super) async fn info(engine: &Engine) -> Result<Values> {
    let host = engine.host();
    let ports = engine.ports();
    let remotes: Vec<&str> = ports.sources.iter().map(|source| source.name()).collect();
    let mut checks = host.checks().await;
    checks.extend(engine.pool_checks().await);
    let checks: Vec<CheckRow> = checks.into_iter().map(check).collect();
    Ok(Values::from([
        ("version".to_owned(), value(env!("CARGO_PKG_VERSION"))?),
        ("kernel".to_owned(), value(host.kernel())?),
        ("architecture".to_owned(), value(host.architecture())?),
        ("memory".to_owned(), value(host.memory())?),
        ("pool-drivers".to_owned(), value(ports.pools.names())?),
        ("network-types".to_owned(), value(ports.networks.names())?),
        ("remotes".to_owned(), value(remotes)?),
        ("checks".to_owned(), value(checks)?),
    ]))
}

/// A finding of `lxctl doctor`.
pub(super) type CheckRow = HashMap<&'static str, Variant<'static>>;

pub(super) fn check(check: Check) -> CheckRow {
    HashMap::from([
        ("name", Variant::from(check.name)),
        ("state", Variant::from(check.state.to_owned())),
        ("message", Variant::from(check.message)),
        ("hint", Variant::from(check.hint)),
    ])
}
