//! The record of a simulated container.

use super::session::Handle;
use lxhost_engine::ports::{LaunchSpec, Running};
use lxhost_model::{Error, Kind, ObjectId, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// All of them.
pub(super) type Guests = BTreeMap<ObjectId, Guest>;

/// One of them. Dropping it kills its sessions.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) spec: LaunchSpec,
    pub(super) running: Running,
    pub(super) sessions: BTreeMap<u32, Handle>,
    pub(super) console: Arc<Mutex<Vec<u8>>>,
    /// Shuts down when it is thawed.
    pub(super) asked_to_stop: bool,
}

impl Guest {
    /// A guest that was just started. Its leader is this very process: there is no other.
    pub(super) fn new(spec: LaunchSpec) -> Guest {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        let running = Running {
            leader: std::process::id(),
            ready: false,
            frozen: false,
            since,
            addresses: Vec::new(),
            sessions: Vec::new(),
        };
        Guest { spec, running, sessions: BTreeMap::new(), console: Arc::default(), asked_to_stop: false }
    }

    /// What an adopting daemon learns.
    pub(super) fn now(&self) -> Running {
        Running { sessions: self.sessions.keys().copied().collect(), ..self.running.clone() }
    }

    pub(super) fn session(&self, session: u32) -> Result<&Handle> {
        let gone = || Error::new(Kind::NoSuchExec, format!("command {session} of {} has ended", self.spec.machine));
        self.sessions.get(&session).ok_or_else(gone)
    }
}
