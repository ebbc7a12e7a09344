//! `snapshot` and `restore`; and what other verbs do with `INSTANCE/SNAPSHOT`.

use crate::args::{AtOnce, NewSnapshot, OneSnapshot, Snapshot as Args, SnapshotVerb};
use crate::bus::{PAGE, Session};
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use crate::render::{self, Format, Table};
use crate::values::{self, text};
use lxhost_dbus::proxy::SnapshotsProxy;
use lxhost_dbus::wire::SnapshotRow;
use lxhost_dbus::{Devices, Options};
use serde_json::{Value, json};
use zbus::wire::OwnedObjectPath;

/// Runs a verb of `snapshot`; without one, takes a snapshot.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match (&args.verb, &args.create) {
        (Some(SnapshotVerb::Create(new)), _) | (None, Some(new)) => create(session, new).await,
        (Some(SnapshotVerb::List { instance, format }), _) => {
            list(session, &session.instance(&instance.name).await?, format.format).await
        }
        (Some(SnapshotVerb::Show { snapshot, format }), _) => {
            let data = read(session, &snapshot.instance, &snapshot.name).await?;
            render::document(format.format, &data)
        }
        (Some(SnapshotVerb::Rename { snapshot, new }), _) => rename(session, &snapshot.instance, &snapshot.name, new).await,
        (Some(SnapshotVerb::Restore(snapshot)), _) => restore(session, snapshot).await,
        (Some(SnapshotVerb::Delete { instance, names, interactive, at_once }), _) => {
            let words: Vec<String> = names.iter().map(|name| format!("{}/{name}", instance.name)).collect();
            super::delete::each(session, &words, (*interactive, false), *at_once).await
        }
        (None, None) => Err(Failure::usage("which instance?").hint("lxctl snapshot --help shows what it takes")),
    }
}

/// Makes an instance what it was.
pub(crate) async fn restore(session: &Session, snapshot: &OneSnapshot) -> Result<(), Failure> {
    let snapshots = of(session, &snapshot.instance).await?;
    let none = Options::new();
    let job = session.allowed(|| snapshots.restore(&snapshot.name, &none)).await?;
    progress::wait(session, &job, &format!("Restoring {}", snapshot.instance), OnInterrupt::Leave).await.map(drop)
}

/// Begins to delete one; gives the job.
pub(crate) async fn delete(session: &Session, instance: &str, name: &str, at_once: AtOnce) -> Result<OwnedObjectPath, Failure> {
    let (snapshots, options) = (of(session, instance).await?, at_once.options());
    session.allowed(|| snapshots.delete(name, &options)).await
}

/// Gives one another name.
pub(crate) async fn rename(session: &Session, instance: &str, name: &str, new: &str) -> Result<(), Failure> {
    let snapshots = of(session, instance).await?;
    let none = Options::new();
    session.allowed(|| snapshots.rename(name, new, &none)).await
}

/// Shows one, in the form that is asked for.
pub(crate) async fn info(session: &Session, instance: &str, name: &str, format: Format) -> Result<(), Failure> {
    let data = read(session, instance, name).await?;
    let yaml = render::yaml(&data)?;
    render::show_one(format, || yaml, &data)
}

/// The snapshots of an instance or a volume, the oldest first.
pub(crate) async fn all(session: &Session, path: &OwnedObjectPath) -> Result<Vec<SnapshotRow>, Failure> {
    let snapshots: SnapshotsProxy<'static> = session.object(path).await?;
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let (page, next) = snapshots.list(&cursor, PAGE).await?;
        rows.extend(page);
        if next.is_empty() {
            return Ok(rows);
        }
        cursor = next;
    }
}

/// Snapshots as a table.
pub(crate) fn table(rows: &[SnapshotRow]) -> Table {
    let mut table = Table::new(["NAME", "TAKEN AT", "EXPIRES AT", "DESCRIPTION"]);
    for row in rows {
        let expires = if row.expires > 0 { render::date(row.expires) } else { String::new() };
        table.push([row.name.clone(), render::date(row.created), expires, row.description.clone()]);
    }
    table
}

async fn of(session: &Session, instance: &str) -> Result<SnapshotsProxy<'static>, Failure> {
    session.object(&session.instance(instance).await?).await
}

async fn create(session: &Session, args: &NewSnapshot) -> Result<(), Failure> {
    let expiry = if args.no_expiry { Some("") } else { args.expiry.as_deref() };
    let mut options = kept(args.comment.as_deref(), expiry, args.reuse);
    if args.stateful {
        options.insert("stateful", true.into());
    }
    take(session, &of(session, &args.instance).await?, (&args.instance, args.name.as_deref()), &options).await
}

/// The options of a snapshot that is to be kept so; an empty `expiry`: for ever.
pub(crate) fn kept<'a>(comment: Option<&'a str>, expiry: Option<&'a str>, reuse: bool) -> Options<'a> {
    let mut options = Options::new();
    for (key, text) in [("description", comment), ("expiry", expiry)] {
        if let Some(text) = text {
            options.insert(key, text.into());
        }
    }
    if reuse {
        options.insert("reuse", true.into());
    }
    options
}

/// Takes one of what people call `of`.
pub(crate) async fn take(
    session: &Session,
    snapshots: &SnapshotsProxy<'_>,
    (of, name): (&str, Option<&str>),
    options: &Options<'_>,
) -> Result<(), Failure> {
    let name = name.unwrap_or_default();
    let job = session.allowed(|| snapshots.create(name, options)).await?;
    let output = progress::wait(session, &job, &format!("Taking a snapshot of {of}"), OnInterrupt::Cancel).await?;
    let name = text(&output, "snapshot");
    session.name_or(&name, format!("Snapshot {of}/{name} created"))
}

/// Lists those of an object.
pub(crate) async fn list(session: &Session, path: &OwnedObjectPath, format: Format) -> Result<(), Failure> {
    let rows = all(session, path).await?;
    let data: Vec<Value> = rows.iter().map(json_of).collect();
    render::show(format, session.quiet, &table(&rows), &data)
}

/// A row as JSON.
pub(crate) fn json_of(row: &SnapshotRow) -> Value {
    json!({
        "name": row.name,
        "created_at": values::time(row.created),
        "expires_at": values::time(row.expires),
        "description": row.description,
    })
}

async fn read(session: &Session, instance: &str, name: &str) -> Result<Value, Failure> {
    shown(session, &of(session, instance).await?, name).await
}

/// Everything about one.
pub(crate) async fn shown(session: &Session, snapshots: &SnapshotsProxy<'_>, name: &str) -> Result<Value, Failure> {
    let none = Options::new();
    let found = session.allowed(|| snapshots.get(name, &none)).await?;
    let mut data = values::object(&found);
    for (key, name) in [("created", "created_at"), ("expires", "expires_at")] {
        data.remove(key);
        data.insert(name.into(), values::time(values::number(&found, key).unwrap_or_default()));
    }
    Ok(data.into())
}

/// The devices and profiles that an instance had.
pub(crate) async fn devices(session: &Session, instance: &str, name: &str) -> Result<(Devices, Vec<String>), Failure> {
    let snapshots = of(session, instance).await?;
    let none = Options::new();
    let mut found = session.allowed(|| snapshots.get(name, &none)).await?;
    let devices = found.remove("devices").and_then(|value| Devices::try_from(value).ok()).unwrap_or_default();
    Ok((devices, values::list(&found, "profiles")))
}

/// The parts of `INSTANCE/SNAPSHOT`.
pub(crate) fn parts(word: &str) -> Option<(&str, &str)> {
    word.split_once('/')
}
