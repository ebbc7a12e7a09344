//! A change of a network that waits to be confirmed: what undoes it, and what the host had where it was made. Part of
//! the network's record, so that no end of the daemon loses it. Written and read by the engine; pure.

use crate::{Error, Kind, Network, Timestamp};
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;

/// How long a change waits to be confirmed, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial(Duration);

impl Trial {
    /// Shortest and longest.
    const LIMITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(24 * 3600)];

    /// That many microseconds.
    ///
    /// # Errors
    /// `InvalidArgs` for less than a second and more than a day.
    pub fn of_usec(usec: u64) -> Result<Self, Error> {
        let time = Duration::from_micros(usec);
        match time < Self::LIMITS[0] || time > Self::LIMITS[1] {
            true => Err(Error::new(Kind::InvalidArgs, "a change is undone after at least a second and at most 24 hours (24h)")),
            false => Ok(Trial(time)),
        }
    }

    /// The same in microseconds.
    pub fn usec(self) -> u64 {
        u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX)
    }
}

impl std::str::FromStr for Trial {
    type Err = Error;

    /// `60s`, `2m`, `1h`, or seconds.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            let what = format!("{} is no duration; expected one as 60s, 2m or 1h", crate::name::quoted(text));
            Error::new(Kind::InvalidArgs, what)
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match &text[digits.len()..] {
            "" | "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            _ => return Err(bad()),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let seconds: u64 = digits.parse().map_err(|_| bad())?;
        Trial::of_usec(seconds.saturating_mul(factor).saturating_mul(1_000_000))
    }
}

/// What was done, and so what undoing it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undoes {
    /// The network was made.
    Creation,
    /// It was changed, and was this before.
    Change(Box<Network>),
    /// It was taken from the host; its record stays until that is confirmed.
    Deletion,
}

/// A change that waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checkpoint {
    /// When it is undone.
    pub until: Timestamp,
    /// How long it had in all, microseconds.
    pub within: u64,
    /// What undoing it is.
    pub undoes: Undoes,
    /// Boot of the host that `links` is about.
    pub boot: String,
    /// What the host had on the interfaces that the change may touch.
    pub links: Vec<Footing>,
}

impl Checkpoint {
    /// Time left at `now`: never more than there was, whatever became of the clock.
    pub fn left(&self, now: Timestamp) -> Duration {
        Duration::from_micros(self.until.saturating_sub(now).min(self.within))
    }
}

/// What the host has on one interface.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Footing {
    /// The interface.
    pub name: String,
    /// Whether it is up.
    pub up: bool,
    /// Addresses that others reach.
    pub addresses: Vec<IpNet>,
    /// Routes that somebody made.
    pub routes: Vec<Way>,
}

/// A route by an interface.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Way {
    /// Where it leads.
    pub destination: IpNet,
    /// Router that packets go to first.
    pub gateway: Option<IpAddr>,
    /// Address that the host's own packets have.
    pub source: Option<IpAddr>,
    /// Routing table.
    pub table: u32,
    /// Metric.
    pub metric: u32,
    /// Who made it, as the kernel counts them.
    pub protocol: u8,
    /// Whether the router is on the link though no address says so.
    pub on_link: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_seconds_minutes_or_hours_of_a_day_at_most() {
        for (text, seconds) in [("60s", 60), ("60", 60), ("2m", 120), ("1min", 60), ("24h", 86_400), ("1", 1)] {
            assert_eq!(text.parse::<Trial>().unwrap().usec(), seconds * 1_000_000, "{text}");
        }
        let digits = "9".repeat(40);
        for text in ["", "s", "0", "0s", "-1s", "1.5s", "60 s", "25h", "1d", "soon", "٣s", "18446744073709551615h", &digits] {
            assert_eq!(text.parse::<Trial>().unwrap_err().kind, Kind::InvalidArgs, "{text}");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_gives_no_more_time() {
        let checkpoint = Checkpoint { until: 100, within: 60, undoes: Undoes::Creation, boot: String::new(), links: vec![] };
        let left = |now| checkpoint.left(now).as_micros();
        assert_eq!((left(90), left(100), left(200), left(0)), (10, 0, 0, 60));
    }
}
