//! What is known of instances that run: leader, sub-state, addresses, and the end when it comes.
//! Memory only; adopted anew when the daemon starts.

use crate::ports::Running;
use crate::{Error, Kind, Result};
use lxhost_model::instance::Exit;
use lxhost_model::{ObjectId, Timestamp};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;

/// How far a running guest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubState {
    /// Its init runs and has not said READY.
    Booting,
    /// Its init has said READY.
    Ready,
    /// It is shutting down.
    Stopping,
}

impl SubState {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            SubState::Booting => "booting",
            SubState::Ready => "ready",
            SubState::Stopping => "stopping",
        }
    }
}

/// A running instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Process id of its init on the host.
    pub leader: u32,
    /// How far it is.
    pub sub_state: SubState,
    /// When it was started.
    pub since: Timestamp,
    /// Addresses inside, by interface.
    pub addresses: Vec<(String, IpAddr)>,
    /// How it ended, once it has and nobody has dealt with it yet.
    pub exit: Option<Exit>,
}

impl Live {
    /// Adds what the launch returned to what events have told before.
    fn confirm(&mut self, launched: Live) {
        if self.sub_state == SubState::Booting {
            self.sub_state = launched.sub_state;
        }
        if self.addresses.is_empty() {
            self.addresses = launched.addresses;
        }
        self.leader = launched.leader;
        self.since = launched.since;
    }
}

/// Running instances by id.
#[derive(Default)]
pub(crate) struct LiveTable {
    entries: RwLock<BTreeMap<ObjectId, watch::Sender<Live>>>,
}

impl LiveTable {
    pub(crate) fn get(&self, id: ObjectId) -> Option<Live> {
        self.read().get(&id).map(|live| live.borrow().clone())
    }

    pub(crate) fn insert(&self, id: ObjectId, running: &Running) {
        let sub_state = if running.ready { SubState::Ready } else { SubState::Booting };
        let addresses = running.addresses.clone();
        let live = Live { leader: running.leader, sub_state, since: running.since, addresses, exit: None };
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        // READY or the end may have been told before the launch returned: they are kept.
        let early = entries.get(&id).filter(|entry| entry.borrow().leader == 0);
        match early {
            Some(entry) => entry.send_modify(|early| early.confirm(live)),
            None => drop(entries.insert(id, watch::channel(live).0)),
        }
    }

    /// Makes room for events that come before the launch has returned.
    pub(crate) fn expect(&self, id: ObjectId) {
        let early = Live { leader: 0, sub_state: SubState::Booting, since: 0, addresses: vec![], exit: None };
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(id, watch::channel(early).0);
    }

    pub(crate) fn remove(&self, id: ObjectId) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Changes an entry; `false` when there is none.
    pub(crate) fn update(&self, id: ObjectId, change: impl FnOnce(&mut Live)) -> bool {
        match self.read().get(&id) {
            Some(live) => {
                live.send_modify(change);
                true
            }
            None => false,
        }
    }

    /// Waits until it has ended; at once when it does not run.
    pub(crate) async fn ended(&self, id: ObjectId, limit: Option<Duration>) -> Result<()> {
        let Some(mut live) = self.read().get(&id).map(watch::Sender::subscribe) else { return Ok(()) };
        let ended = live.wait_for(|live| live.exit.is_some());
        match limit {
            None => drop(ended.await),
            Some(limit) => {
                let late = || Error::new(Kind::Timeout, format!("the guest did not stop within {} s", limit.as_secs()));
                drop(tokio::time::timeout(limit, ended).await.map_err(|_| late())?);
            }
        }
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<ObjectId, watch::Sender<Live>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}
