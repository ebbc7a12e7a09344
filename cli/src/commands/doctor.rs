//! `doctor`: what the daemon checked on this host and its networks, and whether there is a daemon to ask.

use crate::args::{Doctor, DoctorOf, Global};
use crate::bus::Session;
use crate::failure::Failure;
use crate::pages;
use crate::render::{self, Format, Table};
use crate::values;
use lxhost_dbus::Options;
use lxhost_dbus::wire::Values;
use serde_json::{Map, Value};

/// One check.
struct Check {
    /// The network; of the host without one.
    network: Option<String>,
    name: String,
    state: String,
    message: String,
    hint: String,
}

impl Check {
    fn new(name: &str, state: &str, message: String, hint: String) -> Self {
        Check { network: None, name: name.into(), state: state.into(), message, hint }
    }

    fn read(network: Option<&str>, row: &Value) -> Self {
        let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let network = network.map(str::to_owned);
        Check { network, name: text("name"), state: text("state"), message: text("message"), hint: text("hint") }
    }

    fn cells(&self) -> [String; 3] {
        let hint = if self.hint.is_empty() { String::new() } else { format!("\n→ {}", self.hint) };
        [self.name.clone(), self.state.clone(), format!("{}{hint}", self.message)]
    }

    fn data(&self) -> Value {
        let network = self.network.iter().map(|network| ("network", network));
        let own = [("name", &self.name), ("state", &self.state), ("message", &self.message), ("hint", &self.hint)];
        Value::Object(Map::from_iter(network.chain(own).map(|(key, value)| (key.to_owned(), value.as_str().into()))))
    }
}

/// Prints the checks; gives 1 when one failed.
pub(crate) async fn run(global: &Global, args: &Doctor) -> Result<u8, Failure> {
    match &args.of {
        None => host(global, args.format.format).await,
        Some(DoctorOf::Network { name, format }) => networks(global, name.as_deref(), format.format).await,
    }
}

async fn host(global: &Global, format: Format) -> Result<u8, Failure> {
    let checks = match ask(global).await {
        Ok(checks) => checks,
        Err(failure) => vec![Check::new("daemon", "fail", failure.message, failure.hint.unwrap_or_default())],
    };
    let mut table = Table::new(["CHECK", "STATE", "MESSAGE"]);
    checks.iter().for_each(|check| table.push(check.cells()));
    show(global, format, &table, &checks)
}

async fn networks(global: &Global, name: Option<&str>, format: Format) -> Result<u8, Failure> {
    let session = Session::open(global).await?;
    let names = match name {
        Some(name) => vec![crate::reference::local(name)?.to_owned()],
        None => pages::networks(&session, Some(&session.project)).await?.into_iter().map(|network| network.name).collect(),
    };
    let mut checks = Vec::new();
    for name in &names {
        let network = session.network(name).await?;
        let none = Options::new();
        let rows: Vec<Values> = session.allowed(|| network.diagnose(&none)).await?;
        checks.extend(rows.iter().map(|row| Check::read(Some(name), &Value::Object(values::object(row)))));
    }
    let mut table = Table::new(["NETWORK", "CHECK", "STATE", "MESSAGE"]);
    for check in &checks {
        let [name, state, message] = check.cells();
        table.push([check.network.clone().unwrap_or_default(), name, state, message]);
    }
    show(global, format, &table, &checks)
}

fn show(global: &Global, format: Format, table: &Table, checks: &[Check]) -> Result<u8, Failure> {
    let data: Vec<Value> = checks.iter().map(Check::data).collect();
    render::show(format, global.quiet, table, &data)?;
    Ok(u8::from(checks.iter().any(|check| check.state == "fail")))
}

async fn ask(global: &Global) -> Result<Vec<Check>, Failure> {
    let session = Session::open(global).await?;
    let info = session.manager().await?.get_server_info().await?;
    let version = values::text(&info, "version");
    let mut daemon = Check::new("daemon", "ok", format!("lxhostd {version} answers"), String::new());
    let ours = env!("CARGO_PKG_VERSION");
    if !version.is_empty() && version != ours {
        daemon.state = "warn".into();
        daemon.message = format!("lxhostd is {version}, lxctl is {ours}");
        daemon.hint = "systemctl restart lxhostd; instances go on".into();
    }
    let mut checks = vec![daemon];
    if let Some(Value::Array(rows)) = info.get("checks").map(|v| values::json(v)) {
        checks.extend(rows.iter().map(|row| Check::read(None, row)));
    }
    Ok(checks)
}
