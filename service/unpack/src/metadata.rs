//! Reads `metadata.yaml` out of a metadata or unified tarball, and says in JSON what the daemon needs; writes that of
//! an image made here. Depends on the archive reader and serde-saphyr with a budget. Called by `check` and `pack`.

use crate::archive::{Archive, Entry, Kind};
use crate::error::{Error, Result};
use crate::limits::Limits;
use lxhost_model::backup::Published;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

/// Most properties of an image.
const PROPERTIES: usize = 1000;

/// What the daemon is told, as one line of JSON.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Metadata {
    /// Architecture as the metadata spells it.
    pub(crate) architecture: String,
    /// Seconds since the epoch.
    pub(crate) created: u64,
    /// Properties.
    pub(crate) properties: BTreeMap<String, String>,
}

/// The part of metadata.yaml that is read; templates and expiry are not.
#[derive(serde::Deserialize)]
struct Document {
    architecture: Scalar,
    creation_date: Option<Scalar>,
    #[serde(default)]
    properties: Option<BTreeMap<Scalar, Scalar>>,
}

/// Name of its entry.
pub(crate) const NAME: &str = "metadata.yaml";

/// What is written of an image.
#[derive(serde::Serialize)]
struct Written<'a> {
    architecture: &'a str,
    creation_date: u64,
    properties: &'a BTreeMap<String, String>,
}

/// The text of an image made here.
///
/// # Errors
/// `Metadata` for what cannot be written as YAML.
pub(crate) fn render(image: &Published) -> Result<String> {
    let written =
        Written { architecture: &image.architecture, creation_date: image.created / 1_000_000, properties: &image.properties };
    serde_saphyr::to_string(&written).map_err(|e| Error::Metadata(format!("{NAME}: {e}")))
}

/// Whether an entry of this name is the metadata.
pub(crate) fn is_it(name: &[u8]) -> bool {
    matches!(name, b"metadata.yaml" | b"./metadata.yaml")
}

/// Reads the metadata out of its entry.
///
/// # Errors
/// `Entry`, `Metadata`, `Limit`, `Io`.
pub(crate) fn read<R: Read>(entry: &Entry, archive: &mut Archive<R>, limits: &Limits) -> Result<Metadata> {
    parse(&read_text(entry, archive, limits.metadata)?)
}

/// Reads the whole of a small plain file.
///
/// # Errors
/// `Entry`, `Limit`, `Archive`.
pub(crate) fn read_text<R: Read>(entry: &Entry, archive: &mut Archive<R>, most: u64) -> Result<Vec<u8>> {
    if entry.kind != Kind::File || entry.sparse.is_some() {
        return Err(Error::entry(&entry.name, "it is no plain file"));
    }
    if entry.size > most {
        return Err(Error::Limit(format!("{} of {} bytes", crate::error::shown(&entry.name), entry.size)));
    }
    let mut text = vec![0; entry.size as usize];
    let mut at = 0;
    while at < text.len() {
        match archive.read_data(&mut text[at..])? {
            0 => return Err(Error::entry(&entry.name, "it has less data than it says")),
            n => at += n,
        }
    }
    Ok(text)
}

/// Reads the YAML.
///
/// # Errors
/// `Metadata`.
pub(crate) fn parse(text: &[u8]) -> Result<Metadata> {
    let bad = |why: String| Error::Metadata(format!("metadata.yaml: {why}"));
    let text = str::from_utf8(text).map_err(|_| bad("it is not UTF-8".into()))?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 50_000,
            max_nodes: 20_000,
            max_depth: 32,
            max_aliases: 100,
            max_anchors: 100,
            max_total_scalar_bytes: 1 << 20,
        },
    };
    let document: Document = serde_saphyr::from_str_with_options(text, options).map_err(|e| bad(one_line(&e.to_string())))?;
    let properties = document.properties.unwrap_or_default();
    if properties.len() > PROPERTIES {
        return Err(bad(format!("more than {PROPERTIES} properties")));
    }
    if document.architecture.0.is_empty() {
        return Err(bad("architecture is empty".into()));
    }
    let created = match document.creation_date {
        // Some builders write a fraction.
        Some(Scalar(date)) => {
            date.split('.').next().unwrap_or_default().parse().map_err(|_| bad("creation_date is no time".into()))?
        }
        None => 0,
    };
    Ok(Metadata {
        architecture: document.architecture.0,
        created,
        properties: properties.into_iter().map(|(key, value)| (key.0, value.0)).collect(),
    })
}

pub(crate) fn one_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A string, number or boolean, as text.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scalar(pub(crate) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word or a number")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Scalar, E> {
                if text.len() > 64 << 10 {
                    return Err(E::custom("a value is too long"));
                }
                Ok(Scalar(text.to_owned()))
            }
            fn visit_unit<E: serde::de::Error>(self) -> Result<Scalar, E> {
                Ok(Scalar(String::new()))
            }
        }
        // As a string whatever it looks like: `release: 3.20` is not a number here.
        deserializer.deserialize_str(Text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lxd_writes_is_read() {
        let text = b"architecture: x86_64\ncreation_date: 1700000000\nexpiry_date: 1800000000\nproperties:\n  os: debian\n  release: 3.20\n  \
            official: true\n  description: \"Debian: 13\"\ntemplates:\n  /etc/hostname:\n    when: [create, copy]\n    template: hostname.tpl\n";
        let metadata = parse(text).unwrap();
        assert_eq!((metadata.architecture.as_str(), metadata.created), ("x86_64", 1_700_000_000));
        assert_eq!(metadata.properties["release"], "3.20");
        assert_eq!(metadata.properties["official"], "true");
        assert_eq!(metadata.properties["description"], "Debian: 13");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let properties = BTreeMap::from([("os".to_owned(), "a: [b\n".to_owned()), ("release".to_owned(), "true".to_owned())]);
        let image = Published { architecture: "x86_64".into(), created: 1_700_000_000_000_001, properties: properties.clone() };
        let read = parse(render(&image).unwrap().as_bytes()).unwrap();
        assert_eq!(read, Metadata { architecture: "x86_64".into(), created: 1_700_000_000, properties });
    }

    #[test]
    fn bombs_and_nonsense_are_typed_errors() {
        let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
        for (i, letter) in ('b'..='i').enumerate() {
            let before = char::from(b'a' + i as u8);
            bomb += &format!("{letter}: &{letter} [{}]\n", vec![format!("*{before}"); 9].join(","));
        }
        bomb += "architecture: x86_64\nproperties: {x: *i}\n";
        let deep = format!("architecture: {}x{}", "[".repeat(10_000), "]".repeat(10_000));
        for bad in [
            &bomb[..],
            &deep,
            "",
            "architecture: [1]",
            "properties: {}",
            "architecture: x\ncreation_date: soon",
            "- a",
            "\u{0}",
            "architecture: x\nproperties: {a: {b: c}}",
        ] {
            let error = parse(bad.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::Metadata(_)), "{error}");
            assert!(!error.to_string().contains('\n'));
        }
        assert!(parse(b"\xff").is_err());
    }
}
