//! Sizes, times and durations as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Bytes with a binary unit: `1.50GiB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n}B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

/// Microseconds since the epoch as local date and time, as LXD writes them; 0 is never: empty.
pub(crate) fn date(usec: u64) -> String {
    date_in(usec, TimeZone::system())
}

fn date_in(usec: u64, zone: TimeZone) -> String {
    let Ok(signed) = i64::try_from(usec) else { return String::new() };
    match Timestamp::from_microsecond(signed) {
        Ok(time) if usec > 0 => time.to_zoned(zone).strftime("%Y/%m/%d %H:%M %Z").to_string(),
        _ => String::new(),
    }
}

/// Nanoseconds as whole seconds with their unit: `12s`.
pub(crate) fn seconds(nsec: u64) -> String {
    format!("{}s", nsec / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(bytes(0), "0B");
        assert_eq!(bytes(1023), "1023B");
        assert_eq!(bytes(1536), "1.50KiB");
        assert_eq!(bytes(160 << 20), "160.00MiB");
        assert_eq!(bytes(u64::MAX), "16.00EiB");
    }

    #[test]
    fn never_is_empty() {
        assert_eq!(date_in(0, TimeZone::UTC), "");
        assert_eq!(date_in(1_700_000_000_000_000, TimeZone::UTC), "2023/11/14 22:13 UTC");
        assert_eq!(date_in(u64::MAX, TimeZone::UTC), "");
    }
}
