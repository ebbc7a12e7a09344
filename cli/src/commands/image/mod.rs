//! `image`.

mod alias;
mod export;
mod import;
mod list;

use crate::args::{Image as Args, ImageCopy};
use crate::bus::Session;
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use crate::render;
use crate::values::{self, list as words, number, text};
use lxhost_dbus::Options;
use lxhost_dbus::proxy::ImageProxy;
use lxhost_dbus::wire::Values;
use serde_json::Value;
use std::fmt::Write;
use zbus::wire::ObjectPath;

/// Runs a verb of `image`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::Import(args) => import::run(session, args).await,
        Args::List(args) => list::run(session, args).await,
        Args::Info { image, format } => {
            let properties = read(session, &image.image).await?;
            render::show_one(format.format, || describe(&properties), &values::object(&properties))
        }
        Args::Show { image, format } => {
            let properties = read(session, &image.image).await?;
            render::document(format.format, &serde_json::json!({ "properties": inner(&properties, "Properties") }))
        }
        Args::Delete(args) => {
            super::power::each(session, &args.images, "Deleting", async |name| {
                let image: ImageProxy<'static> = session.object(&session.image(name).await?).await?;
                let none = Options::new();
                session.allowed(|| image.delete(&none)).await
            })
            .await
        }
        Args::Export(args) => export::run(session, args).await,
        Args::Copy(args) => copy(session, args).await,
        Args::Alias(args) => alias::run(session, args).await,
    }
}

/// All properties of an image.
async fn read(session: &Session, name: &str) -> Result<Values, Failure> {
    let path = session.image(name).await?;
    session.properties(&ObjectPath::from(&path), "Image").await
}

fn inner(properties: &Values, key: &str) -> Value {
    properties.get(key).map_or(Value::Null, |v| values::json(v))
}

fn describe(image: &Values) -> String {
    let mut out = String::new();
    let mut line = |key: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "{key}: {}", render::printable(value));
        }
    };
    let date = |key| number(image, key).map(render::date).unwrap_or_default();
    line("Fingerprint", &text(image, "Fingerprint"));
    line("Size", &number(image, "Size").map(render::bytes).unwrap_or_default());
    line("Architecture", &text(image, "Architecture"));
    line("Source", &text(image, "Source"));
    line("Created", &date("CreatedTimestamp"));
    line("Uploaded", &date("UploadedTimestamp"));
    line("Last used", &date("LastUsedTimestamp"));
    line("Aliases", &words(image, "Aliases").join(", "));
    if let Value::Object(properties) = inner(image, "Properties") {
        let _ = writeln!(out, "Properties:");
        for (key, value) in properties {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = writeln!(out, "  {}: {}", render::printable(&key), render::printable(&value));
        }
    }
    out
}

/// `REMOTE:IMAGE` of a remote to this host.
async fn copy(session: &Session, args: &ImageCopy) -> Result<(), Failure> {
    crate::reference::local(&args.target)?;
    let word = crate::reference::image(&args.image)?;
    let (remote, name) = word.split_once(':').ok_or_else(|| {
        Failure::usage(format!("{word}: expected REMOTE:IMAGE")).hint("lxctl image alias create gives an image here another name")
    })?;
    let manager = session.manager().await?;
    let options = aliases(&args.aliases);
    let job = session.allowed(|| manager.pull_image(&session.project, remote, name, &options)).await?;
    let output = progress::wait(session, &job, &format!("Getting {word}"), OnInterrupt::Cancel).await?;
    said(session, &output, "copied")
}

pub(super) fn aliases(aliases: &[String]) -> Options<'_> {
    match aliases {
        [] => Options::new(),
        some => Options::from([("aliases", some.iter().map(String::as_str).collect::<Vec<_>>().into())]),
    }
}

/// Says which image a job made.
fn said(session: &Session, output: &Values, done: &str) -> Result<(), Failure> {
    let fingerprint = text(output, "fingerprint");
    session.name_or(&fingerprint, format!("Image {done} with fingerprint: {fingerprint}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use zbus::wire::{OwnedVariant, Variant};

    #[test]
    fn an_image_is_described_with_its_properties() {
        let own = |v: Variant<'_>| OwnedVariant::try_from(v).unwrap();
        let image = Values::from([
            ("Fingerprint".to_owned(), own("3f2a".into())),
            ("Size".to_owned(), own((160u64 << 20).into())),
            ("Aliases".to_owned(), own(vec!["mine", "d13"].into())),
            ("Properties".to_owned(), own(HashMap::from([("os", "Debian"), ("release", "trixie")]).into())),
        ]);
        let expected = "Fingerprint: 3f2a\nSize: 160.00MiB\nAliases: mine, d13\nProperties:\n  os: Debian\n  release: trixie\n";
        assert_eq!(describe(&image), expected);
    }
}
