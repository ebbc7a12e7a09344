//! Sizes and shares as LXD's configuration writes them: `10GiB`, `500MB`, `1024`.

use crate::{Error, Kind};

/// Less is not to be had of a file system.
const LEAST: u64 = 1 << 20;

const UNITS: &[(&str, u64)] = &[
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("EB", 1_000_000_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
    ("EiB", 1 << 60),
    ("bytes", 1),
    ("B", 1),
];

/// Bytes in `text`: digits, then an optional unit (`kB`…`EB` decimal, `KiB`…`EiB` binary, `B`).
///
/// # Errors
/// `InvalidConfig` when there is no number, the unit is unknown or the product exceeds 64 bits.
pub fn parse_bytes(text: &str) -> Result<u64, Error> {
    let bad = |why: &str| Error::new(Kind::InvalidConfig, format!("size {}: {why}", crate::name::quoted(text)));
    let text_trimmed = text.trim_matches(' ');
    let digits = text_trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text_trimmed[..digits].parse().map_err(|_| bad("it has to start with a number"))?;
    let unit = text_trimmed[digits..].trim_start_matches(' ');
    let factor = if unit.is_empty() {
        1
    } else {
        UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, f)| *f)
            .ok_or_else(|| bad("unknown unit; use kB, MB, GB, KiB, MiB, GiB, …"))?
    };
    number.checked_mul(factor).ok_or_else(|| bad("it is too large"))
}

/// Bytes that something on a disk may take, as `size` says it; `None` for the empty word: all that there is.
///
/// # Errors
/// `InvalidConfig`: what `parse_bytes` refuses, and less than 1 MiB.
pub fn parse_quota(text: &str) -> Result<Option<u64>, Error> {
    match text {
        "" => Ok(None),
        _ => match parse_bytes(text)? {
            bytes if bytes < LEAST => {
                Err(Error::new(Kind::InvalidConfig, format!("size {}: at least 1MiB", crate::name::quoted(text))))
            }
            bytes => Ok(Some(bytes)),
        },
    }
}

/// Microseconds of processor time in each second: `50%` of one processor, or `25ms/100ms`.
///
/// # Errors
/// `InvalidConfig` when it is neither, or nothing at all.
pub fn parse_cpu(text: &str) -> Result<u64, Error> {
    let bad = || {
        let why = "expected a percentage of one processor, or time in a period, such as 25ms/100ms";
        Error::new(Kind::InvalidConfig, format!("share {}: {why}", crate::name::quoted(text)))
    };
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| (1..=10_000_000).contains(number));
    let share = match (text.strip_suffix('%'), text.split_once('/')) {
        (Some(percent), _) => number(percent).map(|percent| percent * 10_000),
        (None, Some((time, period))) => {
            let milliseconds = |text: &str| text.strip_suffix("ms").and_then(number);
            milliseconds(time).zip(milliseconds(period)).map(|(time, period)| time * 1_000_000 / period)
        }
        (None, None) => None,
    };
    // systemd knows no smaller one.
    share.filter(|share| *share >= 10_000).ok_or_else(bad)
}

/// `bytes` for people, with binary units and two decimals: `1.50GiB`.
pub fn format_bytes(bytes: u64) -> String {
    const STEPS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let step = (63u32.saturating_sub(bytes.max(1).leading_zeros()) / 10) as usize;
    if step == 0 {
        return format!("{bytes}B");
    }
    format!("{:.2}{}", bytes as f64 / (1u64 << (step * 10)) as f64, STEPS[step])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_and_binary_units_differ() {
        assert_eq!(parse_bytes("1GB"), Ok(1_000_000_000));
        assert_eq!(parse_bytes("1GiB"), Ok(1 << 30));
        assert_eq!(parse_bytes("42"), Ok(42));
        assert_eq!(parse_bytes("10 MiB"), Ok(10 << 20));
    }

    #[test]
    fn nonsense_and_overflow_are_refused() {
        for bad in ["", "GiB", "-1", "1.5GiB", "1XB", "99999999999999999999", "16EiB", "1G\n0", "½"] {
            assert_eq!(parse_bytes(bad).map_err(|e| e.kind), Err(Kind::InvalidConfig), "{bad}");
        }
    }

    #[test]
    fn a_quota_is_a_size_that_is_not_tiny_or_none() {
        assert_eq!((parse_quota("1MiB"), parse_quota("")), (Ok(Some(1 << 20)), Ok(None)));
        for bad in ["0", "1MB", "none", " "] {
            assert_eq!(parse_quota(bad).map_err(|e| e.kind), Err(Kind::InvalidConfig), "{bad}");
        }
    }

    #[test]
    fn a_share_of_a_processor_is_a_percentage_or_time_in_a_period() {
        assert_eq!(parse_cpu("50%"), Ok(500_000));
        assert_eq!(parse_cpu("400%"), Ok(4_000_000));
        assert_eq!(parse_cpu("25ms/100ms"), Ok(250_000));
        for bad in ["", "50", "0%", "%", "-5%", "25/100", "25ms/0ms", "25ms", "1ms/1000ms", "fast", "99999999999999999999%"] {
            assert_eq!(parse_cpu(bad).map_err(|e| e.kind), Err(Kind::InvalidConfig), "{bad}");
        }
    }

    #[test]
    fn people_read_binary_units() {
        assert_eq!(format_bytes(0), "0B");
        assert_eq!(format_bytes(1023), "1023B");
        assert_eq!(format_bytes(1 << 20), "1.00MiB");
        assert_eq!(format_bytes(u64::MAX), "16.00EiB");
    }
}
