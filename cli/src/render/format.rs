//! The value of `--format`.

use std::str::FromStr;

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// With borders.
    Table,
    /// Columns alone.
    Compact,
    /// Comma-separated values.
    Csv,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// A form, and whether it has a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) form: Form,
    pub(crate) header: bool,
}

impl Format {
    /// Every form by name.
    pub(crate) const FORMS: &[(&str, Form)] =
        &[("table", Form::Table), ("compact", Form::Compact), ("csv", Form::Csv), ("json", Form::Json), ("yaml", Form::Yaml)];
}

impl Default for Format {
    fn default() -> Self {
        Format { form: Form::Table, header: true }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (name, option) = word.split_once(',').unwrap_or((word, ""));
        let form = Format::FORMS.iter().find(|(known, _)| *known == name).map(|(_, form)| *form);
        let form = form.ok_or("expected table, compact, csv, json or yaml")?;
        let header = match option {
            "" => form != Form::Csv,
            "header" => true,
            "noheader" => false,
            _ => return Err("expected ,header or ,noheader after the format".to_owned()),
        };
        Ok(Format { form, header })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_has_no_header_unless_asked() {
        let format = |word: &str| word.parse::<Format>().unwrap();
        assert_eq!(format("csv"), Format { form: Form::Csv, header: false });
        assert_eq!(format("csv,header"), Format { form: Form::Csv, header: true });
        assert_eq!(format("table,noheader"), Format { form: Form::Table, header: false });
        assert!("xml".parse::<Format>().is_err());
        assert!("csv,headers".parse::<Format>().is_err());
    }
}
