//! `info`: an instance, or the host.

use crate::args::Info;
use crate::bus::Session;
use crate::failure::Failure;
use crate::render::{self, Format};
use crate::values::{self, list, number, number_in, text};
use lxhost_dbus::Options;
use lxhost_dbus::proxy::InstanceProxy;
use lxhost_dbus::wire::Values;
use lxhost_model::Kind;
use serde_json::Value;
use std::fmt::Write;
use zbus::wire::ObjectPath;

/// Shows an instance or this host.
pub(crate) async fn run(session: &Session, args: &Info) -> Result<(), Failure> {
    if args.resources {
        return super::resources::run(args.format.format);
    }
    match &args.name {
        Some(name) => match super::snapshot::parts(name) {
            Some((instance, snapshot)) => super::snapshot::info(session, instance, snapshot, args.format.format).await,
            None => instance(session, name, args).await,
        },
        None => host(session, args.format.format).await,
    }
}

async fn instance(session: &Session, name: &str, args: &Info) -> Result<(), Failure> {
    let path = session.instance(name).await?;
    let proxy: InstanceProxy<'static> = session.object(&path).await?;
    let none = Options::new();
    let object = ObjectPath::from(&path);
    let (properties, state) =
        tokio::join!(session.properties(&object, "Instance"), async { Ok(proxy.get_state(&[], &none).await?) });
    let (properties, state): (Values, Result<Values, Failure>) = (properties?, state);
    // Counters belong to something that runs; what is at rest has none to show.
    let state = match state {
        Err(failure) if failure.kind == Some(Kind::NotRunning) => Values::new(),
        other => other?,
    };
    // Of a root that cannot be reached the rest is shown.
    let usage = session.allowed(|| proxy.get_usage(&none)).await.unwrap_or_default();
    let snapshots = super::snapshot::all(session, &path).await?;
    let mut data = values::object(&properties);
    data.insert("LiveState".into(), values::object(&state).into());
    data.insert("DiskUsage".into(), values::object(&usage).into());
    data.insert("Snapshots".into(), snapshots.iter().map(super::snapshot::json_of).collect());
    let text = || {
        let mut text = describe(&properties, &state, &usage);
        if !snapshots.is_empty() {
            let _ = write!(text, "\nSnapshots:\n{}", super::snapshot::table(&snapshots).bordered(true, render::colours()));
        }
        text
    };
    render::show_one(args.format.format, text, &data)?;
    if args.show_log {
        render::print("\nLog:\n\n")?;
        super::console::log(session, &path).await?;
    }
    Ok(())
}

/// As LXD's `info` says it.
fn describe(properties: &Values, state: &Values, usage: &Values) -> String {
    let mut out = String::new();
    let mut line = |key: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "{key}: {}", render::printable(value));
        }
    };
    let date = |key| number(properties, key).map(render::date).unwrap_or_default();
    let status = text(properties, "State").to_uppercase();
    let sub = text(properties, "SubState");
    line("Name", &text(properties, "Name"));
    line("Description", &text(properties, "Description"));
    line("Status", &if sub.is_empty() { status } else { format!("{status} ({sub})") });
    line("Type", &text(properties, "Type"));
    line("Architecture", &text(properties, "Architecture"));
    line("PID", &number(properties, "Leader").filter(|pid| *pid > 0).map(|pid| pid.to_string()).unwrap_or_default());
    line("Unit", &text(properties, "Unit"));
    line("Image", &text(properties, "Image"));
    line("Pool", &text(properties, "Pool"));
    line("Profiles", &list(properties, "Profiles").join(", "));
    line("Created", &date("CreatedTimestamp"));
    line("Last Used", &date("LastUsedTimestamp"));
    line("Last Exit", &last_exit(properties));
    resources(state, usage, &mut out);
    out
}

/// `LastExit` (si): how it ended, and the status or signal of an init that was not asked to.
fn last_exit(properties: &Values) -> String {
    let end = properties.get("LastExit").map(|value| values::json(value)).unwrap_or_default();
    let reason = end.get(0).and_then(Value::as_str).unwrap_or_default();
    match end.get(1).and_then(Value::as_i64) {
        Some(status) if status != 0 => format!("{reason} (status {status})"),
        _ => reason.to_owned(),
    }
}

fn resources(state: &Values, usage: &Values, out: &mut String) {
    let mut lines = Vec::new();
    if let Some(used) = number(usage, "used") {
        let total = number(usage, "total").map(|total| format!(" of {}", render::bytes(total))).unwrap_or_default();
        lines.push(format!("  Disk usage:\n    root: {}{total}", render::bytes(used)));
    }
    if let Some(pids) = number(state, "pids") {
        lines.push(format!("  Processes: {pids}"));
    }
    if let Some(cpu) = number_in(state, "cpu", "usage-nsec") {
        lines.push(format!("  CPU usage:\n    CPU usage (in seconds): {}", cpu / 1_000_000_000));
    }
    if let Some(current) = number_in(state, "memory", "current") {
        lines.push(format!("  Memory usage:\n    Memory (current): {}", render::bytes(current)));
        if let Some(peak) = number_in(state, "memory", "peak") {
            lines.push(format!("    Memory (peak): {}", render::bytes(peak)));
        }
    }
    let addresses = addresses(state);
    if !addresses.is_empty() {
        lines.push("  Network:".to_owned());
        lines.extend(addresses.iter().map(|(interface, address)| format!("    {interface}: {address}")));
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "\nResources:");
        for line in lines.iter().flat_map(|l| l.split('\n')) {
            let _ = writeln!(out, "{}", render::printable(line));
        }
    }
}

/// `addresses` a(ss): interface and address.
fn addresses(state: &Values) -> Vec<(String, String)> {
    let Some(value) = state.get("addresses") else { return Vec::new() };
    let Value::Array(rows) = values::json(value) else { return Vec::new() };
    let pair = |row: &Value| Some((row.get(0)?.as_str()?.to_owned(), row.get(1)?.as_str()?.to_owned()));
    rows.iter().filter_map(pair).collect()
}

async fn host(session: &Session, format: Format) -> Result<(), Failure> {
    let info = session.manager().await?.get_server_info().await?;
    let mut data = values::object(&info);
    // `lxctl doctor` shows these.
    data.remove("checks");
    let yaml = render::yaml(&data)?;
    render::show_one(format, || yaml, &data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use zbus::wire::{OwnedVariant, Variant};

    fn values<const N: usize>(pairs: [(&str, Variant<'static>); N]) -> Values {
        pairs.into_iter().map(|(k, v)| (k.to_owned(), OwnedVariant::try_from(v).unwrap())).collect()
    }

    #[test]
    fn an_instance_is_described_as_lxd_does() {
        let properties = values([
            ("Name", "c1".into()),
            ("State", "running".into()),
            ("SubState", "ready".into()),
            ("Type", "container".into()),
            ("Architecture", "x86_64".into()),
            ("Leader", 4711u32.into()),
            ("Profiles", vec!["default"].into()),
        ]);
        let state = values([
            ("pids", 12u64.into()),
            ("memory", HashMap::from([("current", Variant::from(64u64 << 20))]).into()),
            ("addresses", vec![("eth0", "10.0.3.7")].into()),
        ]);
        let expected = "\
Name: c1
Status: RUNNING (ready)
Type: container
Architecture: x86_64
PID: 4711
Profiles: default

Resources:
  Disk usage:
    root: 3.00MiB of 1.00GiB
  Processes: 12
  Memory usage:
    Memory (current): 64.00MiB
  Network:
    eth0: 10.0.3.7
";
        let usage = values([("used", (3u64 << 20).into()), ("total", (1u64 << 30).into())]);
        assert_eq!(describe(&properties, &state, &usage), expected);
    }

    #[test]
    fn what_is_stopped_has_no_resources() {
        let text = describe(
            &values([("Name", "c1".into()), ("State", "stopped".into()), ("Leader", 0u32.into())]),
            &Values::new(),
            &Values::new(),
        );
        assert_eq!(text, "Name: c1\nStatus: STOPPED\n");
        let ended = values([("Name", "c1".into()), ("State", "stopped".into()), ("LastExit", ("crash", 7i32).into())]);
        assert_eq!(describe(&ended, &Values::new(), &Values::new()), "Name: c1\nStatus: STOPPED\nLast Exit: crash (status 7)\n");
    }
}
