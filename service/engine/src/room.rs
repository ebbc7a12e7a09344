//! How much room pools have: what cannot fit is refused with numbers before any of it is made, and a pool that gets full
//! is warned of, once. Called by steps that know how much they are going to need, by `tend` and by skins.

use crate::core::Core;
use crate::event::Event;
use crate::ports::{Check, State, Usage};
use crate::{Engine, Error, Kind, Ports, Result, pool};
use lxhost_model::size::format_bytes;
use lxhost_model::{ObjectId, Pool};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// A pool gets full. In the catalog, `units/catalog/lxhost.catalog`.
const TIGHT: &str = "6d0c9a4e2b7f4c1a8f35e1d7b0a94c62";
/// Percent of a pool from which on it is warned of, and below which that may be done anew.
const FULL: u64 = 90;
const FREE_AGAIN: u64 = 85;
/// Most bytes that nothing known beforehand may take: guests write, and what makes room needs some. Of a small pool a
/// part of that.
const RESERVE: u64 = 64 << 20;
const PART: u64 = 50;
/// Jobs that end together are followed by one look.
const PAUSE: Duration = Duration::from_secs(5);

/// Bytes of a file system that are kept in reserve.
fn reserve(usage: Usage) -> u64 {
    RESERVE.min(usage.total / PART)
}

/// Percent that are taken.
fn percent(usage: Usage) -> u64 {
    let taken = usage.total.saturating_sub(usage.free);
    u64::try_from(u128::from(taken) * 100 / u128::from(usage.total.max(1))).unwrap_or(100)
}

/// Refuses what needs more bytes than a pool has, if it says how many it has.
///
/// # Errors
/// `NoSpace`, with the numbers.
pub(crate) async fn fits(ports: &Ports, pool: &Pool, bytes: u64, what: &str) -> Result<()> {
    let usage = ports.pools.driver(&pool.driver)?.usage(pool).await?;
    match bytes > usage.free.saturating_sub(reserve(usage)) {
        true => Err(no_room(usage, pool, bytes, what)),
        false => Ok(()),
    }
}

fn no_room(usage: Usage, pool: &Pool, bytes: u64, what: &str) -> Error {
    let [needed, free, kept] = [bytes, usage.free, reserve(usage)].map(format_bytes);
    let text = format!("pool {}: {what} takes {needed} or more; {free} are free, {kept} of them kept in reserve", pool.name);
    Error::new(Kind::NoSpace, text)
}

impl Engine {
    /// A finding about each pool for `lxctl doctor`: how full it is.
    pub async fn pool_checks(&self) -> Vec<Check> {
        let (state, mut checks) = (self.state(), vec![]);
        for found in state.pools.values() {
            let name = format!("pool {}", found.name);
            checks.push(match pool::usage(&state, self.ports(), found.id).await {
                Ok(usage) if percent(usage) >= FULL => Check::warn(&name, taken(usage), hint(&state, found)),
                Ok(usage) => Check::ok(&name, taken(usage)),
                Err(error) => Check::fail(&name, error.message, format!("lxctl storage show {} says where it lies", found.name)),
            });
        }
        checks.sort_by(|one, other| one.name.cmp(&other.name));
        checks
    }
}

fn taken(usage: Usage) -> String {
    let [free, total] = [usage.free, usage.total].map(format_bytes);
    format!("{}% of {total} are taken, {free} are free", percent(usage))
}

/// What makes room.
fn hint(state: &State, pool: &Pool) -> String {
    match state.trash.values().any(|one| *one.what.pool() == pool.name) {
        true => format!("lxctl trash empty {} gives back what was deleted", pool.name),
        false => "delete what is not needed: lxctl image list, lxctl snapshot list INSTANCE".to_owned(),
    }
}

/// Looks at the pools whenever something was done, for as long as there are events.
pub(crate) async fn run(core: Arc<Core>, mut events: Receiver<Event>) {
    loop {
        look(&core).await;
        tokio::time::sleep(PAUSE).await;
        // What has happened meanwhile has been waiting.
        loop {
            match events.recv().await {
                Ok(Event::JobEnded(_)) | Err(RecvError::Lagged(_)) => break,
                Ok(_) => {}
                Err(RecvError::Closed) => return,
            }
        }
        while let Ok(_) | Err(tokio::sync::broadcast::error::TryRecvError::Lagged(_)) = events.try_recv() {}
    }
}

/// Warns of pools that are full by now and were not at the last look.
pub(crate) async fn look(core: &Core) {
    let state = core.state();
    let mut usages: Vec<(&Arc<Pool>, Usage)> = vec![];
    // What is not mounted is not mounted for a look.
    for found in state.pools.values().filter(|found| core.ports.filesystems.is_here(found)) {
        let Ok(driver) = core.ports.pools.driver(&found.driver) else { continue };
        if let Ok(usage) = driver.usage(found).await {
            usages.push((found, usage));
        }
    }
    let mut known = core.tight.lock().unwrap_or_else(PoisonError::into_inner);
    for (found, usage) in usages {
        if is_news(&mut known, found.id, percent(usage)) {
            tracing::warn!(
                MESSAGE_ID = TIGHT,
                LXHOST_POOL = %found.name,
                "pool {} is nearly full: {}; {}",
                found.name,
                taken(usage),
                hint(&state, found)
            );
        }
    }
}

/// Whether it is to be warned of a pool that is so full.
fn is_news(known: &mut BTreeSet<ObjectId>, pool: ObjectId, percent: u64) -> bool {
    match percent {
        FULL.. => known.insert(pool),
        FREE_AGAIN.. => false,
        _ => {
            known.remove(&pool);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_warned_of_once_until_it_has_room_again() {
        let (mut known, pool) = (BTreeSet::new(), ObjectId::from_random([1; 16]));
        let mut news = |percent| is_news(&mut known, pool, percent);
        assert_eq!([89, 90, 99, 89, 91, 84, 90].map(&mut news), [false, true, false, false, false, false, true]);
    }

    #[test]
    fn shares_are_of_what_there_is() {
        let usage = |total, free| Usage { total, free };
        assert_eq!(
            [(0, 0), (100, 100), (100, 10), (u64::MAX, 0)].map(|(total, free)| percent(usage(total, free))),
            [0, 0, 90, 100]
        );
        assert_eq!([100 << 20, 1 << 40].map(|total| reserve(usage(total, 0))), [2 << 20, 64 << 20]);
    }
}
