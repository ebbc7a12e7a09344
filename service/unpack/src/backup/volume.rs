//! `backup/index.yaml` of a custom volume, in LXD's format. Depends on serde-saphyr. Called by `pack`.

use super::INDEX;
use super::index::shown;
use crate::error::{Error, Result};
use lxhost_model::backup::{DescribedVolume, VolumeBackup, Words};
use serde::Serialize;

/// What is written: everything that LXD and Incus expect, so that they import it.
#[derive(Serialize)]
struct Written<'a> {
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
    config: WrittenConfig<'a>,
}

#[derive(Serialize)]
struct WrittenConfig<'a> {
    volume: WrittenVolume<'a>,
    volume_snapshots: Vec<WrittenVolume<'a>>,
}

#[derive(Serialize)]
struct WrittenVolume<'a> {
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

/// The text of `backup/index.yaml`.
///
/// # Errors
/// `Metadata` for what cannot be written as YAML.
pub(crate) fn render(backup: &VolumeBackup) -> Result<String> {
    let past = backup.snapshots.iter();
    let written = Written {
        name: &backup.name,
        backend: "dir",
        pool: &backup.pool,
        snapshots: past.clone().map(|past| past.name.as_str()).collect(),
        optimized: false,
        optimized_header: false,
        kind: "custom",
        config: WrittenConfig {
            volume: WrittenVolume { kind: Some("custom"), ..volume(&backup.name, &backup.volume) },
            volume_snapshots: past
                .map(|past| WrittenVolume { expires_at: Some(shown(past.expires)), ..volume(&past.name, &past.volume) })
                .collect(),
        },
    };
    serde_saphyr::to_string(&written).map_err(|e| Error::Metadata(format!("{INDEX}: {e}")))
}

fn volume<'a>(name: &'a str, was: &'a DescribedVolume) -> WrittenVolume<'a> {
    WrittenVolume {
        name,
        description: &was.description,
        config: &was.config,
        content_type: "filesystem",
        created_at: shown(was.created),
        expires_at: None,
        kind: None,
    }
}
