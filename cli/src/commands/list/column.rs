//! Columns of `list`, by LXD's letters.

use super::item::{Item, Needs};
use crate::failure::Failure;
use crate::render;
use crate::values::{list, number, number_in, text};
use lxhost_dbus::wire::Values;
use lxhost_model::Kind;
use lxhost_model::name::quoted;

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Column {
    Ipv4,
    Ipv6,
    Architecture,
    Pool,
    Created,
    Description,
    Project,
    Image,
    ImageInFull,
    LastUsed,
    Location,
    Memory,
    MemoryPercent,
    Name,
    Processes,
    Pid,
    Profiles,
    Snapshots,
    State,
    Type,
    Cpu,
    Started,
    Key { key: String, title: String },
}

const LETTERS: &[(char, Column, &str)] = &[
    ('4', Column::Ipv4, "IPV4"),
    ('6', Column::Ipv6, "IPV6"),
    ('a', Column::Architecture, "ARCHITECTURE"),
    ('b', Column::Pool, "STORAGE POOL"),
    ('c', Column::Created, "CREATED AT"),
    ('d', Column::Description, "DESCRIPTION"),
    ('e', Column::Project, "PROJECT"),
    ('f', Column::Image, "BASE IMAGE"),
    ('F', Column::ImageInFull, "BASE IMAGE"),
    ('l', Column::LastUsed, "LAST USED AT"),
    ('L', Column::Location, "LOCATION"),
    ('m', Column::Memory, "MEMORY USAGE"),
    ('M', Column::MemoryPercent, "MEMORY USAGE%"),
    ('n', Column::Name, "NAME"),
    ('N', Column::Processes, "PROCESSES"),
    ('p', Column::Pid, "PID"),
    ('P', Column::Profiles, "PROFILES"),
    ('S', Column::Snapshots, "SNAPSHOTS"),
    ('s', Column::State, "STATE"),
    ('t', Column::Type, "TYPE"),
    ('u', Column::Cpu, "CPU USAGE"),
    ('U', Column::Started, "STARTED AT"),
];

/// Letters of LXD's that say something this version does not know.
const NOT_YET: &[(char, &str)] = &[('D', "disk usage")];

/// Parses `-c`: letters, and configuration keys as `KEY[:TITLE]`, with commas between.
pub(crate) fn parse(word: &str) -> Result<Vec<Column>, Failure> {
    let mut columns = Vec::new();
    for part in word.split(',').filter(|part| !part.is_empty()) {
        if part.contains('.') {
            let mut fields = part.split(':');
            let key = fields.next().unwrap_or_default().trim_start_matches("config:").to_owned();
            let title = fields.next().filter(|t| !t.is_empty()).map_or_else(|| key.to_uppercase(), str::to_owned);
            columns.push(Column::Key { key, title });
        } else {
            for letter in part.chars() {
                columns.push(by_letter(letter)?);
            }
        }
    }
    match columns.is_empty() {
        true => Err(Failure::usage("--columns: no column is named")),
        false => Ok(columns),
    }
}

fn by_letter(letter: char) -> Result<Column, Failure> {
    if let Some((_, column, _)) = LETTERS.iter().find(|(known, _, _)| *known == letter) {
        return Ok(column.clone());
    }
    if let Some((_, what)) = NOT_YET.iter().find(|(known, _)| *known == letter) {
        return Err(Failure::of(Kind::Unsupported, format!("--columns {letter}: this version of lxhost has no {what}")));
    }
    let known: String = LETTERS.iter().map(|(known, _, _)| *known).collect();
    Err(Failure::usage(format!("--columns: no column {}; there are {known}", quoted(&letter.to_string()))))
}

impl Column {
    /// Its title.
    pub(crate) fn title(&self) -> String {
        match self {
            Column::Key { title, .. } => title.clone(),
            column => LETTERS.iter().find(|(_, known, _)| known == column).map_or("", |(_, _, title)| title).to_owned(),
        }
    }

    /// What it needs beside the row.
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        match self {
            Column::Ipv4 | Column::Ipv6 | Column::Name | Column::Project | Column::State | Column::Type | Column::Started => (),
            Column::Location => (),
            Column::Memory | Column::MemoryPercent => drop(needs.state.insert("memory")),
            Column::Processes => drop(needs.state.insert("pids")),
            Column::Cpu => drop(needs.state.insert("cpu")),
            Column::Key { .. } => needs.config = true,
            Column::Architecture
            | Column::Pool
            | Column::Created
            | Column::Description
            | Column::Image
            | Column::ImageInFull
            | Column::LastUsed
            | Column::Pid
            | Column::Profiles
            | Column::Snapshots => needs.properties = true,
        }
        needs
    }

    /// Its text for an instance.
    pub(crate) fn of(&self, item: &Item) -> String {
        let date = |key| number(&item.properties, key).map(render::date).unwrap_or_default();
        match self {
            Column::Ipv4 => item.addresses(false).join("\n"),
            Column::Ipv6 => item.addresses(true).join("\n"),
            Column::Architecture => text(&item.properties, "Architecture"),
            Column::Pool => text(&item.properties, "Pool"),
            Column::Created => date("CreatedTimestamp"),
            Column::Description => text(&item.properties, "Description"),
            Column::Project => item.row.project.clone(),
            Column::Image => text(&item.properties, "Image").chars().take(12).collect(),
            Column::ImageInFull => text(&item.properties, "Image"),
            Column::LastUsed => date("LastUsedTimestamp"),
            Column::Memory => number_in(&item.state, "memory", "current").map(render::bytes).unwrap_or_default(),
            Column::MemoryPercent => percent(&item.state).unwrap_or_default(),
            // What LXD says of a host that is in no cluster.
            Column::Location => "none".to_owned(),
            Column::Name => item.row.name.clone(),
            Column::Processes => number(&item.state, "pids").map(|n| n.to_string()).unwrap_or_default(),
            Column::Pid => match number(&item.properties, "Leader") {
                Some(pid) if pid > 0 => pid.to_string(),
                _ => String::new(),
            },
            Column::Profiles => list(&item.properties, "Profiles").join("\n"),
            // A daemon without snapshots has no such property, and its instances have none.
            Column::Snapshots => number(&item.properties, "SnapshotCount").unwrap_or(0).to_string(),
            Column::State => item.row.state.to_uppercase(),
            Column::Type => item.row.kind.to_uppercase(),
            Column::Cpu => number_in(&item.state, "cpu", "usage-nsec").map(render::seconds).unwrap_or_default(),
            Column::Started if item.row.state == "running" => render::date(item.row.state_usec),
            Column::Started => String::new(),
            Column::Key { key, .. } => item.config.get(key).cloned().unwrap_or_default(),
        }
    }
}

/// Memory in use of what the instance may have.
fn percent(state: &Values) -> Option<String> {
    let (current, total) = (number_in(state, "memory", "current")?, number_in(state, "memory", "total")?);
    (total > 0).then(|| format!("{:.1}%", current as f64 * 100.0 / total as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_keys_are_columns() {
        let columns = parse("ns4,user.team:TEAM,t").unwrap();
        let titles: Vec<String> = columns.iter().map(Column::title).collect();
        assert_eq!(titles, ["NAME", "STATE", "IPV4", "TEAM", "TYPE"]);
        assert_eq!(parse("user.team").unwrap()[0].title(), "USER.TEAM");
    }

    #[test]
    fn an_unknown_column_and_one_of_a_later_version_are_told_apart() {
        assert_eq!(parse("nx").unwrap_err().code, 2);
        assert_eq!(parse("").unwrap_err().code, 2);
        assert!(parse("ns46tSLmM").is_ok());
        let failure = parse("nD").unwrap_err();
        assert_eq!(failure.code, 8);
        assert!(failure.message.contains("disk usage"), "{}", failure.message);
    }

    #[test]
    fn the_default_columns_need_one_call() {
        for column in parse(super::super::DEFAULT).unwrap() {
            assert_eq!(column.needs(), Needs::default(), "{column:?}");
        }
    }

    #[test]
    fn every_letter_is_there_once() {
        for (i, (letter, column, title)) in LETTERS.iter().enumerate() {
            assert!(LETTERS[..i].iter().all(|(other, _, _)| other != letter));
            assert!(NOT_YET.iter().all(|(other, _)| other != letter));
            assert_eq!(column.title(), *title);
        }
    }
}
