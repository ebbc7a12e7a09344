//! `storage volume`.

use super::device::{Holder, Of, add, no_device};
use super::keyed::{Keyed, described};
use crate::args::{AttachVolume, DetachVolume, Document, Volume as Args, VolumeName};
use crate::bus::{PAGE, Session};
use crate::failure::Failure;
use crate::pairs;
use crate::progress::{self, OnInterrupt};
use crate::render::{self, Format, Table};
use crate::values;
use lxhost_dbus::proxy::VolumeProxy;
use lxhost_dbus::wire::VolumeRow;
use lxhost_dbus::{Config, Options};
use serde_json::{Value, json};

/// Runs a verb of `storage volume`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::List { pool, format } => list(session, pool.as_deref(), format.format).await,
        Args::Create { pool, name, keys, content, description } => {
            let mut options = described(description.as_deref());
            options.insert("content-type", content.as_str().into());
            let (keys, proxy) = (pairs::config(keys), session.pool(pool).await?);
            let (_, job) = session.allowed(|| proxy.create_volume(&session.project, name, &keys, &options)).await?;
            progress::wait(session, &job, &format!("Creating volume {name}"), OnInterrupt::Cancel).await?;
            session.name_or(name, format!("Storage volume {name} created"))
        }
        Args::Show { volume, format } => show(session, volume, format.format).await,
        Args::Info { volume, bytes, format } => info(session, volume, *bytes, format.format).await,
        Args::Get { volume, key } => {
            let Keyed { config, .. } = read(session, &of(session, volume).await?).await?;
            render::print(&format!("{}\n", config.get(key).map_or("", String::as_str)))
        }
        Args::Set { volume, keys } => {
            let set = pairs::from_words(keys, &mut std::io::stdin())?;
            change(session, volume, |config| config.extend(set)).await
        }
        Args::Unset { volume, keys } => change(session, volume, |config| config.retain(|key, _| !keys.contains(key))).await,
        Args::Edit(volume) => edit(session, volume).await,
        Args::Attach(args) => attach(session, args, Of::Instance).await,
        Args::AttachProfile(args) => attach(session, args, Of::Profile).await,
        Args::Detach(args) => detach(session, args, Of::Instance).await,
        Args::DetachProfile(args) => detach(session, args, Of::Profile).await,
        Args::Snapshot(args) => super::volume_snapshot::run(session, args).await,
        Args::File(args) => super::volume_file::run(session, args).await,
        Args::Copy(args) => super::volume_copy::copy(session, args).await,
        Args::Export(args) => super::backup::volume::export(session, args).await,
        Args::Import(args) => super::backup::volume::import(session, args).await,
        Args::Move { words, .. } => super::volume_copy::relocate(session, words).await,
        Args::Rename { volume, new } => {
            let (proxy, none) = (of(session, volume).await?, Options::new());
            let job = session.allowed(|| proxy.rename(new, &none)).await?;
            progress::wait(session, &job, &format!("Renaming volume {}", volume.name), OnInterrupt::Leave).await?;
            session.say(format!("Storage volume {} renamed to {new}", volume.name));
            Ok(())
        }
        Args::Delete { pool, names, at_once } => {
            let delete = async |name: &str| {
                let (proxy, options) = (session.volume(pool, name).await?, at_once.options());
                session.allowed(|| proxy.delete(&options)).await
            };
            super::power::each(session, names, "Deleting", delete).await?;
            names.iter().for_each(|name| session.say(format!("Storage volume {name} deleted")));
            Ok(())
        }
    }
}

async fn of(session: &Session, volume: &VolumeName) -> Result<VolumeProxy<'static>, Failure> {
    session.volume(&volume.pool, &volume.name).await
}

/// The words by which a device names a volume: its pool and its name.
fn words(volume: &VolumeName) -> Result<(&str, &str), Failure> {
    let name = volume.name.strip_prefix("custom/").unwrap_or(&volume.name);
    Ok((crate::reference::local(&volume.pool)?, name))
}

/// Puts a volume among the devices of an instance or profile.
async fn attach(session: &Session, args: &AttachVolume, of: Of) -> Result<(), Failure> {
    let (pool, name) = words(&args.volume)?;
    // One that is not there is said so by its own name.
    self::of(session, &args.volume).await?;
    let (device, path) = match &args.place[..] {
        [device, path] => (device.as_str(), path),
        [path] => (name, path),
        _ => return Err(Failure::usage("which path?").hint("lxctl storage volume attach --help shows what it takes")),
    };
    let keys = [("type", "disk"), ("pool", pool), ("source", name), ("path", path)];
    let readonly = args.readonly.then_some(("readonly", "true"));
    let keys = keys.into_iter().chain(readonly).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let mut holder = Holder::read(session, &args.holder, of).await?;
    add(holder.devices(), &args.holder, device, keys)?;
    holder.write(session, &args.holder).await
}

/// Takes the device with a volume away from an instance or profile.
async fn detach(session: &Session, args: &DetachVolume, of: Of) -> Result<(), Failure> {
    let (pool, name) = words(&args.volume)?;
    let mut holder = Holder::read(session, &args.holder, of).await?;
    let is_it = |keys: &Config| keys.get("pool").is_some_and(|p| p == pool) && keys.get("source").is_some_and(|s| s == name);
    let found: Vec<String> = holder.devices().iter().filter(|(_, keys)| is_it(keys)).map(|(name, _)| name.clone()).collect();
    let device = match (&args.device, &found[..]) {
        (Some(device), _) if found.contains(device) => device,
        (Some(device), _) => return Err(no_device(&args.holder, device)),
        (None, [only]) => only,
        (None, []) => return Err(no_device(&args.holder, name).hint(format!("it has no device with the volume {pool}/{name}"))),
        (None, several) => {
            let which = format!("{} has this volume as {}", args.holder, several.join(", "));
            return Err(Failure::usage(which).hint("name the device"));
        }
    };
    holder.devices().remove(device);
    holder.write(session, &args.holder).await
}

/// Volumes of a pool, or of all.
async fn rows(session: &Session, pool: Option<&str>) -> Result<Vec<VolumeRow>, Failure> {
    let manager = session.manager().await?;
    let mut filter = Options::from([("project", session.project.as_str().into())]);
    if let Some(pool) = pool {
        // A pool that is not there has no volumes, and is a mistake.
        session.pool(pool).await?;
        filter.insert("pool", crate::reference::local(pool)?.into());
    }
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let (page, next) = manager.list_volumes(&filter, &cursor, PAGE).await?;
        all.extend(page);
        if next.is_empty() || next == cursor {
            return Ok(all);
        }
        cursor = next;
    }
}

async fn list(session: &Session, pool: Option<&str>, format: Format) -> Result<(), Failure> {
    let rows = rows(session, pool).await?;
    let mut table = Table::new(["NAME", "POOL", "TYPE", "DESCRIPTION", "CONTENT-TYPE", "USED BY"]);
    for row in &rows {
        let cells = [&row.name, &row.pool, "custom", &row.description, &row.content_type, &users(row).join(" ")];
        table.push(cells.map(str::to_owned));
    }
    let data: Vec<_> = rows.iter().map(json_of).collect();
    render::show(format, session.quiet, &table, &data)
}

/// Who uses it: names of instances, and of profiles with that word before.
fn users(row: &VolumeRow) -> Vec<String> {
    let user = |(path, name): &(zbus::wire::OwnedObjectPath, String)| match path.as_str().contains("/profile/") {
        true => format!("profile:{name}"),
        false => name.clone(),
    };
    row.used_by.iter().map(user).collect()
}

fn json_of(row: &VolumeRow) -> Value {
    json!({
        "name": row.name,
        "pool": row.pool,
        "type": "custom",
        "content_type": row.content_type,
        "description": row.description,
        "used_by": users(row),
    })
}

/// The row of a volume, as an object to add to.
async fn row(session: &Session, volume: &VolumeName) -> Result<Value, Failure> {
    let proxy = of(session, volume).await?;
    let path = proxy.inner().path().as_str().to_owned();
    let found = rows(session, Some(&volume.pool)).await?.into_iter().find(|row| row.path.as_str() == path);
    Ok(found.as_ref().map_or_else(|| json!({ "name": volume.name }), json_of))
}

async fn show(session: &Session, volume: &VolumeName, format: Document) -> Result<(), Failure> {
    let Keyed { config, .. } = read(session, &of(session, volume).await?).await?;
    let mut data = row(session, volume).await?;
    data["config"] = json!(config);
    render::document(format, &data)
}

async fn info(session: &Session, volume: &VolumeName, exact: bool, format: Format) -> Result<(), Failure> {
    let (proxy, none) = (of(session, volume).await?, Options::new());
    let usage = session.allowed(|| proxy.get_usage(&none)).await?;
    let used = values::number(&usage, "used").unwrap_or_default();
    let total = values::number(&usage, "total");
    let created = values::time(proxy.created_timestamp().await?);
    let snapshots = super::snapshot::all(session, &proxy.inner().path().to_owned().into()).await?;
    let mut data = row(session, volume).await?;
    data["used"] = used.into();
    data["snapshots"] = snapshots.iter().map(super::snapshot::json_of).collect();
    data["total"] = total.into();
    data["created_at"] = created.clone();
    let text = || {
        let shown = |bytes: u64| if exact { bytes.to_string() } else { render::bytes(bytes) };
        let total = total.map(|total| format!("Total: {}\n", shown(total))).unwrap_or_default();
        let created = created.as_str().unwrap_or_default();
        let users = data["used_by"].as_array().map(|users| users.iter().filter_map(Value::as_str).collect::<Vec<_>>());
        let mut text = format!(
            "Name: {}\nPool: {}\nType: custom\nContent type: {}\nCreated: {created}\nUsage: {}\n{total}Used by: {}\n",
            volume.name,
            volume.pool,
            render::printable(data["content_type"].as_str().unwrap_or_default()),
            shown(used),
            render::printable(&users.unwrap_or_default().join(" "))
        );
        if !snapshots.is_empty() {
            text.push_str(&format!("\nSnapshots:\n{}", super::snapshot::table(&snapshots).bordered(true, render::colours())));
        }
        text
    };
    render::show_one(format, text, &data)
}

async fn read(session: &Session, proxy: &VolumeProxy<'static>) -> Result<Keyed, Failure> {
    let none = Options::new();
    let (config, generation) = session.allowed(|| proxy.get_config(&none)).await?;
    Ok(Keyed { description: proxy.description().await?, config, generation })
}

async fn change(session: &Session, volume: &VolumeName, change: impl FnOnce(&mut Config)) -> Result<(), Failure> {
    let proxy = of(session, volume).await?;
    let mut new = read(session, &proxy).await?;
    change(&mut new.config);
    replace(session, volume, &proxy, &new).await
}

async fn replace(session: &Session, volume: &VolumeName, proxy: &VolumeProxy<'static>, new: &Keyed) -> Result<(), Failure> {
    let options = described(Some(&new.description));
    let job = session.allowed(|| proxy.replace_config(&new.config, new.generation, &options)).await?;
    progress::wait(session, &job, &format!("Configuring volume {}", volume.name), OnInterrupt::Leave).await.map(drop)
}

async fn edit(session: &Session, volume: &VolumeName) -> Result<(), Failure> {
    let proxy = of(session, volume).await?;
    let before = read(session, &proxy).await?;
    crate::editor::edit(&before.yaml(&volume.name)?, async |text| {
        let (description, config) = Keyed::edited(text)?;
        replace(session, volume, &proxy, &Keyed { description, config, generation: before.generation }).await
    })
    .await
}
