//! Who may do what, by a table that tests fill in.

use crate::locked;
use async_trait::async_trait;
use lxhost_engine::ports::{Authority, Caller, Details};
use lxhost_model::{Action, Error, Kind, Result};
use std::collections::HashMap;
use std::sync::Mutex;
use tokio::sync::watch;

/// What the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// Allowed.
    Yes,
    /// Denied.
    No,
    /// Allowed after a dialog, which somebody answers right away; denied when no dialog is allowed.
    Auth,
}

/// A question that was asked: who, what, and the details.
pub type Asked = (Caller, Action, Details);

/// Everybody may do everything, unless a rule says otherwise.
#[derive(Debug, Default)]
pub struct SimAuthority {
    rules: Mutex<HashMap<(u32, Action), Ruling>>,
    asked: Mutex<Vec<Asked>>,
    /// Whether answers wait, as for somebody who looks for a password.
    waits: watch::Sender<bool>,
}

impl SimAuthority {
    /// Sets what `uid` may do about `action`.
    pub fn rule(&self, uid: u32, action: Action, ruling: Ruling) {
        locked(&self.rules).insert((uid, action), ruling);
    }

    /// Lets answers wait from now on, or gives those that wait.
    pub fn hold(&self, waits: bool) {
        self.waits.send_replace(waits);
    }

    /// The questions so far, oldest first, and forgets them. Root is not asked about.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut locked(&self.asked))
    }

    fn ruling(&self, caller: &Caller, action: Action) -> Ruling {
        match caller.uid {
            0 => Ruling::Yes,
            uid => locked(&self.rules).get(&(uid, action)).copied().unwrap_or(Ruling::Yes),
        }
    }
}

#[async_trait]
impl Authority for SimAuthority {
    async fn check(&self, caller: &Caller, action: Action, details: Details) -> Result<()> {
        if caller.uid != 0 {
            locked(&self.asked).push((caller.clone(), action, details));
            // The sender lives as long as we do.
            let _ = self.waits.subscribe().wait_for(|waits| !waits).await;
        }
        let id = action.id();
        match self.ruling(caller, action) {
            Ruling::Yes => Ok(()),
            Ruling::Auth if caller.interactive => Ok(()),
            Ruling::Auth => Err(Error::new(Kind::InteractiveAuthorizationRequired, format!("{id} needs authentication"))),
            Ruling::No => Err(Error::new(Kind::AccessDenied, format!("not allowed: {id}"))),
        }
    }

    async fn permissions(&self, caller: &Caller) -> Result<Vec<(Action, &'static str)>> {
        let word = |action: &Action| match self.ruling(caller, *action) {
            Ruling::Yes => (*action, "yes"),
            Ruling::No => (*action, "no"),
            Ruling::Auth => (*action, "auth"),
        };
        Ok(Action::ALL.iter().map(word).collect())
    }
}
