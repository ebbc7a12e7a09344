//! When snapshots are taken by themselves: a line of cron, or LXD's aliases. Times are minutes of the local calendar,
//! counted from its 1970-01-01 00:00, so that a day has its times whatever is done to the clock. Pure; the text may
//! be anybody's.

use crate::{Error, Kind};
use std::str::FromStr;

/// Minutes since 1970-01-01 00:00 by the local calendar.
pub type Minute = i64;

/// Longest text of a schedule.
const MAX_TEXT: usize = 256;
/// Minutes of a day.
const DAY: Minute = 24 * 60;
/// Days that are looked back: the 29th of February comes every eight years at least.
const FAR: i64 = 8 * 366;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Days of each month, in a leap year.
const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Times that come again and again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    lines: Vec<Line>,
    at_start: bool,
}

/// A line of cron: a bit for each minute, hour, day, month and day of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether one of the two kinds of days is enough: so it is when both are named.
    either: bool,
}

impl Schedule {
    /// The last time later than `after`, up to `until`.
    pub fn latest(&self, after: Minute, until: Minute) -> Option<Minute> {
        self.lines.iter().filter_map(|line| line.latest(after.saturating_add(1), until)).max()
    }

    /// Whether there are times by the calendar.
    pub fn comes(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Whether a start is one of the times.
    pub fn is_at_start(&self) -> bool {
        self.at_start
    }
}

impl Line {
    fn latest(&self, first: Minute, last: Minute) -> Option<Minute> {
        let (first_day, last_day) = (first.div_euclid(DAY), last.div_euclid(DAY));
        for day in (first_day.max(last_day - FAR)..=last_day).rev().filter(|day| self.is_on(*day)) {
            let from = if day == first_day { first.rem_euclid(DAY) } else { 0 };
            let to = if day == last_day { last.rem_euclid(DAY) } else { DAY - 1 };
            let mut minutes = (from..=to).rev();
            if let Some(minute) = minutes.find(|minute| has(self.hours, minute / 60) && has(self.minutes, minute % 60)) {
                return Some(day * DAY + minute);
            }
        }
        None
    }

    fn is_on(&self, day: i64) -> bool {
        let (_, month, of_month) = date(day);
        let (day, weekday) = (has(self.days, i64::from(of_month)), has(self.weekdays, (day + 4).rem_euclid(7)));
        has(self.months, i64::from(month)) && if self.either { day || weekday } else { day && weekday }
    }

    /// Whether there is a day that it names.
    fn comes(&self) -> bool {
        let lengths = LENGTHS.iter().enumerate().filter(|(month, _)| has(self.months, *month as i64 + 1));
        self.either || lengths.into_iter().any(|(_, length)| self.days & ((2 << length) - 1) != 0)
    }
}

fn has(bits: u64, bit: i64) -> bool {
    bits >> bit & 1 == 1
}

/// Year, month and day of the month of a day since 1970-01-01.
pub(crate) fn date(day: i64) -> (i64, u32, u32) {
    // Years begin in March, so that the leap day is the last one; an era is 400 of them.
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month as u32, of_month as u32)
}

/// Days from 1970-01-01 to that date.
pub(crate) fn day(year: i64, month: u32, of_month: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * i64::from((month + 9) % 12) + 2) / 5 + i64::from(of_month) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::new(Kind::InvalidConfig, format!("schedule {}: {why}", crate::name::quoted(text)));
        if text.len() > MAX_TEXT {
            return Err(bad("it is too long"));
        }
        if text.chars().any(char::is_control) {
            return Err(bad("it holds control characters"));
        }
        let mut schedule = Schedule::default();
        if text.contains('@') {
            for word in text.split(',').map(str::trim) {
                match alias(word) {
                    Some(line) => schedule.lines.push(parse_line(line).map_err(|why| bad(&why))?),
                    None if word.eq_ignore_ascii_case("@startup") => schedule.at_start = true,
                    None if word.eq_ignore_ascii_case("@never") => {}
                    None => return Err(bad(&format!("unknown alias {}", crate::name::quoted(word)))),
                }
            }
        } else if !text.trim().is_empty() {
            schedule.lines.push(parse_line(text).map_err(|why| bad(&why))?);
        }
        Ok(schedule)
    }
}

fn alias(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        _ => return None,
    })
}

fn parse_line(text: &str) -> Result<Line, String> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = fields[..] else {
        return Err("expected minute, hour, day, month and day of the week, or aliases such as @daily".into());
    };
    let any = |field: &str| field.starts_with('*');
    let week = parse_field(weekdays, (0, 7), &WEEKDAYS)?;
    let line = Line {
        minutes: parse_field(minutes, (0, 59), &[])?,
        hours: parse_field(hours, (0, 23), &[])?,
        days: parse_field(days, (1, 31), &[])?,
        months: parse_field(months, (1, 12), &MONTHS)?,
        // Sunday has two numbers.
        weekdays: (week | week >> 7) & 0x7f,
        either: !any(days) && !any(weekdays),
    };
    if line.comes() { Ok(line) } else { Err("there is no such day".into()) }
}

/// One field: `*`, numbers, names, spans `a-b`, steps `/n`, and lists of them. The first of `names` is `least`.
fn parse_field(field: &str, (least, most): (u32, u32), names: &[&str]) -> Result<u64, String> {
    let number = |word: &str| -> Result<u32, String> {
        let named = names.iter().position(|name| word.eq_ignore_ascii_case(name)).map(|at| at as u32 + least);
        let plain = || word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().ok()).flatten();
        let number = named.or_else(plain).filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("{} is not from {least} to {most}", crate::name::quoted(word)))
    };
    let mut bits = 0;
    for part in field.split(',') {
        let (span, step) = match part.split_once('/') {
            None => (part, None),
            Some((span, step)) => (span, Some(step)),
        };
        let (from, to) = match (span, span.split_once('-')) {
            ("*", _) => (least, most),
            (_, Some((from, to))) => (number(from)?, number(to)?),
            (_, None) if step.is_some() => (number(span)?, most),
            (_, None) => (number(span)?, number(span)?),
        };
        if from > to {
            return Err(format!("{} ends before it begins", crate::name::quoted(span)));
        }
        let step = match step.map(|step| step.parse::<u8>()) {
            None => 1,
            Some(Ok(step)) if step > 0 => step,
            Some(_) => return Err(format!("{} has no step that is a number", crate::name::quoted(part))),
        };
        (from..=to).step_by(usize::from(step)).for_each(|bit| bits |= 1 << bit);
    }
    Ok(bits)
}

#[cfg(test)]
mod tests;
