//! `backup/index.yaml` of a custom volume, in LXD's format, as it is read and written. Depends on `index` and
//! serde-saphyr. Called by `index` and `pack`.

use super::INDEX;
use super::index::{Index, SNAPSHOTS, Written, WrittenVolume, bad, last, time, yaml};
use crate::error::{Error, Result};
use crate::metadata::Scalar;
use lxhost_model::backup::{DescribedVolume, VolumeBackup, VolumePast, Words};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Config {
    volume: Option<Volume>,
    #[serde(default)]
    volume_snapshots: Option<Vec<Volume>>,
}

#[derive(Deserialize)]
struct Volume {
    #[serde(default)]
    name: Scalar,
    #[serde(default)]
    description: Scalar,
    #[serde(default)]
    config: Option<BTreeMap<Scalar, Scalar>>,
    #[serde(default)]
    content_type: Scalar,
    #[serde(default)]
    created_at: Scalar,
    #[serde(default)]
    expires_at: Scalar,
}

/// Reads the YAML.
///
/// # Errors
/// `Metadata`.
pub(super) fn parse(text: &[u8]) -> Result<VolumeBackup> {
    let index: Index<Config> = yaml(text)?;
    let config = index.config.ok_or_else(|| bad("it has no config".into()))?;
    let volume = config.volume.ok_or_else(|| bad("it has no volume".into()))?;
    let snapshots = config.volume_snapshots.unwrap_or_default();
    if snapshots.len() > SNAPSHOTS {
        return Err(bad(format!("more than {SNAPSHOTS} snapshots")));
    }
    let past = |snapshot: Volume| {
        let expires = time(&snapshot.expires_at).map_err(bad)?;
        Ok(VolumePast { name: last(&snapshot.name.0), expires, volume: described(snapshot)? })
    };
    Ok(VolumeBackup {
        content: lxhost_model::volume::Content::Filesystem,
        name: index.name.0,
        pool: index.pool.0,
        volume: described(volume)?,
        snapshots: snapshots.into_iter().map(past).collect::<Result<Vec<VolumePast>>>()?,
    })
}

fn described(volume: Volume) -> Result<DescribedVolume> {
    match volume.content_type.0.as_str() {
        "" | "filesystem" => {}
        other => return Err(bad(format!("volumes of type {} are not supported", crate::error::shown(other.as_bytes())))),
    }
    Ok(DescribedVolume {
        created: time(&volume.created_at).map_err(bad)?,
        description: volume.description.0,
        config: volume.config.unwrap_or_default().into_iter().map(|(key, value)| (key.0, value.0)).collect::<Words>(),
    })
}

#[derive(Serialize)]
struct WrittenConfig<'a> {
    volume: WrittenVolume<'a>,
    volume_snapshots: Vec<WrittenVolume<'a>>,
}

/// The text of `backup/index.yaml`.
///
/// # Errors
/// `Metadata` for what cannot be written as YAML.
pub(crate) fn render(backup: &VolumeBackup) -> Result<String> {
    let past = backup.snapshots.iter();
    let config = WrittenConfig {
        volume: written(&backup.name, &backup.volume).kind("custom"),
        volume_snapshots: past.clone().map(|past| written(&past.name, &past.volume).until(past.expires)).collect(),
    };
    let names = past.map(|past| past.name.as_str()).collect();
    let written = Written::of("custom", (&backup.name, &backup.pool), names, config);
    serde_saphyr::to_string(&written).map_err(|e| Error::Metadata(format!("{INDEX}: {e}")))
}

fn written<'a>(name: &'a str, was: &'a DescribedVolume) -> WrittenVolume<'a> {
    WrittenVolume::of(name, &was.description, &was.config, was.created)
}

#[cfg(test)]
mod tests {
    use super::super::index;
    use super::*;
    use lxhost_model::backup::About;

    fn backup() -> VolumeBackup {
        let volume = DescribedVolume {
            description: "a: \"b\"\n#c".into(),
            config: [("user.a", "yes"), ("snapshots.expiry", "1w")].map(|(key, value)| (key.into(), value.into())).into(),
            created: 1_700_000_000_000_000,
        };
        let past = VolumePast { name: "snap0".into(), expires: 1_800_000_000_000_000, volume: volume.clone() };
        let kept = VolumePast { name: "1.0".into(), expires: 0, volume: DescribedVolume::default() };
        VolumeBackup {
            content: Default::default(),
            name: "data".into(),
            pool: "default".into(),
            volume,
            snapshots: vec![past, kept],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(index::parse(render(&backup()).unwrap().as_bytes()).unwrap(), About::Volume(backup()));
        let plain = VolumeBackup { name: "null".into(), ..VolumeBackup::default() };
        assert_eq!(index::parse(render(&plain).unwrap().as_bytes()).unwrap(), About::Volume(plain));
    }

    #[test]
    fn what_incus_writes_is_read() {
        let text = b"name: data\nbackend: btrfs\npool: default\nsnapshots:\n- snap0\noptimized: false\noptimized_header: false\n\
            type: custom\nconfig:\n  volume:\n    config:\n      volatile.idmap.last: '[]'\n      size: 10GiB\n    description: \"\"\n\
            \x20   name: data\n    type: custom\n    used_by: []\n    location: none\n    content_type: filesystem\n    project: default\n\
            \x20   created_at: 2026-11-23T08:00:00.123456789Z\n  volume_snapshots:\n  - config: {}\n    description: first\n\
            \x20   content_type: filesystem\n    name: data/snap0\n    expires_at: 0001-01-01T00:00:00Z\n\
            \x20   created_at: 2026-11-23T09:00:00+01:00\n  pool:\n    name: default\n    driver: btrfs\n";
        let About::Volume(read) = index::parse(text).unwrap() else { panic!("it is no volume") };
        assert_eq!((read.name.as_str(), read.volume.config["size"].as_str()), ("data", "10GiB"));
        assert_eq!((read.volume.created, read.snapshots[0].expires), (1_795_420_800_123_456, 0));
        assert_eq!((read.snapshots[0].name.as_str(), read.snapshots[0].volume.description.as_str()), ("snap0", "first"));
    }

    #[test]
    fn what_is_no_volumes_index_is_refused() {
        for (text, why) in [
            ("name: data\ntype: custom", "no config"),
            ("name: data\ntype: custom\nconfig: {}", "no volume"),
            ("name: data\ntype: custom\noptimized: true\nconfig: {volume: {}}", "--optimized-storage"),
            ("name: data\ntype: custom\nconfig: {volume: {content_type: block}}", "not supported"),
            ("name: data\ntype: custom\nconfig: {volume: {created_at: soon}}", "time"),
            ("name: data\ntype: custom\nconfig: {volume: {config: [1]}}", ""),
            ("name: data\ntype: iso\nconfig: {volume: {}}", "not supported"),
        ] {
            let error = index::parse(text.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::Metadata(_)) && error.to_string().contains(why), "{text}: {error}");
        }
    }
}
