//! `profile`.

use crate::args::{Profile as Args, ProfileOf};
use crate::bus::Session;
use crate::definition::Definition;
use crate::editor;
use crate::failure::Failure;
use crate::pages;
use crate::paths::Shown;
use crate::progress::{self, OnInterrupt};
use crate::render::{self, Table};
use lxhost_dbus::proxy::{InstanceProxy, ProfileProxy};
use lxhost_dbus::{Config, Options};
use lxhost_model::Kind;
use lxhost_model::name::quoted;
use serde_json::json;
use zbus::wire::OwnedObjectPath;

/// Runs a verb of `profile`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::List { format } => list(session, format.format).await,
        Args::Show { profile, format } => {
            let (definition, _) = read(session, &profile.name).await?;
            render::document(format.format, &definition)
        }
        Args::Create { name, description } => {
            let mut new = Definition::from_redirected_stdin()?.unwrap_or_default();
            new.description = description.clone().or(new.description);
            create(session, name, &new).await
        }
        Args::Delete(args) => {
            let profile = session.profile(&args.name).await?;
            let none = Options::new();
            session.allowed(|| profile.delete(&none)).await?;
            session.say(format!("Profile {} deleted", args.name));
            Ok(())
        }
        Args::Get { name, key } => {
            let (definition, _) = read(session, name).await?;
            render::print(&format!("{}\n", definition.config.get(key).map_or("", String::as_str)))
        }
        Args::Set { name, keys } => {
            let set = crate::pairs::from_words(keys, &mut std::io::stdin())?;
            change(session, name, |config| config.extend(set.clone())).await
        }
        Args::Unset { name, keys } => change(session, name, |config| config.retain(|key, _| !keys.contains(key))).await,
        Args::Edit(args) => edit(session, &args.name).await,
        Args::Copy { source, target } => {
            let (definition, _) = read(session, source).await?;
            create(session, target, &definition).await
        }
        Args::Assign { instance, profiles } => {
            let new: Vec<String> = profiles.split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect();
            assign(session, instance, |_| Ok(new.clone())).await
        }
        Args::Add(args) => assign(session, &args.instance, |old| added(old, args)).await,
        Args::Remove(args) => assign(session, &args.instance, |old| removed(old, args)).await,
        Args::Device(args) => super::device::run(session, args, super::device::Of::Profile).await,
    }
}

async fn list(session: &Session, format: render::Format) -> Result<(), Failure> {
    let rows = pages::profiles(session, None).await?;
    let mut table = Table::new(["NAME", "DESCRIPTION", "USED BY"]);
    for row in &rows {
        table.push([row.name.clone(), row.description.clone(), row.used_by.to_string()]);
    }
    let data: Vec<_> = rows
        .iter()
        .map(|r| json!({ "name": r.name, "project": r.project, "description": r.description, "used_by": r.used_by }))
        .collect();
    render::show(format, session.quiet, &table, &data)
}

/// A profile with its users, and its generation.
async fn read(session: &Session, name: &str) -> Result<(Definition, u64), Failure> {
    let profile = session.profile(name).await?;
    let none = Options::new();
    let (config, devices, generation) = session.allowed(|| profile.get_config(&none)).await?;
    let (description, users) = tokio::try_join!(profile.description(), profile.list_users())?;
    let rows = if users.is_empty() { Vec::new() } else { pages::instances(session, None).await? };
    let name_of = |path: &OwnedObjectPath| rows.iter().find(|row| row.path == *path).map(|row| row.name.clone());
    let definition = Definition {
        name: Some(crate::reference::local(name)?.to_owned()),
        description: Some(description),
        config,
        devices,
        used_by: users.iter().filter_map(name_of).collect(),
        ..Definition::default()
    };
    Ok((definition, generation))
}

async fn create(session: &Session, name: &str, new: &Definition) -> Result<(), Failure> {
    let name = crate::reference::local(name)?;
    let manager = session.manager().await?;
    let mut options = described(new.description.as_deref());
    let mut devices = new.devices.clone();
    let shown = Shown::of(&mut devices, &lxhost_dbus::Devices::new())?;
    shown.add_to(&mut options);
    session.allowed(|| manager.create_profile(&session.project, name, &new.config, &devices, &options)).await?;
    session.name_or(name, format!("Profile {name} created"))
}

fn described(description: Option<&str>) -> Options<'_> {
    description.filter(|d| !d.is_empty()).map(|d| ("description", d.into())).into_iter().collect()
}

async fn change(session: &Session, name: &str, change: impl Fn(&mut Config)) -> Result<(), Failure> {
    let profile = session.profile(name).await?;
    let none = Options::new();
    let (mut config, devices, generation) = session.allowed(|| profile.get_config(&none)).await?;
    change(&mut config);
    session.allowed(|| profile.replace_config(&config, &devices, generation, &none)).await.map(drop)
}

async fn edit(session: &Session, name: &str) -> Result<(), Failure> {
    let profile: ProfileProxy<'static> = session.profile(name).await?;
    let (before, generation) = read(session, name).await?;
    editor::edit(&render::yaml(&before)?, async |text| {
        let mut new = Definition::parse(text)?;
        let shown = Shown::of(&mut new.devices, &before.devices)?;
        let mut options = Options::from([("description", new.description.clone().unwrap_or_default().into())]);
        shown.add_to(&mut options);
        session.allowed(|| profile.replace_config(&new.config, &new.devices, generation, &options)).await.map(drop)
    })
    .await
}

/// Changes the list of profiles of an instance.
async fn assign(
    session: &Session,
    name: &str,
    change: impl Fn(Vec<String>) -> Result<Vec<String>, Failure>,
) -> Result<(), Failure> {
    let instance: InstanceProxy<'static> = session.object(&session.instance(name).await?).await?;
    let none = Options::new();
    let (config, devices, old, generation) = session.allowed(|| instance.get_config(&none)).await?;
    let profiles = change(old)?;
    let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
    let call = || instance.replace_config(&config, &devices, &profiles, generation, &none);
    let (_, job) = session.allowed(call).await?;
    progress::wait(session, &job, &format!("Configuring {name}"), OnInterrupt::Leave).await.map(drop)
}

fn added(mut profiles: Vec<String>, args: &ProfileOf) -> Result<Vec<String>, Failure> {
    if profiles.contains(&args.profile) {
        let message = format!("{} uses profile {} already", args.instance, quoted(&args.profile));
        return Err(Failure::of(Kind::AlreadyExists, message));
    }
    profiles.push(args.profile.clone());
    Ok(profiles)
}

fn removed(profiles: Vec<String>, args: &ProfileOf) -> Result<Vec<String>, Failure> {
    if !profiles.contains(&args.profile) {
        let message = format!("{} does not use profile {}", args.instance, quoted(&args.profile));
        return Err(Failure::of(Kind::NoSuchProfile, message));
    }
    Ok(profiles.into_iter().filter(|p| *p != args.profile).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_added_at_the_end_and_removed_once() {
        let args = ProfileOf { instance: "c1".into(), profile: "web".into() };
        let both = added(vec!["default".into()], &args).unwrap();
        assert_eq!(both, ["default", "web"]);
        assert_eq!(added(both.clone(), &args).unwrap_err().code, 4);
        assert_eq!(removed(both, &args).unwrap(), ["default"]);
        assert_eq!(removed(vec![], &args).unwrap_err().code, 3);
    }
}
