//! `launch` and `create`.

use crate::args::{NewInstance, Wait};
use crate::bus::Session;
use crate::definition::Definition;
use crate::failure::Failure;
use crate::pairs;
use crate::paths::Shown;
use crate::progress::{self, OnInterrupt};
use crate::reference;
use lxhost_dbus::proxy::InstanceProxy;
use lxhost_dbus::{Config, Devices, Options};
use lxhost_model::Kind;
use lxhost_model::name::{InstanceName, quoted};
use std::path::Path;

/// Makes an instance, and starts it when `start`.
pub(crate) async fn run(session: &Session, args: &NewInstance, start: bool) -> Result<(), Failure> {
    let shape = &args.shape;
    if shape.vm {
        return Err(Failure::of(Kind::Unsupported, "virtual machines are not in this version: leave --vm out for a container"));
    }
    let (image, name) = image_and_name(args)?;
    let mut source = Options::from([("type", if shape.empty { "empty" } else { "image" }.into())]);
    if !shape.empty {
        source.insert("image", image.into());
    }
    let given = Definition::from_redirected_stdin()?;
    let mut wanted = merged(session, args, given).await?;
    let shown = Shown::of(&mut wanted.devices, &Devices::new())?;
    let mut spec = Options::from([("start", start.into())]);
    spec_of(&wanted, shape.storage.as_deref(), &mut spec);
    let doing = if start { "Launching" } else { "Creating" };
    if !name.is_empty() {
        session.say(format!("{doing} {name}"));
    }
    let manager = session.manager().await?;
    let mut options = Options::new();
    shown.add_to(&mut options);
    let create = || manager.create_instance(&session.project, name, &source, &spec, &options);
    let (instance, job) = session.allowed(create).await?;
    let proxy: InstanceProxy<'static> = session.object(&instance).await?;
    // A generated name is known once the record is there, which an image to be fetched comes before.
    let early = if name.is_empty() { proxy.name().await.ok() } else { None };
    if let Some(name) = &early {
        session.say(format!("{doing} {name}"));
    }
    let shown = early.as_deref().unwrap_or(if name.is_empty() { image } else { name });
    progress::wait(session, &job, &format!("{doing} {shown}"), OnInterrupt::Cancel).await?;
    let made = match early {
        Some(name) => name,
        None if name.is_empty() => {
            let name = proxy.name().await?;
            session.say(format!("{} {name}", if start { "Launched" } else { "Created" }));
            name
        }
        None => name.to_owned(),
    };
    if session.quiet {
        crate::render::line(&made);
    }
    if let (Some(what), true) = (shape.wait, start) {
        super::wait::run(session, &Wait { name: made, what, timeout: 0 }).await?;
    }
    match (&shape.console, start) {
        (Some(_), true) => super::console::attach(session, &instance).await.map(drop),
        _ => Ok(()),
    }
}

/// Image and name of the command line; with `--empty` the first word is the name.
fn image_and_name(args: &NewInstance) -> Result<(&str, &str), Failure> {
    let (image, name) = match (args.shape.empty, &args.image, &args.name) {
        (true, Some(_), Some(_)) => return Err(Failure::usage("--empty takes no image: only a name")),
        (true, name, None) => ("", name.as_deref().unwrap_or_default()),
        (_, image, name) => (image.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default()),
    };
    let name = reference::local(name)?;
    if !name.is_empty() {
        name.parse::<InstanceName>()?;
    }
    Ok((reference::image(image)?, name))
}

/// The definition of standard input with the command line over it.
async fn merged(session: &Session, args: &NewInstance, given: Option<Definition>) -> Result<Definition, Failure> {
    let shape = &args.shape;
    let mut wanted = given.unwrap_or_default();
    if let Some(file) = &shape.environment_file {
        wanted.config.extend(environment(file)?);
    }
    wanted.config.extend(pairs::config(&shape.config));
    if let Some(description) = &shape.description {
        wanted.description = Some(description.clone());
    }
    wanted.ephemeral = Some(shape.ephemeral || wanted.ephemeral.unwrap_or(false));
    if shape.no_profiles {
        wanted.profiles = Some(Vec::new());
    } else if !shape.profiles.is_empty() {
        wanted.profiles = Some(shape.profiles.clone());
    }
    if let Some(network) = &shape.network {
        let nic = [("type", "nic"), ("name", "eth0"), ("network", network)];
        let nic: Config = nic.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        wanted.devices.insert("eth0".to_owned(), nic);
    }
    for (name, keys) in devices(&shape.devices)? {
        if !wanted.devices.contains_key(&name) && !keys.contains_key("type") {
            let profiles = wanted.profiles.clone().unwrap_or_else(|| vec!["default".to_owned()]);
            let device = of_profiles(session, &profiles, &name).await?;
            wanted.devices.insert(name.clone(), device);
        }
        wanted.devices.entry(name).or_default().extend(keys);
    }
    Ok(wanted)
}

/// The device `name` as the last of `profiles` that has it defines it.
pub(super) async fn of_profiles(session: &Session, profiles: &[String], name: &str) -> Result<Config, Failure> {
    for profile in profiles.iter().rev() {
        let proxy = match session.profile(profile).await {
            // It comes with the first launch, which this may be.
            Err(failure) if failure.kind == Some(Kind::NoSuchProfile) && profile == "default" => return first(name),
            other => other?,
        };
        let none = Options::new();
        let (_, mut devices, _) = session.allowed(|| proxy.get_config(&none)).await?;
        if let Some(device) = devices.remove(name) {
            return Ok(device);
        }
    }
    Err(Failure::usage(format!("device {}: no profile has it, so it needs type=…", quoted(name))))
}

/// A device of the profile `default` as the first launch makes it.
fn first(name: &str) -> Result<Config, Failure> {
    let keys: &[(&str, &str)] = match name {
        "root" => &[("type", "disk"), ("path", "/"), ("pool", "default")],
        "eth0" => &[("type", "nic"), ("name", "eth0"), ("network", "lxbr0")],
        _ => return Err(Failure::usage(format!("device {}: no profile has it, so it needs type=…", quoted(name)))),
    };
    Ok(keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

/// `-d NAME,KEY=VALUE,…` by device.
pub(super) fn devices(words: &[String]) -> Result<Devices, Failure> {
    let mut devices = Devices::new();
    for word in words {
        let (name, keys) = word
            .split_once(',')
            .filter(|(name, _)| !name.is_empty() && !name.contains('='))
            .ok_or_else(|| Failure::usage(format!("--device {}: expected NAME,KEY=VALUE", quoted(word))))?;
        let device = devices.entry(name.to_owned()).or_default();
        for pair in keys.split(',') {
            let pair: pairs::Pair =
                pair.parse().map_err(|why| Failure::usage(format!("--device {}: {}: {why}", quoted(name), quoted(pair))))?;
            device.insert(pair.key, pair.value);
        }
    }
    Ok(devices)
}

/// A file of `KEY=VALUE` lines as `environment.KEY`.
fn environment(file: &Path) -> Result<Config, Failure> {
    let shown = file.display();
    let mut opened = std::fs::File::open(file).map_err(|e| Failure::io(&shown, &e))?;
    let text = pairs::read_text(&mut opened).map_err(|e| e.context(&shown))?;
    let mut config = Config::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let pair: pairs::Pair = line.parse().map_err(|why| Failure::usage(format!("{shown}, line {}: {why}", number + 1)))?;
        config.insert(format!("environment.{}", pair.key), pair.value);
    }
    Ok(config)
}

/// Writes the definition into the options of the call; what nobody named is left to the daemon.
fn spec_of<'a>(wanted: &'a Definition, pool: Option<&'a str>, spec: &mut Options<'a>) {
    if !wanted.config.is_empty() {
        spec.insert("config", wanted.config.clone().into());
    }
    if !wanted.devices.is_empty() {
        spec.insert("devices", wanted.devices.clone().into());
    }
    if let Some(profiles) = &wanted.profiles {
        spec.insert("profiles", profiles.clone().into());
    }
    if let Some(description) = &wanted.description {
        spec.insert("description", description.as_str().into());
    }
    if wanted.ephemeral == Some(true) {
        spec.insert("ephemeral", true.into());
    }
    if let Some(pool) = pool {
        spec.insert("pool", pool.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn parse(line: &[&str]) -> NewInstance {
        match Cli::try_parse_from([&["lxctl", "launch"], line].concat()).unwrap().command {
            Command::Launch(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_image_comes_first_unless_the_root_is_empty() {
        assert_eq!(image_and_name(&parse(&["debian:13", "c1"])).unwrap(), ("debian:13", "c1"));
        assert_eq!(image_and_name(&parse(&["debian:13"])).unwrap(), ("debian:13", ""));
        assert_eq!(image_and_name(&parse(&["--empty", "c1"])).unwrap(), ("", "c1"));
        assert_eq!(image_and_name(&parse(&["--empty"])).unwrap(), ("", ""));
        assert_eq!(image_and_name(&parse(&["--empty", "a", "b"])).unwrap_err().code, 2);
        assert_eq!(image_and_name(&parse(&["ubuntu:16:04"])).unwrap_err().code, 3);
    }

    #[test]
    fn devices_are_named_with_their_keys() {
        let args = parse(&["x", "-d", "root,size=10GiB", "-d", "eth1,type=nic,network=lab", "-d", "root,pool=fast"]);
        let devices = devices(&args.shape.devices).unwrap();
        assert_eq!(devices["root"], Config::from([("pool".into(), "fast".into()), ("size".into(), "10GiB".into())]));
        assert_eq!(devices["eth1"]["network"], "lab");
        for bad in ["root", "root,size", "size=1", ",size=1"] {
            assert_eq!(super::devices(&[bad.to_owned()]).unwrap_err().code, 2, "{bad}");
        }
    }

    #[test]
    fn nothing_is_said_about_what_nobody_named() {
        let mut spec = Options::new();
        let empty = Definition { ephemeral: Some(false), ..Definition::default() };
        spec_of(&empty, None, &mut spec);
        assert!(spec.is_empty(), "{spec:?}");
        let no_profiles = Definition { profiles: Some(Vec::new()), ..Definition::default() };
        spec_of(&no_profiles, Some("fast"), &mut spec);
        assert!(spec.contains_key("profiles") && spec.contains_key("pool"));
    }
}
