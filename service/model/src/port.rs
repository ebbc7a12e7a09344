//! Ports as keys name them: `80,8000-8100`. Pure; called by the nouns that have ports.

use crate::name::quoted;
use crate::{Error, Kind};
use std::ops::RangeInclusive;

/// Most items of one list.
const MAX_ITEMS: usize = 100;

fn bad(why: String) -> Error {
    Error::new(Kind::InvalidConfig, why)
}

/// The items of a list, separated by commas.
pub(crate) fn items<'a>(key: &str, text: &'a str) -> Result<Vec<&'a str>, Error> {
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    if items.len() > MAX_ITEMS { Err(bad(format!("{key} has more than {MAX_ITEMS} items"))) } else { Ok(items) }
}

/// Ports and ranges of ports, as they are listed; 0 is none.
///
/// # Errors
/// `InvalidConfig`, naming the key.
pub fn ranges(key: &str, text: &str) -> Result<Vec<RangeInclusive<u16>>, Error> {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    let range = |item: &str| match item.split_once('-') {
        None => port(item).map(|port| port..=port),
        Some((first, last)) => {
            port(first).zip(port(last)).filter(|(first, last)| first <= last).map(|(first, last)| first..=last)
        }
    };
    let read = |item: &str| {
        range(item).ok_or_else(|| bad(format!("{key} {}: expected a port from 1 to 65535, or FIRST-LAST", quoted(item))))
    };
    items(key, text)?.into_iter().map(read).collect()
}
