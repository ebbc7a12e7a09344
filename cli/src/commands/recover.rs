//! `recover`.

use crate::args::Recover;
use crate::bus::Session;
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use crate::render::{self, Form, Table};
use lxhost_dbus::Options;
use lxhost_dbus::wire::LostRow;
use serde_json::json;
use std::io::IsTerminal;

/// Shows what is lost, and takes it in.
pub(crate) async fn run(session: &Session, args: &Recover) -> Result<(), Failure> {
    let sources = args.sources.iter().map(|source| absolute(source)).collect::<Result<Vec<String>, Failure>>()?;
    let options = || Options::from([("sources", sources.clone().into())]);
    let manager = session.manager().await?;
    let (find, recover) = (options(), options());
    let lost = session.allowed(|| manager.find_lost(&find)).await?;
    if lost.is_empty() && matches!(args.format.format.form, Form::Table | Form::Compact) {
        session.say("Everything on the disks is known");
        return Ok(());
    }
    show(session, args, &lost)?;
    if args.dry_run || !lost.iter().any(|row| row.obstacle.is_empty()) || !(args.yes || wanted()?) {
        return Ok(());
    }
    let job = session.allowed(|| manager.recover(&recover)).await?;
    progress::wait(session, &job, "Recovering", OnInterrupt::Cancel).await.map(drop)
}

/// The daemon has another directory than who calls it.
fn absolute(path: &std::path::Path) -> Result<String, Failure> {
    let path = std::path::absolute(path).map_err(|e| Failure::io(path.display(), &e))?;
    path.into_os_string().into_string().map_err(|path| Failure::usage(format!("{} is not UTF-8", path.display())))
}

fn show(session: &Session, args: &Recover, lost: &[LostRow]) -> Result<(), Failure> {
    let mut table = Table::new(["KIND", "NAME", "PLACE", "OBSTACLE"]);
    for row in lost {
        table.push([row.kind.clone(), row.name.clone(), row.place.clone(), row.obstacle.clone()]);
    }
    let json = |row: &LostRow| json!({ "kind": row.kind, "name": row.name, "place": row.place, "obstacle": row.obstacle });
    render::show(args.format.format, session.quiet, &table, &lost.iter().map(json).collect::<Vec<_>>())
}

/// Whether somebody at a terminal says yes. Nobody there: no.
fn wanted() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    let question = dialoguer::Confirm::new().with_prompt("Take these in").default(false);
    question.interact().map_err(|e| Failure::usage(format!("no answer: {e}")).hint("--yes does not ask"))
}
