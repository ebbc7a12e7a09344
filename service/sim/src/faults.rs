//! What goes wrong on purpose, and a log of what was called: how tests look at the order of steps
//! and their undoing. Every port's changing methods pass through [`Faults::pass`].

use crate::locked;
use lxhost_model::{Error, Result};
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use tokio::sync::Notify;

/// Most calls remembered.
const REMEMBERED: usize = 10_000;

/// Errors to come and calls so far. Calls have names such as `launcher.launch`.
#[derive(Debug, Default)]
pub struct Faults {
    coming: Mutex<HashMap<String, VecDeque<Error>>>,
    calls: Mutex<VecDeque<String>>,
    ahead: Mutex<Ahead>,
    crashed: Notify,
}

/// What happens to calls by their number, whatever their names.
#[derive(Debug, Default)]
enum Ahead {
    #[default]
    Nothing,
    /// After so many calls one fails.
    Failure(usize, Error),
    /// After so many calls the daemon is dead: no call reaches the world any more.
    Crash(usize),
}

impl Faults {
    /// Makes the next call of that name fail; again for the one after it.
    pub fn fail(&self, call: &str, error: Error) {
        locked(&self.coming).entry(call.to_owned()).or_default().push_back(error);
    }

    /// Makes one call fail, the one after `calls` more of any name.
    pub fn fail_after(&self, calls: usize, error: Error) {
        *locked(&self.ahead) = Ahead::Failure(calls, error);
    }

    /// Lets the daemon die at a call, the one after `calls` more of any name: that call and all that follow
    /// never return, and change nothing. Their tasks are unwound, as if they had never been.
    pub fn crash_after(&self, calls: usize) {
        *locked(&self.ahead) = Ahead::Crash(calls);
    }

    /// Waits until the daemon has died.
    pub async fn crashed(&self) {
        self.crashed.notified().await;
    }

    /// A new daemon may reach the world.
    pub fn revive(&self) {
        *locked(&self.ahead) = Ahead::Nothing;
    }

    /// Names of the calls so far, oldest first, and forgets them.
    pub fn take_calls(&self) -> Vec<String> {
        locked(&self.calls).drain(..).collect()
    }

    /// A call takes place.
    pub(crate) fn pass(&self, call: &str) -> Result<()> {
        self.remember(call);
        self.step()?;
        match locked(&self.coming).get_mut(call).and_then(VecDeque::pop_front) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn remember(&self, call: &str) {
        let mut calls = locked(&self.calls);
        if calls.len() == REMEMBERED {
            calls.pop_front();
        }
        calls.push_back(call.to_owned());
    }

    fn step(&self) -> Result<()> {
        let mut ahead = locked(&self.ahead);
        match &mut *ahead {
            Ahead::Nothing => Ok(()),
            Ahead::Failure(left @ 1.., _) | Ahead::Crash(left @ 1..) => {
                *left -= 1;
                Ok(())
            }
            Ahead::Failure(0, error) => {
                let error = error.clone();
                *ahead = Ahead::Nothing;
                Err(error)
            }
            Ahead::Crash(0) => {
                self.crashed.notify_one();
                drop(ahead);
                // Not a panic: nobody is to be told, and no hook is to run.
                std::panic::resume_unwind(Box::new("the daemon has died"))
            }
        }
    }
}
