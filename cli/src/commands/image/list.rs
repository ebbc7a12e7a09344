//! `image list`.

use crate::args::ImageList;
use crate::bus::Session;
use crate::failure::Failure;
use crate::pages;
use crate::render::{self, Table};
use lxhost_dbus::wire::ImageRow;
use lxhost_model::name::quoted;
use serde_json::json;

/// Lists images here, or what a remote offers.
pub(crate) async fn run(session: &Session, args: &ImageList) -> Result<(), Failure> {
    let (remote, filters) = crate::reference::split_remote(&args.filters);
    match remote {
        Some(remote) => offered(session, remote, filters, args).await,
        None => here(session, filters, args).await,
    }
}

/// A column: its letter, title, and text of an image.
type Column = (char, &'static str, fn(&ImageRow) -> String);

const COLUMNS: &[Column] = &[
    ('l', "ALIAS", short_alias),
    ('L', "ALIASES", |row| row.aliases.join("\n")),
    ('f', "FINGERPRINT", |row| row.fingerprint.chars().take(12).collect()),
    ('F', "FINGERPRINT", |row| row.fingerprint.clone()),
    ('d', "DESCRIPTION", |row| row.description.clone()),
    ('a', "ARCHITECTURE", |row| row.architecture.clone()),
    ('s', "SIZE", |row| render::bytes(row.size)),
    ('u', "UPLOAD DATE", |row| render::date(row.uploaded)),
];
const DEFAULT: &str = "lfdasu";
const OFFERED: &str = "lLad";

/// The shortest alias and how many more there are, as LXD shows it.
fn short_alias(row: &ImageRow) -> String {
    match row.aliases.iter().min_by_key(|alias| alias.len()) {
        Some(alias) if row.aliases.len() > 1 => format!("{alias} ({} more)", row.aliases.len() - 1),
        Some(alias) => alias.clone(),
        None => String::new(),
    }
}

fn columns(word: &str, allowed: &str) -> Result<Vec<&'static Column>, Failure> {
    let find = |letter: char| COLUMNS.iter().find(|(known, _, _)| *known == letter && allowed.contains(letter));
    let missing =
        |letter: char| Failure::usage(format!("--columns: no column {}; there are {allowed}", quoted(&letter.to_string())));
    let columns: Vec<_> = word.chars().map(|letter| find(letter).ok_or_else(|| missing(letter))).collect::<Result<_, _>>()?;
    if columns.is_empty() { Err(Failure::usage("--columns: no column is named")) } else { Ok(columns) }
}

/// Whether an image passes all `filters`: starts of names, or KEY=VALUE.
fn takes(filters: &[String], names: &[&str], architecture: &str, description: &str) -> bool {
    filters.iter().all(|filter| match filter.split_once('=') {
        Some(("arch" | "architecture", value)) => value == architecture,
        Some(("description", value)) => description.contains(value),
        Some(_) => false,
        None => names.iter().any(|name| name.starts_with(filter.as_str())) || description.contains(filter.as_str()),
    })
}

async fn here(session: &Session, filters: &[String], args: &ImageList) -> Result<(), Failure> {
    let all: String = COLUMNS.iter().map(|(letter, _, _)| *letter).collect();
    let columns = columns(args.columns.as_deref().unwrap_or(DEFAULT), &all)?;
    let mut rows = pages::images(session, Some(&session.project)).await?;
    rows.retain(|row| {
        let names: Vec<&str> = row.aliases.iter().chain([&row.fingerprint]).map(String::as_str).collect();
        takes(filters, &names, &row.architecture, &row.description)
    });
    let mut table = Table::new(columns.iter().map(|(_, title, _)| *title));
    rows.iter().for_each(|row| table.push(columns.iter().map(|(_, _, text)| text(row))));
    if session.quiet {
        let mut ids = Table::new(["FINGERPRINT"]);
        rows.iter().for_each(|row| ids.push([row.fingerprint.as_str()]));
        return render::print(&ids.keys());
    }
    let data: Vec<_> = rows
        .iter()
        .map(|r| {
            json!({
                "fingerprint": r.fingerprint, "aliases": r.aliases, "architecture": r.architecture,
                "size": r.size, "uploaded_usec": r.uploaded, "description": r.description, "project": r.project,
            })
        })
        .collect();
    render::show(args.format.format, session.quiet, &table, &data)
}

async fn offered(session: &Session, remote: &str, filters: &[String], args: &ImageList) -> Result<(), Failure> {
    let columns = columns(args.columns.as_deref().unwrap_or(OFFERED), OFFERED)?;
    let mut rows = session.manager().await?.list_remote_images(remote).await?;
    rows.retain(|row| {
        let names: Vec<&str> = row.also.iter().chain([&row.alias]).map(String::as_str).collect();
        takes(filters, &names, &row.architecture, &row.description)
    });
    let mut table = Table::new(columns.iter().map(|(_, title, _)| *title));
    for row in &rows {
        table.push(columns.iter().map(|(letter, _, _)| match letter {
            'l' => row.alias.clone(),
            'L' => row.also.join("\n"),
            'a' => row.architecture.clone(),
            _ => row.description.clone(),
        }));
    }
    let data: Vec<_> = rows
        .iter()
        .map(|r| json!({ "alias": r.alias, "aliases": r.also, "architecture": r.architecture, "description": r.description }))
        .collect();
    render::show(args.format.format, session.quiet, &table, &data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_filtered_by_name_and_key() {
        let filters = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let names = ["13", "trixie"];
        assert!(takes(&filters(&["tri"]), &names, "x86_64", "Debian 13"));
        assert!(takes(&filters(&["Debian", "arch=x86_64"]), &names, "x86_64", "Debian 13"));
        assert!(!takes(&filters(&["arch=aarch64"]), &names, "x86_64", "Debian 13"));
        assert!(!takes(&filters(&["bogus=1"]), &names, "x86_64", "Debian 13"));
    }

    #[test]
    fn a_column_that_a_list_does_not_have_is_refused() {
        assert!(columns(OFFERED, OFFERED).is_ok());
        assert_eq!(columns("s", OFFERED).unwrap_err().code, 2);
        assert_eq!(columns("", OFFERED).unwrap_err().code, 2);
    }
}
