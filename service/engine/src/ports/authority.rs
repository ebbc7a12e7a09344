//! Who may do what: one question per call, answered by Polkit on a real host.

use async_trait::async_trait;
use lxhost_model::{Action, Result};

/// Who asks, as the bus tells it. Never taken from the message's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Unique bus name, the race-free Polkit subject.
    pub bus_name: String,
    /// User id behind that name.
    pub uid: u32,
    /// Whether the caller allows a dialog (`ALLOW_INTERACTIVE_AUTHORIZATION`).
    pub interactive: bool,
}

/// What rules may look at: `instance`, `project`, `verb`, `privileged` and the like.
pub type Details = Vec<(&'static str, String)>;

/// Decides calls. Fails closed: no answer in time is a no.
#[async_trait]
pub trait Authority: Send + Sync {
    /// Whether `caller` may do `action`. uid 0 is always allowed and not asked about.
    ///
    /// # Errors
    /// `AccessDenied`; `InteractiveAuthorizationRequired` when a dialog would be needed and is not
    /// allowed (the message names the action); `Timeout` when the service does not answer.
    async fn check(&self, caller: &Caller, action: Action, details: Details) -> Result<()>;

    /// Every action with `yes`, `no` or `auth` for `caller`, without asking anybody.
    async fn permissions(&self, caller: &Caller) -> Result<Vec<(Action, &'static str)>>;
}
