//! Rows and columns as text.

use comfy_table::{Cell, Color, ContentArrangement, presets};
use std::fmt::Write;

/// Rows under a header. A cell may have several lines.
#[derive(Debug, Default)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    key: usize,
}

impl Table {
    /// An empty table.
    pub(crate) fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Table { header: header.into_iter().map(Into::into).collect(), rows: Vec::new(), key: 0 }
    }

    /// The same, with `column` as what `--quiet` prints.
    pub(crate) fn keyed(mut self, column: usize) -> Self {
        self.key = column;
        self
    }

    /// Adds a row.
    pub(crate) fn push<S: Into<String>>(&mut self, row: impl IntoIterator<Item = S>) {
        self.rows.push(row.into_iter().map(Into::into).collect());
    }

    /// The key column, a line each.
    pub(crate) fn keys(&self) -> String {
        let mut text = String::new();
        for key in self.rows.iter().filter_map(|row| row.get(self.key)) {
            let _ = writeln!(text, "{}", super::printable(key));
        }
        text
    }

    /// As LXD draws it.
    pub(crate) fn bordered(&self, header: bool, colours: bool) -> String {
        use comfy_table::LineStyle;
        let line = LineStyle::new('+', '-', '+', '+');
        let style = presets::ASCII_FULL_CONDENSED.header_separator(line).row_separator(line);
        self.draw(header, colours, style, "")
    }

    /// Without borders.
    pub(crate) fn compact(&self, header: bool, colours: bool) -> String {
        self.draw(header, colours, presets::NOTHING, " ")
    }

    fn draw(&self, header: bool, colours: bool, style: comfy_table::TableStyle, margin: &str) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(style).set_content_arrangement(ContentArrangement::Disabled);
        if colours {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        if header {
            table.set_header(self.header.iter().map(Cell::new));
        }
        for row in &self.rows {
            table.add_row(row.iter().map(|text| cell(text, colours)));
        }
        if self.rows.is_empty() && !header {
            return String::new();
        }
        let mut text = String::new();
        for line in table.lines() {
            let _ = writeln!(text, "{margin}{}", line.trim_end());
        }
        text
    }

    /// Comma-separated values (RFC 4180).
    pub(crate) fn csv(&self, header: bool) -> String {
        let mut text = String::new();
        for row in header.then_some(&self.header).into_iter().chain(&self.rows) {
            let fields: Vec<_> = row.iter().map(|field| csv_field(field)).collect();
            text.push_str(&fields.join(","));
            text.push('\n');
        }
        text
    }
}

fn csv_field(field: &str) -> std::borrow::Cow<'_, str> {
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")).into() } else { field.into() }
}

fn cell(text: &str, colours: bool) -> Cell {
    let lines: Vec<_> = text.split('\n').map(super::printable).collect();
    let cell = Cell::new(lines.join("\n"));
    match (colours, text) {
        (true, "RUNNING" | "UP" | "ok") => cell.fg(Color::Green),
        (true, "ERROR" | "fail") => cell.fg(Color::Red),
        (true, "FROZEN" | "STARTING" | "STOPPING" | "warn") => cell.fg(Color::Yellow),
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["NAME", "IPV4"]);
        table.push(["c1", "10.0.0.2 (eth0)\n10.1.0.2 (eth1)"]);
        table.push(["web", ""]);
        table
    }

    #[test]
    fn a_table_has_borders_and_cells_of_several_lines() {
        let expected = "\
+------+-----------------+
| NAME | IPV4            |
+------+-----------------+
| c1   | 10.0.0.2 (eth0) |
|      | 10.1.0.2 (eth1) |
+------+-----------------+
| web  |                 |
+------+-----------------+
";
        assert_eq!(table().bordered(true, false), expected);
    }

    #[test]
    fn compact_has_columns_alone() {
        let expected = "  NAME  IPV4\n  c1    10.0.0.2 (eth0)\n        10.1.0.2 (eth1)\n  web\n";
        assert_eq!(table().compact(true, false), expected);
        assert_eq!(Table::new(["NAME"]).compact(false, false), "");
    }

    #[test]
    fn csv_quotes_what_it_must() {
        let mut table = table();
        table.push(["a,b", "say \"hi\""]);
        let expected = "NAME,IPV4\nc1,\"10.0.0.2 (eth0)\n10.1.0.2 (eth1)\"\nweb,\n\"a,b\",\"say \"\"hi\"\"\"\n";
        assert_eq!(table.csv(true), expected);
        assert!(table.csv(false).starts_with("c1,"));
    }

    #[test]
    fn quiet_prints_the_key_column() {
        assert_eq!(table().keys(), "c1\nweb\n");
        assert_eq!(table().keyed(9).keys(), "");
    }

    #[test]
    fn colours_appear_only_when_asked_for() {
        let mut table = Table::new(["STATE"]);
        table.push(["RUNNING"]);
        assert!(table.bordered(true, true).contains('\u{1b}'));
        assert!(!table.bordered(true, false).contains('\u{1b}'));
    }

    #[test]
    fn a_cell_cannot_drive_the_terminal() {
        let mut table = Table::new(["A"]);
        table.push(["\u{1b}]0;x\u{7}"]);
        assert!(!table.bordered(true, false).contains(['\u{1b}', '\u{7}']));
        assert!(!table.keys().contains('\u{1b}'));
    }
}
