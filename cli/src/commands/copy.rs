//! `copy`.

use super::launch::{devices, of_profiles};
use crate::args::Copy;
use crate::bus::Session;
use crate::failure::Failure;
use crate::pairs;
use crate::paths::Shown;
use crate::progress::{self, OnInterrupt};
use crate::reference;
use lxhost_dbus::proxy::InstanceProxy;
use lxhost_dbus::{Devices, Options};
use lxhost_model::Kind;
use lxhost_model::name::InstanceName;

/// Copies an instance or a snapshot.
pub(crate) async fn run(session: &Session, args: &Copy) -> Result<(), Failure> {
    let name = reference::local(args.name.as_deref().unwrap_or_default())?;
    if !name.is_empty() {
        name.parse::<InstanceName>()?;
    }
    let (instance, snapshot) = match super::snapshot::parts(&args.source) {
        Some((instance, snapshot)) => (instance, Some(snapshot)),
        None => (args.source.as_str(), None),
    };
    let proxy: InstanceProxy<'static> = session.object(&session.instance(instance).await?).await?;
    if args.refresh {
        if name.is_empty() {
            return Err(Failure::usage("which copy is to be brought up to date?").hint("lxctl copy SOURCE NAME --refresh"));
        }
        match session.instance(name).await {
            Ok(copy) => return refresh(session, args, (&proxy, snapshot), (name, &session.object(&copy).await?)).await,
            // It is made.
            Err(failure) if failure.kind == Some(Kind::NoSuchInstance) => {}
            Err(failure) => return Err(failure),
        }
    }
    let mut options = wanted(args);
    if let Some(snapshot) = snapshot {
        options.insert("snapshot", snapshot.into());
    }
    let mut devices = changed(session, args, instance, snapshot).await?;
    let shown = Shown::of(&mut devices, &Devices::new())?;
    shown.add_to(&mut options);
    if !devices.is_empty() {
        options.insert("devices", devices.into());
    }
    let (copy, job) = session.allowed(|| proxy.copy(name, &options)).await?;
    progress::wait(session, &job, &format!("Copying {}", args.source), OnInterrupt::Cancel).await?;
    match name.is_empty() {
        // Who has not said the name wants to hear it.
        true => {
            let copy: InstanceProxy<'static> = session.object(&copy).await?;
            let name = copy.name().await?;
            session.name_or(&name, format!("Copied to {name}"))
        }
        false if session.quiet => {
            crate::render::line(name);
            Ok(())
        }
        false => Ok(()),
    }
}

/// Brings a copy up to date.
async fn refresh(
    session: &Session,
    args: &Copy,
    (original, snapshot): (&InstanceProxy<'_>, Option<&str>),
    (name, copy): (&str, &InstanceProxy<'_>),
) -> Result<(), Failure> {
    if wanted(args).keys().any(|key| *key != "instance-only") || !args.devices.is_empty() {
        // Whoever calls this every night calls it in the same way as the first time.
        eprintln!(
            "Warning: {name} keeps its configuration and its pool: flags that say what they are count for a new copy alone"
        );
    }
    let mut options = Options::from([("instance-only", args.instance_only.into())]);
    if let Some(snapshot) = snapshot {
        options.insert("snapshot", snapshot.into());
    }
    let job = session.allowed(|| copy.refresh(original.inner().path(), &options)).await?;
    progress::wait(session, &job, &format!("Refreshing {name}"), OnInterrupt::Cancel).await?;
    session.name_or(name, format!("{name} is as {} is", args.source))
}

/// What is asked for; what nobody named is as in the original.
fn wanted(args: &Copy) -> Options<'_> {
    let mut options = Options::new();
    for (key, on) in [("instance-only", args.instance_only), ("ephemeral", args.ephemeral)] {
        if on {
            options.insert(key, true.into());
        }
    }
    if !args.config.is_empty() {
        options.insert("config", pairs::config(&args.config).into());
    }
    if args.no_profiles || !args.profiles.is_empty() {
        options.insert("profiles", args.profiles.clone().into());
    }
    for (key, text) in [("description", &args.description), ("pool", &args.storage)] {
        if let Some(text) = text {
            options.insert(key, text.as_str().into());
        }
    }
    options
}

/// The devices of the original, or of its profiles, with other keys.
async fn changed(session: &Session, args: &Copy, instance: &str, snapshot: Option<&str>) -> Result<Devices, Failure> {
    let mut changed = devices(&args.devices)?;
    if changed.is_empty() {
        return Ok(changed);
    }
    let (own, profiles) = match snapshot {
        Some(snapshot) => super::snapshot::devices(session, instance, snapshot).await?,
        None => {
            let proxy: InstanceProxy<'static> = session.object(&session.instance(instance).await?).await?;
            let none = Options::new();
            let (_, devices, profiles, _) = session.allowed(|| proxy.get_config(&none)).await?;
            (devices, profiles)
        }
    };
    let profiles = if args.no_profiles || !args.profiles.is_empty() { &args.profiles } else { &profiles };
    for (name, keys) in &mut changed {
        let mut device = match own.get(name) {
            Some(device) => device.clone(),
            None if keys.contains_key("type") => continue,
            None => of_profiles(session, profiles, name).await?,
        };
        device.append(keys);
        *keys = device;
    }
    Ok(changed)
}
