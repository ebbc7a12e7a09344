//! `backup/index.yaml` in LXD's format: read out of an archive without reading more of it than that, and written for
//! an instance; that of a custom volume is in `volume`. Who reads it takes nothing else for the definition. Depends on the archive reader and serde-saphyr with a
//! budget. Called by main and `pack`.

use super::{INDEX, TOP, volume};
use crate::archive::Archive;
use crate::codec;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::metadata::{Scalar, one_line, read_text};
use jiff::Timestamp;
use lxhost_model::backup::{About, Backup, Described, Past, Words};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

/// Most bytes of an index: a thousand snapshots of an instance with many keys.
pub(super) const BYTES: u64 = 16 << 20;
/// Most snapshots.
pub(super) const SNAPSHOTS: usize = lxhost_model::snapshot::MAX;

/// The part of an index that is read, whatever it is about.
#[derive(Deserialize)]
pub(super) struct Index<C> {
    pub(super) name: Scalar,
    #[serde(default)]
    pub(super) pool: Scalar,
    pub(super) config: Option<C>,
}

#[derive(Deserialize)]
struct Config {
    /// LXD's later versions have it under the second name.
    #[serde(alias = "instance")]
    container: Option<Instance>,
    #[serde(default)]
    snapshots: Option<Vec<Instance>>,
}

#[derive(Deserialize)]
struct Instance {
    #[serde(default)]
    name: Scalar,
    #[serde(default)]
    description: Scalar,
    #[serde(default)]
    architecture: Scalar,
    #[serde(default)]
    ephemeral: bool,
    #[serde(default)]
    profiles: Option<Vec<Scalar>>,
    #[serde(default)]
    config: Option<BTreeMap<Scalar, Scalar>>,
    #[serde(default)]
    devices: Option<BTreeMap<Scalar, BTreeMap<Scalar, Scalar>>>,
    #[serde(default)]
    created_at: Scalar,
    #[serde(default)]
    expires_at: Scalar,
}

/// What is backed up.
#[derive(Deserialize)]
struct Sort {
    #[serde(rename = "type", default)]
    kind: Scalar,
    #[serde(default)]
    optimized: Option<bool>,
}

/// Reads the index of the backup in `file`, and little behind it.
///
/// # Errors
/// As `find`.
pub(crate) fn run(file: File, limits: Limits) -> Result<About> {
    find(codec::open(file)?.tar(limits.stream())?, limits)
}

/// Reads the index in a tar stream.
///
/// # Errors
/// `Archive` for what is no backup, `Metadata`, `Entry`, `Limit`, `Io`.
pub(crate) fn find(tar: impl Read, limits: Limits) -> Result<About> {
    let mut archive = Archive::new(tar, limits);
    while let Some(entry) = archive.next()? {
        let name = entry.name.strip_prefix(b"./").unwrap_or(&entry.name);
        if name == INDEX.as_bytes() {
            return parse(&read_text(&entry, &mut archive, BYTES)?);
        }
        if !name.starts_with(TOP.as_bytes()) {
            break;
        }
    }
    Err(Error::Archive(format!("it is no backup: {INDEX} is not in it")))
}

/// Reads the YAML.
///
/// # Errors
/// `Metadata`.
pub(crate) fn parse(text: &[u8]) -> Result<About> {
    let sort: Sort = yaml(text)?;
    if sort.optimized == Some(true) {
        return Err(bad("it holds a storage driver's own data; export it without --optimized-storage".into()));
    }
    match sort.kind.0.as_str() {
        "" | "container" => of_instance(yaml(text)?).map(About::Backup),
        "custom" => volume::parse(text).map(About::Volume),
        kind => Err(bad(format!("backups of type {} are not supported", crate::error::shown(kind.as_bytes())))),
    }
}

/// Reads the part of the YAML that `T` is about.
///
/// # Errors
/// `Metadata`.
pub(super) fn yaml<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    let text = str::from_utf8(text).map_err(|_| bad("it is not UTF-8".into()))?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2_000_000,
            max_nodes: 1_000_000,
            max_depth: 32,
            max_aliases: 100,
            max_anchors: 100,
            max_total_scalar_bytes: 16 << 20,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|e| bad(one_line(&e.to_string())))
}

pub(super) fn bad(why: String) -> Error {
    Error::Metadata(format!("{INDEX}: {why}"))
}

fn of_instance(index: Index<Config>) -> Result<Backup> {
    let config = index.config.ok_or_else(|| bad("it has no config; backups of LXD before 4.0 are not supported".into()))?;
    let instance = config.container.ok_or_else(|| bad("it has no instance".into()))?;
    let snapshots = config.snapshots.unwrap_or_default();
    if snapshots.len() > SNAPSHOTS {
        return Err(bad(format!("more than {SNAPSHOTS} snapshots")));
    }
    let past = |snapshot: Instance| {
        let expires = time(&snapshot.expires_at).map_err(bad)?;
        let name = last(&snapshot.name.0);
        Ok(Past { name, expires, instance: described(snapshot).map_err(bad)? })
    };
    Ok(Backup {
        name: index.name.0,
        pool: index.pool.0,
        instance: described(instance).map_err(bad)?,
        snapshots: snapshots.into_iter().map(past).collect::<Result<Vec<Past>>>()?,
    })
}

fn described(instance: Instance) -> Result<Described, String> {
    let words = |map: BTreeMap<Scalar, Scalar>| map.into_iter().map(|(key, value)| (key.0, value.0)).collect::<Words>();
    Ok(Described {
        created: time(&instance.created_at)?,
        description: instance.description.0,
        architecture: instance.architecture.0,
        ephemeral: instance.ephemeral,
        profiles: instance.profiles.unwrap_or_default().into_iter().map(|name| name.0).collect(),
        config: words(instance.config.unwrap_or_default()),
        devices: instance.devices.unwrap_or_default().into_iter().map(|(name, keys)| (name.0, words(keys))).collect(),
        expanded_config: Words::new(),
        expanded_devices: BTreeMap::new(),
    })
}

/// The name of a snapshot: some versions write INSTANCE/SNAPSHOT.
pub(super) fn last(name: &str) -> String {
    name.rsplit_once('/').map_or(name, |(_, name)| name).to_owned()
}

/// Microseconds since the epoch; years before it are how LXD writes "never".
pub(super) fn time(text: &Scalar) -> Result<u64, String> {
    if text.0.is_empty() {
        return Ok(0);
    }
    let time: Timestamp = text.0.parse().map_err(|_| "a time is malformed".to_owned())?;
    Ok(u64::try_from(time.as_microsecond()).unwrap_or(0))
}

/// What is written: everything that LXD and Incus expect, so that they import it.
#[derive(Serialize)]
pub(super) struct Written<'a, C> {
    name: &'a str,
    /// The format of the trees, not the pool's driver: plain files.
    backend: &'static str,
    pool: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    snapshots: Vec<&'a str>,
    optimized: bool,
    optimized_header: bool,
    #[serde(rename = "type")]
    kind: &'static str,
    config: C,
}

impl<'a, C> Written<'a, C> {
    pub(super) fn of(kind: &'static str, (name, pool): (&'a str, &'a str), snapshots: Vec<&'a str>, config: C) -> Self {
        Written { name, backend: "dir", pool, snapshots, optimized: false, optimized_header: false, kind, config }
    }
}

#[derive(Serialize)]
struct WrittenConfig<'a> {
    container: WrittenInstance<'a>,
    snapshots: Vec<WrittenInstance<'a>>,
    pool: WrittenPool<'a>,
    volume: WrittenVolume<'a>,
    volume_snapshots: Vec<WrittenVolume<'a>>,
}

#[derive(Serialize)]
struct WrittenInstance<'a> {
    name: &'a str,
    description: &'a str,
    architecture: &'a str,
    ephemeral: bool,
    stateful: bool,
    profiles: &'a [String],
    config: &'a Words,
    devices: &'a BTreeMap<String, Words>,
    expanded_config: &'a Words,
    expanded_devices: &'a BTreeMap<String, Words>,
    created_at: String,
    last_used_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'static str>,
}

#[derive(Serialize)]
struct WrittenPool<'a> {
    name: &'a str,
    driver: &'static str,
    description: &'static str,
    config: Words,
}

#[derive(Serialize)]
pub(super) struct WrittenVolume<'a> {
    name: &'a str,
    description: &'a str,
    config: &'a Words,
    content_type: &'static str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

impl<'a> WrittenVolume<'a> {
    pub(super) fn of(name: &'a str, description: &'a str, config: &'a Words, created: u64) -> Self {
        let (content_type, created_at) = ("filesystem", shown(created));
        WrittenVolume { name, description, config, content_type, created_at, expires_at: None, kind: None }
    }

    pub(super) fn kind(self, kind: &'static str) -> Self {
        WrittenVolume { kind: Some(kind), ..self }
    }

    pub(super) fn until(self, expires: u64) -> Self {
        WrittenVolume { expires_at: Some(shown(expires)), ..self }
    }
}

/// The text of `backup/index.yaml`, and that of `backup/container/backup.yaml`, which other programs read.
///
/// # Errors
/// `Metadata` for what cannot be written as YAML.
pub(crate) fn render(backup: &Backup) -> Result<(String, String)> {
    let past = backup.snapshots.iter();
    let config = WrittenConfig {
        container: WrittenInstance {
            kind: Some("container"),
            project: Some("default"),
            ..instance(&backup.name, &backup.instance)
        },
        snapshots: past
            .clone()
            .map(|past| WrittenInstance { expires_at: Some(shown(past.expires)), ..instance(&past.name, &past.instance) })
            .collect(),
        pool: WrittenPool { name: &backup.pool, driver: "dir", description: "", config: Words::new() },
        volume: of_root(&backup.name, &backup.instance).kind("container"),
        volume_snapshots: past.clone().map(|past| of_root(&past.name, &past.instance).until(past.expires)).collect(),
    };
    let names = past.map(|past| past.name.as_str()).collect();
    let written = Written::of("container", (&backup.name, &backup.pool), names, config);
    let text = |what: Result<String, serde_saphyr::ser::Error>| what.map_err(|e| Error::Metadata(format!("{INDEX}: {e}")));
    Ok((text(serde_saphyr::to_string(&written))?, text(serde_saphyr::to_string(&written.config))?))
}

fn instance<'a>(name: &'a str, was: &'a Described) -> WrittenInstance<'a> {
    WrittenInstance {
        name,
        description: &was.description,
        architecture: &was.architecture,
        ephemeral: was.ephemeral,
        stateful: false,
        profiles: &was.profiles,
        config: &was.config,
        devices: &was.devices,
        expanded_config: &was.expanded_config,
        expanded_devices: &was.expanded_devices,
        created_at: shown(was.created),
        last_used_at: shown(0),
        expires_at: None,
        kind: None,
        project: None,
    }
}

fn of_root<'a>(name: &'a str, was: &'a Described) -> WrittenVolume<'a> {
    /// A root has no keys of its own.
    static NONE: Words = Words::new();
    WrittenVolume::of(name, "", &NONE, was.created)
}

/// A time in RFC 3339; "never" is LXD's.
pub(super) fn shown(time: u64) -> String {
    match i64::try_from(time).ok().filter(|time| *time > 0).and_then(|time| Timestamp::from_microsecond(time).ok()) {
        Some(time) => time.to_string(),
        None => "0001-01-01T00:00:00Z".to_owned(),
    }
}

#[cfg(test)]
mod tests;
