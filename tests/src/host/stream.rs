//! What a program in a host has written so far, filled by whoever carries it and awaited by whoever
//! asked. Depends on nothing. Called by `running` and by the machines.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};

/// How long output may stay open after a program's end before that is an error of its own.
const HELD_LIMIT: Duration = Duration::from_secs(15);

/// The output of a program, as far as it is known, and whether that is all.
#[derive(Debug, Clone, Default)]
pub(super) struct Stream(Arc<(Mutex<Written>, Condvar)>);

/// The bytes, and whether they are all.
type Written = (Vec<u8>, bool);

impl Stream {
    /// Fills itself from a pipe, in a thread of its own.
    pub(super) fn read(mut from: impl Read + Send + 'static) -> Self {
        let stream = Self::default();
        let filled = stream.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                filled.push(&buffer[..read]);
            }
            filled.close();
        });
        stream
    }

    /// Adds bytes.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.extend_from_slice(bytes);
        self.0.1.notify_all();
    }

    /// Says that there will be no more.
    pub(super) fn close(&self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = true;
        self.0.1.notify_all();
    }

    /// What there is.
    pub(super) fn text(&self) -> String {
        let state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&state.0).into_owned()
    }

    /// All of it, or nothing when somebody holds it open.
    pub(super) fn whole(&self) -> Option<Vec<u8>> {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut state, timeout) =
            changed.wait_timeout_while(state, HELD_LIMIT, |state| !state.1).unwrap_or_else(PoisonError::into_inner);
        (!timeout.timed_out()).then(|| std::mem::take(&mut state.0))
    }

    /// Waits until it contains `text`, and gives what there is.
    pub(super) fn until(&self, text: &str, limit: Duration) -> Result<String> {
        let said = |state: &Written| String::from_utf8_lossy(&state.0).contains(text);
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, _) =
            changed.wait_timeout_while(state, limit, |state| !said(state) && !state.1).unwrap_or_else(PoisonError::into_inner);
        let output = String::from_utf8_lossy(&state.0).into_owned();
        if said(&state) { Ok(output) } else { bail!("the output has no {text:?}: {output:?}") }
    }
}
