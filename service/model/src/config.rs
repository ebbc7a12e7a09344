//! Configuration keys of an instance: which exist, what a value may be, and which equal host root.
//!
//! `user.*` and `environment.*` are open; everything else is in the table. Names are LXD's.

use crate::{Error, Kind};
use std::collections::BTreeMap;

/// Keys and values of an instance, profile or network.
pub type Config = BTreeMap<String, String>;

/// Longest value of a key, in bytes.
pub const MAX_VALUE: usize = 64 * 1024;
/// Most keys in one configuration.
pub const MAX_KEYS: usize = 1000;

/// What a value has to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Bool,
    /// A whole number from 0 to the given maximum.
    Number(u64),
    /// A size in bytes with a unit.
    Bytes,
    /// A size in bytes, or a percentage of the host's.
    BytesOrPercent,
    /// A share of a processor.
    CpuShare,
    /// Anything on one line.
    Text,
    /// Anything, with line breaks.
    Lines,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// What names of snapshots are made of.
    SnapshotPattern,
    /// Times that come again and again; empty: none.
    Schedule,
    /// How long something is kept; empty: for ever.
    Lifetime,
}

/// One key of the table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Full name.
    pub name: &'static str,
    /// What a value has to look like.
    pub value: Value,
    /// Whether setting it needs `configure-privileged`.
    pub privileged: bool,
    /// What it does, in a line.
    pub about: &'static str,
}

const fn key(name: &'static str, value: Value, about: &'static str) -> Key {
    Key { name, value, privileged: false, about }
}

/// Keys of an instance that have an effect today.
pub const INSTANCE: &[Key] = &[
    key("boot.autostart", Value::Bool, "start it when the host has booted"),
    key("boot.autostart.delay", Value::Number(86_400), "seconds to wait after starting it before the next"),
    key("boot.autostart.priority", Value::Number(u32::MAX as u64), "higher starts earlier"),
    key("boot.host_shutdown_timeout", Value::Number(86_400), "seconds it gets to stop at host shutdown"),
    key("boot.stop.priority", Value::Number(u32::MAX as u64), "higher stops earlier"),
    key("limits.cpu.allowance", Value::CpuShare, "share of CPU time, such as 50% or 25ms/100ms"),
    key("limits.memory", Value::BytesOrPercent, "most memory it may use"),
    key("limits.processes", Value::Number(4_194_304), "most processes it may have"),
    key("security.nesting", Value::Bool, "prepare it to run containers itself"),
    key("snapshots.expiry", Value::Lifetime, "how long new snapshots are kept, such as 7d or 1m 12H; empty: for ever"),
    key("snapshots.pattern", Value::SnapshotPattern, "what names of its snapshots are made of; %d counts"),
    key("snapshots.schedule", Value::Schedule, "when snapshots are taken: a line of cron, or aliases such as @daily, @startup"),
    key("snapshots.schedule.stopped", Value::Bool, "take them while it is stopped, too"),
    key("linux.init", Value::Text, "program started as its first process, with arguments"),
];

/// Checks that a value holds no control characters (line breaks allowed) and is not too long.
///
/// # Errors
/// `InvalidConfig`.
pub fn check_text(key: &str, value: &str) -> Result<(), Error> {
    let bad = |why: &str| Error::new(Kind::InvalidConfig, format!("{}: {why}", crate::name::quoted(key)));
    if value.len() > MAX_VALUE {
        return Err(bad("the value is too long"));
    }
    if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(bad("the value holds control characters"));
    }
    Ok(())
}

/// Checks one key of an instance and its value.
///
/// # Errors
/// `InvalidConfig` for an unknown key (with the nearest known one) or a malformed value.
pub fn check_instance(name: &str, value: &str) -> Result<(), Error> {
    check_text(name, value)?;
    if let Some(rest) = name.strip_prefix("user.").or_else(|| name.strip_prefix("environment.")) {
        let fine = !rest.is_empty()
            && rest.len() <= 255
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        let one_line = !name.starts_with("environment.") || !value.contains('\n');
        return if fine && one_line { Ok(()) } else { Err(bad_key(name, "malformed key or value")) };
    }
    let Some(key) = INSTANCE.iter().find(|key| key.name == name) else {
        let near = nearest(name, INSTANCE.iter().map(|k| k.name)).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        return Err(bad_key(name, &format!("unknown key{near}")));
    };
    check_value(key.value, value).map_err(|why| bad_key(name, &why))
}

fn bad_key(name: &str, why: &str) -> Error {
    Error::new(Kind::InvalidConfig, format!("configuration key {}: {why}", crate::name::quoted(name)))
}

/// Checks `value` against what it has to look like; the error says what is expected.
pub fn check_value(expected: Value, value: &str) -> Result<(), String> {
    match expected {
        Value::Bool => parse_bool(value).map(drop).ok_or_else(|| "expected true or false".into()),
        Value::Number(max) => match value.parse::<u64>() {
            Ok(n) if n <= max => Ok(()),
            _ => Err(format!("expected a whole number from 0 to {max}")),
        },
        Value::Bytes => crate::size::parse_bytes(value).map(drop).map_err(|e| e.message),
        Value::BytesOrPercent => match value.strip_suffix('%') {
            Some(percent) => {
                percent.parse::<u8>().ok().filter(|p| (1..=100).contains(p)).map(drop).ok_or_else(|| "expected 1% to 100%".into())
            }
            None => crate::size::parse_bytes(value).map(drop).map_err(|e| e.message),
        },
        Value::CpuShare => crate::size::parse_cpu(value).map(drop).map_err(|e| e.message),
        Value::Text if value.contains('\n') => Err("expected one line".into()),
        Value::Text | Value::Lines => Ok(()),
        Value::SnapshotPattern => match crate::snapshot::next_name(value, std::iter::empty()) {
            Ok(_) => Ok(()),
            Err(_) => Err("expected a name of a snapshot with at most one %d in it".into()),
        },
        Value::Lifetime if value.is_empty() => Ok(()),
        Value::Lifetime => value.parse::<crate::lifetime::Lifetime>().map(drop).map_err(|e| e.message),
        Value::Schedule => value.parse::<crate::schedule::Schedule>().map(drop).map_err(|e| e.message),
        Value::Word(words) if words.contains(&value) => Ok(()),
        Value::Word(words) => Err(format!("expected one of {}", words.join(", "))),
    }
}

/// `true` and `false` in LXD's spellings.
pub fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Whether a switch is on; unset and malformed are off.
pub fn is_on(config: &Config, key: &str) -> bool {
    config.get(key).and_then(|v| parse_bool(v)).unwrap_or(false)
}

/// The candidate nearest to `word`, if one is near enough to be a misspelling.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: String = word.chars().take(64).collect();
    let limit = (word.len() / 3).clamp(1, 3);
    candidates.into_iter().map(|c| (distance(&word, c), c)).filter(|(d, _)| *d <= limit).min().map(|(_, c)| c)
}

/// Edit distance that counts a swap of neighbours as one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().take(128).collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (row[j - 1] + 1).min(rows[i - 1][j] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_names_the_nearest_one() {
        let error = check_instance("limits.memmory", "1GiB").unwrap_err();
        assert_eq!(error.kind, Kind::InvalidConfig);
        assert!(error.message.contains("did you mean limits.memory?"), "{error}");
        assert!(!check_instance("zzz", "1").unwrap_err().message.contains("did you mean"));
    }

    #[test]
    fn values_are_checked_by_type() {
        for (key, good, bad) in [
            ("limits.memory", "50%", "200%"),
            ("limits.memory", "1GiB", "much"),
            ("boot.autostart", "true", "maybe"),
            ("limits.processes", "100", "-1"),
            ("limits.cpu.allowance", "25ms/100ms", "half"),
            ("snapshots.pattern", "auto-%d", "../%d"),
            ("snapshots.expiry", "1w 2d", "soon"),
            ("snapshots.expiry", "", "0d"),
            ("snapshots.schedule", "0 6 * * *", "0 6 * *"),
            ("snapshots.schedule", "@daily, @startup", "@someday"),
            ("snapshots.schedule", "", "0 0 31 2 *"),
            ("linux.init", "/bin/sh -c id", "a\nb"),
            ("user.x", "a\nb", "a\u{1b}[0m"),
            ("environment.A", "1", "1\n2"),
        ] {
            assert!(check_instance(key, good).is_ok(), "{key}={good}");
            assert!(check_instance(key, bad).is_err(), "{key}={bad}");
        }
    }

    #[test]
    fn a_swap_is_nearer_than_another_word() {
        assert_eq!(nearest("lauch", ["launch", "list", "stop"]), Some("launch"));
        assert_eq!(nearest("lsit", ["launch", "list", "stop"]), Some("list"));
        assert_eq!(nearest("frobnicate", ["launch", "list"]), None);
    }
}
