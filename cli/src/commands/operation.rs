//! `operation`: jobs of the daemon.

use crate::args::Operation as Args;
use crate::bus::Session;
use crate::failure::Failure;
use crate::pages;
use crate::render::{self, Format, Table};
use crate::values::text;
use lxhost_dbus::Options;
use lxhost_dbus::proxy::JobProxy;
use lxhost_dbus::wire::{JobRow, Values};
use lxhost_model::Kind;
use serde_json::json;
use std::collections::HashMap;
use zbus::wire::OwnedObjectPath;

/// Runs a verb of `operation`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::List { format } => list(session, format.format).await,
        Args::Show { operation, format } => {
            let rows = pages::jobs(session, None).await?;
            let row = rows.iter().find(|row| row.id == operation.id).ok_or_else(|| none(operation.id))?;
            render::document(format.format, &json_of(row, &results(session).await?))
        }
        Args::Delete(args) => {
            let path = OwnedObjectPath::try_from(lxhost_dbus::path::job(args.id))?;
            let job: JobProxy<'static> = session.object(&path).await?;
            let options = Options::new();
            session.allowed(|| job.cancel(&options)).await.map_err(|failure| gone(failure, args.id))?;
            session.say(format!("Operation {} cancelled", args.id));
            Ok(())
        }
    }
}

fn none(id: u32) -> Failure {
    lxhost_model::Error::new(Kind::NoSuchJob, format!("no operation {id}: unknown, or over for more than a minute")).into()
}

/// An object that is not there says so in the bus's words.
fn gone(failure: Failure, id: u32) -> Failure {
    if failure.message.contains("UnknownObject") || failure.message.contains("Unknown object") { none(id) } else { failure }
}

async fn list(session: &Session, format: Format) -> Result<(), Failure> {
    let (rows, results) = tokio::try_join!(pages::jobs(session, None), results(session))?;
    let mut table = Table::new(["ID", "OPERATION", "STATE", "PHASE", "PROGRESS", "CREATED"]);
    for row in &rows {
        let progress = if (0.0..=1.0).contains(&row.progress) { format!("{:.0}%", row.progress * 100.0) } else { String::new() };
        table.push([
            row.id.to_string(),
            row.verb.clone(),
            state(row, &results).to_uppercase(),
            row.phase.clone(),
            progress,
            render::date(row.created),
        ]);
    }
    let data: Vec<_> = rows.iter().map(|row| json_of(row, &results)).collect();
    render::show(format, session.quiet, &table, &data)
}

/// How those that are over have ended: `done`, `failed`, `canceled`.
async fn results(session: &Session) -> Result<HashMap<OwnedObjectPath, String>, Failure> {
    let objects = session.collection("job").await?;
    let result = |interfaces: &HashMap<String, Values>| Some(text(interfaces.get("org.lxhost1.Job")?, "Result"));
    Ok(objects.into_iter().filter_map(|(path, interfaces)| Some((path, result(&interfaces)?))).collect())
}

/// What one is doing, or how it ended.
fn state<'a>(row: &'a JobRow, results: &'a HashMap<OwnedObjectPath, String>) -> &'a str {
    match results.get(&row.path) {
        Some(result) if row.state == "done" && !result.is_empty() => result,
        _ => &row.state,
    }
}

fn json_of(row: &JobRow, results: &HashMap<OwnedObjectPath, String>) -> serde_json::Value {
    json!({
        "id": row.id, "verb": row.verb, "status": state(row, results), "phase": row.phase,
        "progress": (row.progress >= 0.0).then_some(row.progress), "created_usec": row.created, "path": row.path.as_str(),
    })
}
