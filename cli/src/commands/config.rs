//! `config`: keys of an instance.

use crate::args::{Config as Args, ConfigGet, ConfigSet, ConfigShow, ConfigUnset};
use crate::bus::Session;
use crate::definition::Definition;
use crate::editor;
use crate::failure::Failure;
use crate::paths::Shown;
use crate::progress::{self, OnInterrupt};
use crate::render;
use crate::values::text;
use lxhost_dbus::proxy::InstanceProxy;
use lxhost_dbus::{Config, Options};
use lxhost_model::Kind;
use lxhost_model::name::quoted;
use zbus::wire::ObjectPath;

/// Runs a verb of `config`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::Get(args) => get(session, args).await,
        Args::Set(args) => set(session, args).await,
        Args::Unset(args) => unset(session, args).await,
        Args::Show(args) => show(session, args).await,
        Args::Edit { name } => edit(session, name).await,
        Args::Device(args) => super::device::run(session, args, super::device::Of::Instance).await,
    }
}

/// LXD's settings of the server have no counterpart here.
fn no_server_config(what: &str) -> Failure {
    Failure::of(Kind::Unsupported, format!("{}: this version of lxhost has no settings of the daemon itself", quoted(what)))
        .hint("name an instance before the key")
}

async fn get(session: &Session, args: &ConfigGet) -> Result<(), Failure> {
    let [name, key] = &args.words[..] else { return Err(no_server_config(&args.words.join(" "))) };
    let instance: InstanceProxy<'static> = session.object(&session.instance(name).await?).await?;
    let options = Options::from([("expanded", args.expanded.into())]);
    let (mut config, _, _, _) = session.allowed(|| instance.get_config(&options)).await?;
    // As LXD: a key that is not set is an empty line.
    render::print(&format!("{}\n", config.remove(key).unwrap_or_default()))
}

async fn set(session: &Session, args: &ConfigSet) -> Result<(), Failure> {
    let (name, words) = args.words.split_first().ok_or_else(|| Failure::usage("config set: no instance is named"))?;
    let is_key = |word: &str| word.contains('=') || word.contains('.');
    if words.is_empty() || (is_key(name) && words.len() == 1 && !words[0].contains('=')) {
        return Err(match is_key(name) {
            true => no_server_config(name),
            false => Failure::usage(format!("config set {name}: expected KEY=VALUE")),
        });
    }
    let config = crate::pairs::from_words(words, &mut std::io::stdin())?;
    update(session, name, &config, &[]).await
}

async fn unset(session: &Session, args: &ConfigUnset) -> Result<(), Failure> {
    match args.words.split_first() {
        Some((name, keys)) if !keys.is_empty() => {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            update(session, name, &Config::new(), &keys).await
        }
        _ => Err(no_server_config(&args.words.join(" "))),
    }
}

async fn update(session: &Session, name: &str, set: &Config, unset: &[&str]) -> Result<(), Failure> {
    let instance: InstanceProxy<'static> = session.object(&session.instance(name).await?).await?;
    let none = Options::new();
    let (_, job) = session.allowed(|| instance.update_config(set, unset, &none)).await?;
    progress::wait(session, &job, &format!("Configuring {name}"), OnInterrupt::Leave).await.map(drop)
}

async fn show(session: &Session, args: &ConfigShow) -> Result<(), Failure> {
    let name = args.name.as_deref().ok_or_else(|| no_server_config("config show"))?;
    let path = session.instance(name).await?;
    let (definition, _) = read(session, &ObjectPath::from(&path), args.expanded).await?;
    render::document(args.format.format, &definition)
}

/// The definition of an instance and its generation.
async fn read(session: &Session, path: &ObjectPath<'_>, expanded: bool) -> Result<(Definition, u64), Failure> {
    let instance: InstanceProxy<'static> = session.object(&path.to_owned().into()).await?;
    let options = Options::from([("expanded", expanded.into())]);
    let (config, devices, profiles, generation) = session.allowed(|| instance.get_config(&options)).await?;
    let properties = session.properties(path, "Instance").await?;
    let ephemeral = properties.get("Ephemeral").is_some_and(|v| bool::try_from(v).unwrap_or(false));
    let definition = Definition {
        name: Some(text(&properties, "Name")),
        architecture: Some(text(&properties, "Architecture")),
        description: Some(text(&properties, "Description")),
        config,
        devices,
        ephemeral: Some(ephemeral),
        profiles: Some(profiles),
        used_by: Vec::new(),
    };
    Ok((definition, generation))
}

async fn edit(session: &Session, name: &str) -> Result<(), Failure> {
    let path = session.instance(name).await?;
    let instance: InstanceProxy<'static> = session.object(&path).await?;
    let (before, generation) = read(session, &ObjectPath::from(&path), false).await?;
    editor::edit(&render::yaml(&before)?, async |text| {
        let mut new = Definition::parse(text)?;
        let shown = Shown::of(&mut new.devices, &before.devices)?;
        let profiles = new.profiles.as_ref().or(before.profiles.as_ref()).map_or_else(Vec::new, Clone::clone);
        let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
        let described = new.description.as_deref().map(|d| ("description", d.into()));
        let mut options: Options<'_> = described.into_iter().collect();
        shown.add_to(&mut options);
        let call = || instance.replace_config(&new.config, &new.devices, &profiles, generation, &options);
        let (_, job) = session.allowed(call).await?;
        progress::wait(session, &job, &format!("Configuring {name}"), OnInterrupt::Leave).await.map(drop)
    })
    .await
}
