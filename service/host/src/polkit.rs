//! Polkit as the engine's `Authority`: one `CheckAuthorization` per call, the caller named by its
//! bus name (race-free: the bus knows whose it is). Fails closed. Uses the daemon's client
//! connection to the system bus, which is handed in; called by the engine before every verb.

use crate::polkit_call::{Answer, Call, Refusal};
use async_trait::async_trait;
use futures_util::future::join_all;
use lxhost_engine::ports::{Authority, Caller, Details};
use lxhost_model::{Action, Error, Kind, Result};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zbus::Connection;

/// Most dialogs that may be open for one user at a time.
const DIALOGS: usize = 4;

/// Polkit behind a connection to the bus it is on.
#[derive(Debug)]
pub struct Polkit {
    bus: Connection,
    checks: AtomicU64,
    dialogs: Arc<Mutex<HashMap<u32, usize>>>,
    absence_told: AtomicBool,
    patience: Patience,
}

/// How long an answer is waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    machine: Duration,
    /// Beyond that, while Polkit is being started: a machine that has just booted has much to do.
    start: Duration,
    human: Duration,
}

impl Polkit {
    /// Asks over `bus`, the daemon's client connection to the system bus. Nothing is sent yet.
    pub fn new(bus: Connection) -> Polkit {
        Polkit {
            bus,
            checks: AtomicU64::new(0),
            dialogs: Arc::default(),
            absence_told: AtomicBool::new(false),
            patience: Patience {
                machine: Duration::from_secs(5),
                start: Duration::from_secs(40),
                human: Duration::from_secs(300),
            },
        }
    }

    /// One question, cancelled at Polkit when this future is dropped or loses patience.
    async fn ask(&self, caller: &Caller, action: Action, details: &Details, dialog: bool) -> Result<Answer, Refusal> {
        let number = self.checks.fetch_add(1, Ordering::Relaxed);
        let call = Call { bus: &self.bus, caller: &caller.bus_name, action, details, dialog, number };
        let patience = if dialog { self.patience.human } else { self.patience.machine };
        let mut answer = std::pin::pin!(call.send());
        match tokio::time::timeout(patience, &mut answer).await {
            Ok(answer) => answer,
            Err(_) if !dialog && self.is_starting().await => {
                let patience = patience + self.patience.start;
                tokio::time::timeout(self.patience.start, answer).await.unwrap_or(Err(Refusal::Silence(patience)))
            }
            Err(_) => Err(Refusal::Silence(patience)),
        }
    }

    /// Whether nobody has Polkit's name yet: the bus keeps questions for whoever it starts.
    async fn is_starting(&self) -> bool {
        let Ok(bus) = zbus::fdo::DBusProxy::new(&self.bus).await else { return false };
        let Ok(name) = zbus::names::BusName::try_from(crate::polkit_call::NAME) else { return false };
        let asked = tokio::time::timeout(self.patience.machine, bus.name_has_owner(name)).await;
        matches!(asked, Ok(Ok(false)))
    }

    /// The error for a question that got no answer.
    fn refuse(&self, action: Action, refusal: Refusal) -> Error {
        if matches!(refusal, Refusal::Absent) && !self.absence_told.swap(true, Ordering::Relaxed) {
            tracing::warn!("there is no polkit on the system bus: only root may change anything");
        }
        let id = action.id();
        match refusal {
            Refusal::Absent => {
                Error::new(Kind::AccessDenied, format!("only root may do this ({id}): polkit is not running here"))
            }
            Refusal::Silence(waited) => {
                let seconds = waited.as_secs();
                Error::new(Kind::Timeout, format!("polkit did not answer within {seconds} s about {id}; it was taken as a no"))
            }
            Refusal::Error(why) => Error::new(Kind::AccessDenied, format!("polkit could not decide about {id}: {why}")),
        }
    }

    /// Counts a dialog of `uid` in; out again when the guard is dropped.
    fn open_dialog(&self, uid: u32) -> Result<Dialog> {
        let mut open = locked(&self.dialogs);
        let count = open.entry(uid).or_default();
        if *count >= DIALOGS {
            let message = format!("user {uid} has {DIALOGS} authentication dialogs open; answer those first");
            return Err(Error::new(Kind::LimitsExceeded, message));
        }
        *count += 1;
        Ok(Dialog { open: Arc::clone(&self.dialogs), uid })
    }
}

#[async_trait]
impl Authority for Polkit {
    async fn check(&self, caller: &Caller, action: Action, details: Details) -> Result<()> {
        if caller.uid == 0 {
            return Ok(());
        }
        // First without a dialog: most answers need none, and a hung Polkit shows after seconds.
        let first = self.ask(caller, action, &details, false).await.map_err(|r| self.refuse(action, r))?;
        let answer = match first {
            Answer::Challenge if caller.interactive => {
                let _dialog = self.open_dialog(caller.uid)?;
                self.ask(caller, action, &details, true).await.map_err(|r| self.refuse(action, r))?
            }
            first => first,
        };
        let id = action.id();
        let (kind, message) = match answer {
            Answer::Yes => return Ok(()),
            Answer::No => (Kind::AccessDenied, format!("not allowed: polkit denies {id}")),
            Answer::Dismissed => (Kind::AccessDenied, format!("not allowed: the authentication for {id} was dismissed")),
            Answer::Challenge if caller.interactive => {
                (Kind::InteractiveAuthorizationRequired, format!("{id} needs authentication, and no agent of yours is running"))
            }
            Answer::Challenge => {
                (Kind::InteractiveAuthorizationRequired, format!("{id} needs authentication, and the call allows no dialog"))
            }
        };
        Err(Error::new(kind, message))
    }

    async fn permissions(&self, caller: &Caller) -> Result<Vec<(Action, &'static str)>> {
        let word = async |action: Action| {
            if caller.uid == 0 {
                return Ok((action, "yes"));
            }
            let word = match self.ask(caller, action, &Details::new(), false).await {
                Ok(Answer::Yes) => "yes",
                Ok(Answer::Challenge) => "auth",
                Ok(Answer::No | Answer::Dismissed) | Err(Refusal::Absent | Refusal::Error(_)) => "no",
                Err(refusal @ Refusal::Silence(_)) => return Err(self.refuse(action, refusal)),
            };
            Ok((action, word))
        };
        join_all(Action::ALL.iter().copied().map(word)).await.into_iter().collect()
    }
}

/// An open dialog of a user.
struct Dialog {
    open: Arc<Mutex<HashMap<u32, usize>>>,
    uid: u32,
}

impl Drop for Dialog {
    fn drop(&mut self) {
        let mut open = locked(&self.open);
        match open.get_mut(&self.uid) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.uid)),
        }
    }
}

fn locked(open: &Mutex<HashMap<u32, usize>>) -> MutexGuard<'_, HashMap<u32, usize>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "polkit_tests.rs"]
mod tests;
