//! `network`.

mod attach;
mod list;
mod state;
pub(in crate::commands) mod trial;

use super::device::Of;
use super::keyed::{Keyed, described};
use crate::args::{Document, Network as Args};
use crate::bus::Session;
use crate::failure::Failure;
use crate::pages;
use crate::pairs;
use crate::progress::{self, OnInterrupt};
use crate::render::{self, Format, Table};
use attach::New;
use lxhost_dbus::proxy::NetworkProxy;
use lxhost_dbus::wire::NetworkRow;
use lxhost_dbus::{Config, Options};
use lxhost_model::checkpoint::Trial;
use serde_json::json;
use zbus::wire::OwnedObjectPath;

/// Runs a verb of `network`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::List { columns, format } => list::run(session, columns, format.format).await,
        Args::Info { network, format } => state::info(session, &network.name, format.format).await,
        Args::Show { network, format } => show(session, &network.name, format.format).await,
        Args::Get { name, key } => {
            let network = session.network(name).await?;
            let none = Options::new();
            let (config, _) = session.allowed(|| network.get_config(&none)).await?;
            render::print(&format!("{}\n", config.get(key).map_or("", String::as_str)))
        }
        Args::Set { name, keys, trial } => {
            let set = pairs::from_words(keys, &mut std::io::stdin())?;
            change(session, name, trial.within, |config| config.extend(set)).await
        }
        Args::Unset { name, keys, trial } => {
            change(session, name, trial.within, |config| config.retain(|key, _| !keys.contains(key))).await
        }
        Args::Edit { network, trial } => edit(session, &network.name, trial.within).await,
        Args::Create { name, keys, kind, config, description, trial } => {
            let config = pairs::config(config.iter().chain(keys));
            create(session, name, kind, &config, description.as_deref(), trial.within).await?;
            session.name_or(name, format!("Network {name} created"))?;
            trial::settle(session, std::slice::from_ref(name), trial.within).await
        }
        Args::Confirm { names } => trial::confirm(session, names).await,
        Args::Rollback { names } => trial::undo(session, names).await,
        Args::Delete { names, trial } => {
            super::power::each(session, names, "Deleting", async |name| delete(session, name, trial.within).await).await?;
            names.iter().for_each(|name| session.say(format!("Network {name} deleted")));
            trial::settle(session, names, trial.within).await
        }
        Args::Rename { name, new_name, trial } => rename(session, name, new_name, trial.within).await,
        Args::Attach(args) => {
            let (device, interface) = (args.names.device.as_deref(), args.names.interface.as_deref());
            let new = New { network: &args.network, holder: &args.instance, of: Of::Instance, device, interface };
            attach::attach(session, new).await
        }
        Args::AttachProfile(args) => {
            let (device, interface) = (args.names.device.as_deref(), args.names.interface.as_deref());
            let new = New { network: &args.network, holder: &args.profile, of: Of::Profile, device, interface };
            attach::attach(session, new).await
        }
        Args::Detach(args) => attach::detach(session, &args.network, &args.instance, Of::Instance, args.device.as_deref()).await,
        Args::DetachProfile(args) => {
            attach::detach(session, &args.network, &args.profile, Of::Profile, args.device.as_deref()).await
        }
        Args::Acl(args) => super::acl::run(session, args).await,
        Args::Forward(args) => super::forward::run(session, args).await,
        Args::LoadBalancer(args) => super::load_balancer::run(session, args).await,
        Args::ListLeases { name, format } => leases(session, name, format.format).await,
        Args::ListAllocations { format } => state::allocations(session, format.format).await,
    }
}

fn json_of(row: &NetworkRow) -> serde_json::Value {
    json!({
        "name": row.name, "project": row.project, "type": row.kind, "status": row.state,
        "managed": row.managed, "subnets": row.subnets,
    })
}

async fn show(session: &Session, name: &str, format: Document) -> Result<(), Failure> {
    let Keyed { description, config, .. } = read(session, &session.network(name).await?).await?;
    let name = crate::reference::local(name)?;
    let rows = pages::networks(session, None).await?;
    let mut data = rows.iter().find(|row| row.name == name).map_or_else(|| json!({ "name": name }), json_of);
    data["description"] = json!(description);
    data["config"] = json!(config);
    render::document(format, &data)
}

async fn read(session: &Session, network: &NetworkProxy<'static>) -> Result<Keyed, Failure> {
    let none = Options::new();
    let (config, generation) = session.allowed(|| network.get_config(&none)).await?;
    Ok(Keyed { description: network.description().await?, config, generation })
}

async fn change(session: &Session, name: &str, trial: Option<Trial>, change: impl FnOnce(&mut Config)) -> Result<(), Failure> {
    let network = session.network(name).await?;
    let mut new = read(session, &network).await?;
    change(&mut new.config);
    trial::advise(session, name, &network, trial).await;
    replace(session, name, &network, &new, described(None), trial).await?;
    trial::settle(session, &[name.to_owned()], trial).await
}

async fn edit(session: &Session, name: &str, trial: Option<Trial>) -> Result<(), Failure> {
    let network = session.network(name).await?;
    let before = read(session, &network).await?;
    let mut changed = None;
    crate::editor::edit(&before.yaml(crate::reference::local(name)?)?, async |text| {
        let (description, config) = Keyed::edited(text)?;
        let new = Keyed { description, config, generation: before.generation };
        trial::advise(session, name, &network, trial).await;
        replace(session, name, &network, &new, described(Some(&new.description)), trial).await?;
        changed = trial;
        Ok(())
    })
    .await?;
    trial::settle(session, &[name.to_owned()], changed).await
}

async fn replace(
    session: &Session,
    name: &str,
    network: &NetworkProxy<'static>,
    new: &Keyed,
    options: Options<'_>,
    trial: Option<Trial>,
) -> Result<(), Failure> {
    let options = trial::within(options, trial);
    let job = session.allowed(|| network.replace_config(&new.config, new.generation, &options)).await?;
    progress::wait(session, &job, &format!("Configuring network {name}"), OnInterrupt::Leave).await.map(drop)
}

async fn rename(session: &Session, name: &str, new_name: &str, trial: Option<Trial>) -> Result<(), Failure> {
    let network = session.network(name).await?;
    trial::advise(session, name, &network, trial).await;
    let options = trial::within(Options::new(), trial);
    let job = session.allowed(|| network.rename(new_name, &options)).await?;
    progress::wait(session, &job, &format!("Renaming network {name}"), OnInterrupt::Leave).await?;
    session.name_or(new_name, format!("Network {name} renamed to {new_name}"))?;
    trial::settle(session, &[new_name.to_owned()], trial).await
}

/// Makes a network and waits until it is up.
pub(crate) async fn create(
    session: &Session,
    name: &str,
    kind: &str,
    config: &Config,
    description: Option<&str>,
    trial: Option<Trial>,
) -> Result<(), Failure> {
    let manager = session.manager().await?;
    let options = trial::within(described(description), trial);
    let (_, job) = session.allowed(|| manager.create_network(&session.project, name, kind, config, &options)).await?;
    progress::wait(session, &job, &format!("Creating network {name}"), OnInterrupt::Cancel).await.map(drop)
}

async fn delete(session: &Session, name: &str, trial: Option<Trial>) -> Result<OwnedObjectPath, Failure> {
    let network: NetworkProxy<'static> = session.network(name).await?;
    trial::advise(session, name, &network, trial).await;
    let options = trial::within(Options::new(), trial);
    session.allowed(|| network.delete(&options)).await
}

async fn leases(session: &Session, name: &str, format: Format) -> Result<(), Failure> {
    let rows = session.network(name).await?.list_leases().await?;
    let mut table = Table::new(["HOSTNAME", "MAC ADDRESS", "IP ADDRESS", "TYPE", "EXPIRES AT"]).keyed(2);
    for row in &rows {
        let kind = if row.expires == 0 { "STATIC" } else { "DYNAMIC" };
        let expires = render::date(row.expires);
        table.push([row.hostname.as_str(), &row.mac, &row.address, kind, &expires]);
    }
    let data: Vec<_> = rows
        .iter()
        .map(|r| json!({ "hostname": r.hostname, "hwaddr": r.mac, "address": r.address, "expires_usec": r.expires }))
        .collect();
    render::show(format, session.quiet, &table, &data)
}
