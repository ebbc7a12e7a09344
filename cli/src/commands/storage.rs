//! `storage`.

use super::keyed::{Keyed, described};
use crate::args::{Document, Storage as Args};
use crate::bus::Session;
use crate::failure::Failure;
use crate::pairs;
use crate::progress::{self, OnInterrupt};
use crate::render::{self, Format, Table};
use lxhost_dbus::proxy::PoolProxy;
use lxhost_dbus::wire::PoolRow;
use lxhost_dbus::{Config, Options};
use serde_json::json;
use zbus::wire::OwnedObjectPath;

/// Percent from which on a pool is nearly full, as the daemon's warning has it.
const FULL: u128 = 90;

/// Runs a verb of `storage`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::List { format } => list(session, format.format).await,
        Args::Show { pool, format } => show(session, &pool.name, format.format).await,
        Args::Info { pool, bytes, format } => info(session, &pool.name, *bytes, format.format).await,
        Args::Get { name, key } => {
            let pool = session.pool(name).await?;
            let none = Options::new();
            let (config, _) = session.allowed(|| pool.get_config(&none)).await?;
            render::print(&format!("{}\n", config.get(key).map_or("", String::as_str)))
        }
        Args::Set { name, keys } => {
            let set = pairs::from_words(keys, &mut std::io::stdin())?;
            change(session, name, |config| config.extend(set)).await
        }
        Args::Unset { name, keys } => change(session, name, |config| config.retain(|key, _| !keys.contains(key))).await,
        Args::Edit(args) => edit(session, &args.name).await,
        Args::Create { name, driver, keys, description } => {
            create(session, name, driver, &pairs::config(keys), description.as_deref()).await?;
            session.name_or(name, format!("Storage pool {name} created"))
        }
        Args::Delete { names } => {
            super::power::each(session, names, "Deleting", async |name| delete(session, name).await).await?;
            names.iter().for_each(|name| session.say(format!("Storage pool {name} deleted")));
            Ok(())
        }
        Args::Volume(args) => super::volume::run(session, args).await,
    }
}

async fn list(session: &Session, format: Format) -> Result<(), Failure> {
    let rows = session.manager().await?.list_pools().await?;
    let mut table = Table::new(["NAME", "DRIVER", "SOURCE", "USED BY", "USED", "FREE"]);
    let mut data = Vec::new();
    for row in &rows {
        let pool: PoolProxy<'static> = session.object(&row.path).await?;
        // One that cannot be reached is listed all the same.
        let usage = pool.get_usage().await.ok();
        let shown = |bytes: Option<u64>| bytes.map(render::bytes).unwrap_or_default();
        let (used, free) = (usage.map(|(total, free)| total.saturating_sub(free)), usage.map(|(_, free)| free));
        let (name, driver, source) = (row.name.clone(), row.driver.clone(), row.source.clone());
        table.push([name, driver, source, row.used_by.to_string(), shown(used), shown(free)]);
        let mut json = json_of(row);
        (json["total"], json["used"], json["free"]) = (usage.map(|(total, _)| total).into(), used.into(), free.into());
        data.push(json);
    }
    render::show(format, session.quiet, &table, &data)
}

fn json_of(row: &PoolRow) -> serde_json::Value {
    json!({ "name": row.name, "driver": row.driver, "source": row.source, "used_by": row.used_by })
}

async fn row(session: &Session, name: &str) -> Result<Option<PoolRow>, Failure> {
    let name = crate::reference::local(name)?;
    Ok(session.manager().await?.list_pools().await?.into_iter().find(|row| row.name == name))
}

async fn show(session: &Session, name: &str, format: Document) -> Result<(), Failure> {
    let Keyed { description, config, .. } = read(session, &session.pool(name).await?).await?;
    let mut data = row(session, name).await?.as_ref().map_or_else(|| json!({ "name": name }), json_of);
    data["description"] = json!(description);
    data["config"] = json!(config);
    render::document(format, &data)
}

async fn info(session: &Session, name: &str, exact: bool, format: Format) -> Result<(), Failure> {
    let (total, free) = session.pool(name).await?.get_usage().await?;
    let row = row(session, name).await?;
    let used = total.saturating_sub(free);
    let shown = |n: u64| if exact { n.to_string() } else { render::bytes(n) };
    let mut data = row.as_ref().map_or_else(|| json!({ "name": name }), json_of);
    data["total"] = total.into();
    data["used"] = used.into();
    data["free"] = free.into();
    let trashed = crate::pages::trash(session, Some(crate::reference::local(name)?)).await?.len();
    data["in_trash"] = trashed.into();
    let is_full = u128::from(used) * 100 >= u128::from(total) * FULL && total > 0;
    data["nearly_full"] = is_full.into();
    let text = || {
        let driver = row.as_ref().map_or("", |r| r.driver.as_str());
        let source = row.as_ref().map_or("", |r| r.source.as_str());
        format!(
            "Name: {name}\nDriver: {driver}\nSource: {}\nSpace:\n  Total: {}\n  Used: {}\n  Free: {}\n{}{}",
            render::printable(source),
            shown(total),
            shown(used),
            shown(free),
            if trashed > 0 { format!("In trash: {trashed}\n") } else { String::new() },
            if is_full { "Warning: it is nearly full; lxctl doctor says what makes room\n" } else { "" }
        )
    };
    render::show_one(format, text, &data)
}

async fn read(session: &Session, pool: &PoolProxy<'static>) -> Result<Keyed, Failure> {
    let none = Options::new();
    let (config, generation) = session.allowed(|| pool.get_config(&none)).await?;
    Ok(Keyed { description: pool.description().await?, config, generation })
}

async fn change(session: &Session, name: &str, change: impl FnOnce(&mut Config)) -> Result<(), Failure> {
    let pool = session.pool(name).await?;
    let Keyed { mut config, generation, .. } = read(session, &pool).await?;
    change(&mut config);
    let none = Options::new();
    session.allowed(|| pool.replace_config(&config, generation, &none)).await.map(drop)
}

async fn edit(session: &Session, name: &str) -> Result<(), Failure> {
    let pool = session.pool(name).await?;
    let before = read(session, &pool).await?;
    crate::editor::edit(&before.yaml(crate::reference::local(name)?)?, async |text| {
        let (description, config) = Keyed::edited(text)?;
        let options = described(Some(&description));
        session.allowed(|| pool.replace_config(&config, before.generation, &options)).await.map(drop)
    })
    .await
}

/// Makes a pool; an empty driver lets the daemon choose.
pub(crate) async fn create(
    session: &Session,
    name: &str,
    driver: &str,
    config: &Config,
    description: Option<&str>,
) -> Result<(), Failure> {
    let manager = session.manager().await?;
    let options = described(description);
    let (_, job) = session.allowed(|| manager.create_pool(name, driver, config, &options)).await?;
    progress::wait(session, &job, &format!("Creating storage pool {name}"), OnInterrupt::Cancel).await.map(drop)
}

async fn delete(session: &Session, name: &str) -> Result<OwnedObjectPath, Failure> {
    let pool: PoolProxy<'static> = session.pool(name).await?;
    let none = Options::new();
    session.allowed(|| pool.delete(&none)).await
}
