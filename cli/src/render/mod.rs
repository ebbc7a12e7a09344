//! Printing: tables for people, csv, json and yaml for programs. Knows nothing of the API.
//!
//! Everything that goes to standard output goes through here: a reader that left is not an error.

mod format;
mod quantity;
mod table;

pub(crate) use format::{Form, Format};
pub(crate) use quantity::{bytes, date, seconds};
pub(crate) use table::Table;

use crate::failure::Failure;
use serde::Serialize;
use std::borrow::Cow;
use std::io::{IsTerminal, Write};

/// Writes `text` to standard output as it is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `lxctl list | head -1` is no error.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::said(0)),
        Err(e) => Err(Failure::io("write to standard output", &e)),
        Ok(()) => Ok(()),
    }
}

/// Writes one line for people to standard output; work goes on when nobody reads it.
pub(crate) fn line(text: &str) {
    let _ = print(&format!("{}\n", printable(text)));
}

/// `text` without control characters, so that what a guest or an image says cannot drive the terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(
            text.chars()
                .map(|c| {
                    if c == '\n' || c == '\t' {
                        ' '
                    } else if c.is_control() {
                        '\u{fffd}'
                    } else {
                        c
                    }
                })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether standard output takes colours.
pub(crate) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// `data` as a YAML document.
pub(crate) fn yaml(data: &impl Serialize) -> Result<String, Failure> {
    serde_saphyr::to_string(data).map_err(|e| Failure::of(lxhost_model::Kind::Failed, format!("cannot write YAML: {e}")))
}

/// `data` as indented JSON with a newline at its end.
pub(crate) fn json(data: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(data)
        .map_err(|e| Failure::of(lxhost_model::Kind::Failed, format!("cannot write JSON: {e}")))?;
    Ok(text + "\n")
}

/// Prints rows in the format asked for. `data` is what json and yaml show; with `quiet` only the
/// table's key column is printed.
pub(crate) fn show<D: Serialize>(format: Format, quiet: bool, table: &Table, data: &D) -> Result<(), Failure> {
    let text = match format.form {
        _ if quiet => table.keys(),
        Form::Table => table.bordered(format.header, colours()),
        Form::Compact => table.compact(format.header, colours()),
        Form::Csv => table.csv(format.header),
        Form::Json => json(data)?,
        Form::Yaml => yaml(data)?,
    };
    print(&text)
}

/// Prints a document.
pub(crate) fn document(format: crate::args::Document, data: &impl Serialize) -> Result<(), Failure> {
    print(&match format {
        crate::args::Document::Yaml => yaml(data)?,
        crate::args::Document::Json => json(data)?,
    })
}

/// Prints one thing: `text` for people, `data` for programs.
pub(crate) fn show_one<D: Serialize>(format: Format, text: impl FnOnce() -> String, data: &D) -> Result<(), Failure> {
    print(&match format.form {
        Form::Json => json(data)?,
        Form::Yaml => yaml(data)?,
        Form::Table | Form::Compact | Form::Csv => text(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_drive_the_terminal() {
        assert_eq!(printable("plain ü"), "plain ü");
        assert_eq!(printable("a\u{1b}[31mb\nc\r"), "a\u{fffd}[31mb c\u{fffd}");
    }
}
