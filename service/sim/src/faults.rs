//! What goes wrong on purpose, and a log of what was called: how tests look at the order of steps
//! and their undoing. Every port's changing methods pass through [`Faults::pass`].

use crate::locked;
use lxhost_model::{Error, Result};
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

/// Most calls remembered.
const REMEMBERED: usize = 10_000;

/// Errors to come and calls so far. Calls have names such as `launcher.launch`.
#[derive(Debug, Default)]
pub struct Faults {
    coming: Mutex<HashMap<String, VecDeque<Error>>>,
    calls: Mutex<VecDeque<String>>,
}

impl Faults {
    /// Makes the next call of that name fail; again for the one after it.
    pub fn fail(&self, call: &str, error: Error) {
        locked(&self.coming).entry(call.to_owned()).or_default().push_back(error);
    }

    /// Names of the calls so far, oldest first, and forgets them.
    pub fn take_calls(&self) -> Vec<String> {
        locked(&self.calls).drain(..).collect()
    }

    /// A call takes place.
    pub(crate) fn pass(&self, call: &str) -> Result<()> {
        let mut calls = locked(&self.calls);
        if calls.len() == REMEMBERED {
            calls.pop_front();
        }
        calls.push_back(call.to_owned());
        match locked(&self.coming).get_mut(call).and_then(VecDeque::pop_front) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
