//! `image alias`.

use crate::args::ImageAlias as Args;
use crate::bus::Session;
use crate::failure::Failure;
use crate::pages;
use crate::render::{self, Table};
use lxhost_dbus::Options;
use lxhost_dbus::proxy::ImageProxy;
use serde_json::json;

/// Runs a verb of `image alias`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    let none = Options::new();
    match args {
        Args::Create { alias, image } => {
            let image = proxy(session, image).await?;
            let alias = crate::reference::local(alias)?;
            session.allowed(|| image.add_alias(alias, &none)).await
        }
        Args::Delete { aliases } => {
            for alias in aliases {
                let image = proxy(session, alias).await?;
                session.allowed(|| image.remove_alias(alias, &none)).await?;
            }
            Ok(())
        }
        Args::Rename { old, new } => {
            let image = proxy(session, old).await?;
            session.allowed(|| image.add_alias(new, &none)).await?;
            let removed = session.allowed(|| image.remove_alias(old, &none)).await;
            if removed.is_err() {
                // Two names would be half a rename; the first failure is the one to tell.
                let _ = image.remove_alias(new, &none).await;
            }
            removed
        }
        Args::List { filters, format } => {
            let rows = pages::images(session, Some(&session.project)).await?;
            let mut table = Table::new(["ALIAS", "FINGERPRINT", "DESCRIPTION"]);
            let mut data = Vec::new();
            for row in &rows {
                let taken = |alias: &&String| filters.is_empty() || filters.iter().any(|f| alias.starts_with(f.as_str()));
                for alias in row.aliases.iter().filter(taken) {
                    let short: String = row.fingerprint.chars().take(12).collect();
                    table.push([alias.clone(), short, row.description.clone()]);
                    data.push(json!({ "alias": alias, "fingerprint": row.fingerprint, "description": row.description }));
                }
            }
            render::show(format.format, session.quiet, &table, &data)
        }
    }
}

async fn proxy(session: &Session, name: &str) -> Result<ImageProxy<'static>, Failure> {
    session.object(&session.image(name).await?).await
}
