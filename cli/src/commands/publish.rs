//! `publish`.

use crate::args::Publish;
use crate::bus::Session;
use crate::definition::{first_line, scalars};
use crate::failure::Failure;
use crate::pairs;
use crate::progress::{self, OnInterrupt};
use crate::values;
use lxhost_dbus::proxy::{ImageProxy, InstanceProxy};
use lxhost_dbus::{Config, Options};
use lxhost_model::Kind;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use zbus::wire::OwnedObjectPath;

/// Keys of a metadata.yaml that are no properties.
const NO_PROPERTIES: [&str; 4] = ["architecture", "creation_date", "expiry_date", "templates"];

/// Makes an image of an instance or a snapshot.
pub(crate) async fn run(session: &Session, args: &Publish) -> Result<(), Failure> {
    let mut properties = args.metadata.as_deref().map(of_file).transpose()?.unwrap_or_default();
    properties.extend(pairs::config(&args.pairs()?));
    let (instance, snapshot) = match super::snapshot::parts(&args.source) {
        Some((instance, snapshot)) => (instance, Some(snapshot)),
        None => (args.source.as_str(), None),
    };
    let instance: InstanceProxy<'static> = session.object(&session.instance(instance).await?).await?;
    let mut options = super::image::aliases(&args.aliases);
    options.insert("compression", args.compression.word().into());
    options.insert("reuse", args.reuse.into());
    if let Some(snapshot) = snapshot {
        options.insert("snapshot", snapshot.into());
    }
    if !properties.is_empty() {
        options.insert("properties", properties.into());
    }
    let former = if args.reuse { with_aliases(session, &args.aliases).await? } else { vec![] };
    let job = session.allowed(|| instance.publish(&options)).await?;
    let output = progress::wait(session, &job, &format!("Publishing {}", args.source), OnInterrupt::Cancel).await?;
    for image in former {
        delete_nameless(session, &image).await?;
    }
    let fingerprint = values::text(&output, "fingerprint");
    session.name_or(&fingerprint, format!("Image published with fingerprint: {fingerprint}"))
}

/// Images that have one of the aliases.
async fn with_aliases(session: &Session, aliases: &[String]) -> Result<Vec<OwnedObjectPath>, Failure> {
    let mut images = vec![];
    for alias in aliases {
        match session.image(alias).await {
            Ok(image) if !images.contains(&image) => images.push(image),
            Err(failure) if failure.kind != Some(Kind::NoSuchImage) => return Err(failure),
            _ => {}
        }
    }
    Ok(images)
}

/// Deletes an image whose last alias has gone to another.
async fn delete_nameless(session: &Session, image: &OwnedObjectPath) -> Result<(), Failure> {
    let image: ImageProxy<'static> = session.object(image).await?;
    if !image.aliases().await?.is_empty() {
        return Ok(());
    }
    let none = Options::new();
    let job = session.allowed(|| image.delete(&none)).await?;
    progress::wait(session, &job, "Deleting the former image", OnInterrupt::Cancel).await.map(drop)
}

fn of_file(path: &Path) -> Result<Config, Failure> {
    let mut file = File::open(path).map_err(|e| Failure::io(path.display(), &e))?;
    let text = pairs::read_text(&mut file).map_err(|failure| failure.context(path.display()))?;
    properties(&text).map_err(|failure| failure.context(path.display()))
}

/// Properties in the YAML of a metadata.yaml, or in YAML that is nothing else.
fn properties(text: &str) -> Result<Config, Failure> {
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(deserialize_with = "scalars")]
        properties: Config,
    }
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Plain {
        #[serde(deserialize_with = "scalars")]
        properties: Config,
    }
    let bad = |e: serde_saphyr::Error| Failure::usage(format!("no properties in YAML: {}", first_line(&e.to_string())));
    let keys: BTreeMap<String, serde::de::IgnoredAny> = serde_saphyr::from_str(text).map_err(bad)?;
    if keys.contains_key("properties") {
        return serde_saphyr::from_str::<Metadata>(text).map(|metadata| metadata.properties).map_err(bad);
    }
    let mut plain = serde_saphyr::from_str::<Plain>(text).map_err(bad)?.properties;
    plain.retain(|key, _| !NO_PROPERTIES.contains(&key.as_str()));
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_from_metadata_and_from_a_plain_list() {
        let expected = Config::from([("os".to_owned(), "Debian".to_owned()), ("release".to_owned(), "1.10".to_owned())]);
        let metadata =
            "architecture: x86_64\nproperties:\n  os: Debian\n  release: 1.10\ntemplates:\n  /etc/hostname: {when: [create]}\n";
        assert_eq!(properties(metadata).unwrap(), expected);
        assert_eq!(properties("os: Debian\nrelease: 1.10\narchitecture: x86_64\n").unwrap(), expected);
    }

    #[test]
    fn what_is_no_list_of_properties_is_refused() {
        for bad in ["- a", "os: [a]", "properties: 1", "os: {a: b}"] {
            assert_eq!(properties(bad).unwrap_err().code, 2, "{bad}");
        }
    }
}
