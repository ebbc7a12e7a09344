//! `doctor`: what the daemon checked on this host, and whether there is a daemon to ask.

use crate::args::{Doctor, Global};
use crate::bus::Session;
use crate::failure::Failure;
use crate::render::{self, Table};
use crate::values;
use serde_json::{Value, json};

/// One check.
struct Check {
    name: String,
    state: String,
    message: String,
    hint: String,
}

/// Prints the checks; gives 1 when one failed.
pub(crate) async fn run(global: &Global, args: &Doctor) -> Result<u8, Failure> {
    let checks = match ask(global).await {
        Ok(checks) => checks,
        Err(failure) => vec![Check {
            name: "daemon".into(),
            state: "fail".into(),
            message: failure.message,
            hint: failure.hint.unwrap_or_default(),
        }],
    };
    let mut table = Table::new(["CHECK", "STATE", "MESSAGE"]);
    for check in &checks {
        let hint = if check.hint.is_empty() { String::new() } else { format!("\n→ {}", check.hint) };
        table.push([check.name.clone(), check.state.clone(), format!("{}{hint}", check.message)]);
    }
    let data: Vec<_> =
        checks.iter().map(|c| json!({ "name": c.name, "state": c.state, "message": c.message, "hint": c.hint })).collect();
    render::show(args.format.format, global.quiet, &table, &data)?;
    Ok(u8::from(checks.iter().any(|check| check.state == "fail")))
}

async fn ask(global: &Global) -> Result<Vec<Check>, Failure> {
    let session = Session::open(global).await?;
    let info = session.manager().await?.get_server_info().await?;
    let version = values::text(&info, "version");
    let mut checks = vec![Check {
        name: "daemon".into(),
        state: "ok".into(),
        message: format!("lxhostd {version} answers"),
        hint: String::new(),
    }];
    let ours = env!("CARGO_PKG_VERSION");
    if !version.is_empty() && version != ours {
        checks[0].state = "warn".into();
        checks[0].message = format!("lxhostd is {version}, lxctl is {ours}");
        checks[0].hint = "systemctl restart lxhostd; instances go on".into();
    }
    if let Some(Value::Array(rows)) = info.get("checks").map(|v| values::json(v)) {
        let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        checks.extend(rows.iter().map(|row| Check {
            name: text(row, "name"),
            state: text(row, "state"),
            message: text(row, "message"),
            hint: text(row, "hint"),
        }));
    }
    Ok(checks)
}
