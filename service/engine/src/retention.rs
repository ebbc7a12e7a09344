//! What has ended and can still be asked for a while: at most so many, the oldest go first. One task waits for all of
//! a kind; a task for each would take more memory than what it keeps. Called by jobs and commands.

use crate::core::Core;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Ended things of one kind by number.
pub(crate) struct Ended {
    most: usize,
    time: Duration,
    /// Removes one, if it is still there.
    forget: fn(&Core, u32),
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// With the time of their end.
    queue: VecDeque<(Instant, u32)>,
    /// Whether the task is there that waits for the first of them.
    watched: bool,
}

impl Ended {
    /// Keeps `most` for `time`, then calls `forget`.
    pub(crate) fn new(most: usize, time: Duration, forget: fn(&Core, u32)) -> Self {
        Ended { most, time, forget, kept: Mutex::default() }
    }

    fn locked(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps `number`. `of` finds this in the core again.
    pub(crate) fn keep(&self, core: &Arc<Core>, number: u32, of: fn(&Core) -> &Ended) {
        let (excess, watched) = {
            let mut kept = self.locked();
            kept.queue.push_back((Instant::now(), number));
            let over = kept.queue.len().saturating_sub(self.most);
            let excess: Vec<u32> = kept.queue.drain(..over).map(|(_, number)| number).collect();
            (excess, std::mem::replace(&mut kept.watched, true))
        };
        excess.into_iter().for_each(|number| (self.forget)(core, number));
        if !watched {
            tokio::spawn(watch(Arc::downgrade(core), of));
        }
    }

    /// Takes the first whose time is over, or says until when there is none; `None` ends the watch.
    fn next(&self) -> Option<Result<u32, Instant>> {
        let mut kept = self.locked();
        let Some((ended, number)) = kept.queue.front().copied() else {
            kept.watched = false;
            return None;
        };
        let due = ended + self.time;
        if due > Instant::now() {
            return Some(Err(due));
        }
        kept.queue.pop_front();
        Some(Ok(number))
    }
}

async fn watch(core: Weak<Core>, of: fn(&Core) -> &Ended) {
    loop {
        let due = {
            let Some(core) = core.upgrade() else { return };
            match of(&core).next() {
                None => return,
                Some(Err(due)) => due,
                Some(Ok(number)) => {
                    (of(&core).forget)(&core, number);
                    continue;
                }
            }
        };
        tokio::time::sleep_until(due).await;
    }
}
