//! How long a snapshot is kept: LXD's `1M 2H 3d 4w 5m 6y`, each a number of minutes, hours, days, weeks, months and
//! years. Pure; the text may be anybody's.

use crate::schedule::{date, day};
use crate::{Error, Kind, Timestamp};
use std::str::FromStr;

/// Longest text.
const MAX_TEXT: usize = 128;
/// Greatest number before a unit.
const MOST: u32 = 100_000;
/// Most months altogether.
const MOST_MONTHS: u32 = 12_000;
const SECOND: u64 = 1_000_000;
const DAY: u64 = 86_400 * SECOND;

/// A time to be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifetime {
    seconds: u64,
    months: u32,
}

impl Lifetime {
    /// When it is over, if it begins at `start`. The 31st plus a month is the last day of the next one.
    pub fn end(&self, start: Timestamp) -> Timestamp {
        let (days, of_day) = (start / DAY, start % DAY);
        let (year, month, of_month) = date(days as i64);
        let months = i64::from(month) - 1 + i64::from(self.months);
        let (year, month) = (year + months / 12, (months % 12) as u32 + 1);
        let next = if month == 12 { day(year + 1, 1, 1) } else { day(year, month + 1, 1) };
        let later = (day(year, month, 1) + i64::from(of_month) - 1).min(next - 1);
        later as u64 * DAY + of_day + self.seconds * SECOND
    }
}

impl FromStr for Lifetime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::new(Kind::InvalidConfig, format!("lifetime {}: {why}", crate::name::quoted(text)));
        if text.len() > MAX_TEXT {
            return Err(bad("it is too long"));
        }
        if text.chars().any(char::is_control) {
            return Err(bad("it holds control characters"));
        }
        let (mut life, mut seen) = (Lifetime::default(), String::new());
        for word in text.split_ascii_whitespace() {
            let at = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
            let (number, unit) = word.split_at(at);
            let number = number.parse().ok().filter(|number: &u32| *number <= MOST);
            let number = number.ok_or_else(|| bad("expected numbers with units, such as 7d or 1m 12H"))?;
            let seconds = |each: u64| u64::from(number) * each;
            match unit {
                "S" => life.seconds += seconds(1),
                "M" => life.seconds += seconds(60),
                "H" => life.seconds += seconds(3600),
                "d" => life.seconds += seconds(86_400),
                "w" => life.seconds += seconds(7 * 86_400),
                "m" => life.months += number,
                "y" => life.months += number * 12,
                _ => return Err(bad("a unit is one of S, M, H, d, w, m and y")),
            }
            if seen.contains(unit) {
                return Err(bad("a unit comes twice"));
            }
            seen.push_str(unit);
        }
        match life {
            Lifetime { months, .. } if months > MOST_MONTHS => Err(bad("it is longer than a thousand years")),
            life if life == Lifetime::default() => Err(bad("it is no time at all")),
            life => Ok(life),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: i64, month: u32, of_month: u32) -> Timestamp {
        day(year, month, of_month) as u64 * DAY + 5 * SECOND
    }

    #[test]
    fn a_time_ends_when_it_is_over() {
        for (text, start, end) in [
            ("7d", at(2026, 11, 23), at(2026, 11, 30)),
            ("1w", at(2026, 12, 28), at(2027, 1, 4)),
            ("1m", at(2026, 1, 31), at(2026, 2, 28)),
            ("1m", at(2026, 12, 31), at(2027, 1, 31)),
            ("13m", at(2026, 11, 30), at(2027, 12, 30)),
            ("1y", at(2024, 2, 29), at(2025, 2, 28)),
            ("1M", at(2026, 11, 23), at(2026, 11, 23) + 60 * SECOND),
            ("1d 24H", at(2026, 11, 23), at(2026, 11, 25)),
            ("  90S ", 0, 90 * SECOND),
        ] {
            assert_eq!(text.parse::<Lifetime>().unwrap().end(start), end, "{text}");
        }
        assert!("1000y 100000w".parse::<Lifetime>().unwrap().end(at(2026, 1, 1)) > at(4900, 1, 1));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let long = "1d ".repeat(100);
        for text in [
            "",
            " ",
            "7",
            "d",
            "7x",
            "7D",
            "-1d",
            "+1d",
            "1d 2d",
            "0d",
            "1.5d",
            "1001y",
            "99999999999d",
            "7 d",
            "7dd",
            "7d\n",
            &long,
        ] {
            assert_eq!(text.parse::<Lifetime>().unwrap_err().kind, Kind::InvalidConfig, "{text}");
        }
    }
}
