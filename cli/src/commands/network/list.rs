//! `network list` with its columns, by Incus' letters.

use crate::bus::Session;
use crate::failure::Failure;
use crate::pages;
use crate::render::{self, Format, Table};
use crate::values::list;
use lxhost_dbus::Options;
use lxhost_dbus::wire::NetworkRow;
use lxhost_model::name::quoted;

/// Letters and titles.
const COLUMNS: &[(char, &str)] = &[
    ('4', "IPV4"),
    ('6', "IPV6"),
    ('d', "DESCRIPTION"),
    ('e', "PROJECT"),
    ('m', "MANAGED"),
    ('n', "NAME"),
    ('s', "STATE"),
    ('t', "TYPE"),
    ('u', "USED BY"),
];

/// The letters of `-c`.
fn parse(word: &str) -> Result<Vec<(char, &'static str)>, Failure> {
    let column = |letter: char| COLUMNS.iter().find(|(known, _)| *known == letter).copied();
    let unknown = |letter: char| {
        let known: String = COLUMNS.iter().map(|(known, _)| known).collect();
        Failure::usage(format!("--columns: no column {}; there are {known}", quoted(&letter.to_string())))
    };
    let letters = word.chars().filter(|letter| *letter != ',');
    let columns: Vec<_> = letters.map(|letter| column(letter).ok_or_else(|| unknown(letter))).collect::<Result<_, _>>()?;
    if columns.is_empty() { Err(Failure::usage("--columns: no column is named")) } else { Ok(columns) }
}

/// Lists networks.
pub(super) async fn run(session: &Session, columns: &str, format: Format) -> Result<(), Failure> {
    let columns = parse(columns)?;
    let rows = pages::networks(session, None).await?;
    let key = columns.iter().position(|(letter, _)| *letter == 'n').unwrap_or(0);
    let mut table = Table::new(columns.iter().map(|(_, title)| *title)).keyed(key);
    for row in &rows {
        let mut cells = Vec::new();
        for (letter, _) in &columns {
            cells.push(match letter {
                'd' => session.network(&row.name).await?.description().await?,
                'u' => {
                    let state = session.network(&row.name).await?.get_state(&Options::new()).await?;
                    list(&state, "used-by").len().to_string()
                }
                letter => cell(*letter, row),
            });
        }
        table.push(cells);
    }
    let data: Vec<_> = rows.iter().map(super::json_of).collect();
    render::show(format, session.quiet, &table, &data)
}

/// What the row itself says.
fn cell(letter: char, row: &NetworkRow) -> String {
    let family = |v6: bool| row.subnets.iter().filter(|s| s.contains(':') == v6).cloned().collect::<Vec<_>>().join("\n");
    match letter {
        '4' => family(false),
        '6' => family(true),
        'e' => row.project.clone(),
        'm' => if row.managed { "YES" } else { "NO" }.to_owned(),
        's' => row.state.to_uppercase(),
        't' => row.kind.clone(),
        _ => row.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_a_letter_and_another_letter_is_answered_with_all() {
        assert_eq!(parse("n,t").unwrap(), [('n', "NAME"), ('t', "TYPE")]);
        assert!(parse("nz").unwrap_err().message.contains("46demnstu"));
        assert!(parse("").is_err());
    }
}
