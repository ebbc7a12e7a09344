//! A failed command: one line for people, an exit status, and often a hint.
//!
//! Errors of the API keep the kind the daemon gave; the exit status comes from the model's table.

use lxhost_model::{Error, Kind};
use std::fmt;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Exit status.
    pub(crate) code: u8,
    /// One line; empty when everything was said already.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// Kind, when the API gave one.
    pub(crate) kind: Option<Kind>,
}

impl Failure {
    /// Wrong usage: exit status 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure { code: 2, message: message.into(), hint: None, kind: None }
    }

    /// A failure of `kind`.
    pub(crate) fn of(kind: Kind, message: impl Into<String>) -> Self {
        Failure { code: kind.exit_code(), message: message.into(), hint: None, kind: Some(kind) }
    }

    /// Ends with `code`; the reasons were printed before.
    pub(crate) fn said(code: u8) -> Self {
        Failure { code, message: String::new(), hint: None, kind: None }
    }

    /// An error of the operating system while doing `what`.
    pub(crate) fn io(what: impl fmt::Display, source: &std::io::Error) -> Self {
        Error::io(what, source).into()
    }

    /// The same with a hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with `what` in front: "what: message".
    pub(crate) fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Prints `Error: …` and the hint to standard error.
    pub(crate) fn report(&self) {
        if !self.message.is_empty() {
            eprintln!("Error: {}", crate::render::printable(&self.message));
        }
        if let Some(hint) = &self.hint {
            eprintln!("Hint: {}", crate::render::printable(hint));
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = hint(&error);
        Failure { code: error.kind.exit_code(), message: error.message, hint, kind: Some(error.kind) }
    }
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        match unreachable(&error) {
            Some(why) => Failure::of(Kind::Failed, format!("lxhostd does not answer: {why}"))
                .hint("systemctl status lxhostd says why; systemctl start lxhostd starts it"),
            None => lxhost_dbus::error_kind(&error).into(),
        }
    }
}

impl From<zbus::fdo::Error> for Failure {
    fn from(error: zbus::fdo::Error) -> Self {
        zbus::Error::FDO(Box::new(error)).into()
    }
}

/// Why no daemon answered, if that is what `error` says.
fn unreachable(error: &zbus::Error) -> Option<String> {
    use zbus::fdo::Error as Fdo;
    match error {
        zbus::Error::FDO(inner) => match &**inner {
            Fdo::ServiceUnknown(_) | Fdo::NameHasNoOwner(_) => Some("nobody owns org.lxhost1 on this bus".into()),
            Fdo::NoReply(text) | Fdo::Disconnected(text) => Some(text.clone()),
            Fdo::SpawnExecFailed(text)
            | Fdo::SpawnForkFailed(text)
            | Fdo::SpawnChildExited(text)
            | Fdo::SpawnChildSignaled(text)
            | Fdo::SpawnFailed(text)
            | Fdo::SpawnServiceNotFound(text) => Some(text.clone()),
            Fdo::ZBus(inner) => unreachable(inner),
            _ => None,
        },
        // systemd's answers to a bus activation it refuses.
        zbus::Error::MethodError(name, text, _) if name.as_str().starts_with("org.freedesktop.systemd1.") => {
            Some(text.clone().unwrap_or_else(|| name.to_string()))
        }
        zbus::Error::InputOutput(source) => Some(source.to_string()),
        _ => None,
    }
}

/// What helps, by kind.
fn hint(error: &Error) -> Option<String> {
    let hint = match error.kind {
        Kind::NoSuchInstance => "lxctl list shows the instances",
        Kind::NoSuchImage => "lxctl image list shows the images here, lxctl image list debian: what can be had",
        Kind::NoSuchNetwork => "lxctl network list shows the networks",
        Kind::NoSuchAcl => "lxctl network acl list shows the ACLs, lxctl network acl create makes one",
        Kind::NoSuchPool => "lxctl storage list shows the pools",
        Kind::NoSuchProfile => "lxctl profile list shows the profiles",
        Kind::NoSuchJob => "lxctl operation list shows what is under way",
        Kind::GenerationMismatch => "somebody else changed it meanwhile: look at it and try again",
        Kind::Busy => "lxctl operation list shows what is under way",
        Kind::NoSpace => "df /var/lib/lxhost shows the room; lxctl delete and lxctl image delete make some",
        Kind::AccessDenied | Kind::InteractiveAuthorizationRequired => return Some(authority(&error.message)),
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Who may do what the message's action guards.
fn authority(message: &str) -> String {
    let action = message
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-')))
        .find(|word| word.starts_with("org.lxhost1."))
        .map(|word| word.trim_end_matches('.'));
    let root = ["-privileged", "physical", ".storage.manage-pools", ".daemon."];
    match action {
        Some(action) if root.iter().any(|part| action.contains(part)) => {
            format!("{action} equals root on this host: run it with sudo, or as a member of group lxhost-admin")
        }
        Some(action) => format!("members of group lxhost may ({action}): sudo usermod -aG lxhost $USER, then log in again"),
        None => "members of group lxhost may use instances: sudo usermod -aG lxhost $USER, then log in again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_action_and_who_may() {
        let refused = |text: &str| Failure::from(Error::new(Kind::AccessDenied, text));
        let failure = refused("starting c1 needs org.lxhost1.instance.operate.");
        assert_eq!(failure.code, 6);
        let hint = failure.hint.unwrap();
        assert!(hint.contains("(org.lxhost1.instance.operate)") && hint.contains("group lxhost may"), "{hint}");
        let hint = refused("needs (org.lxhost1.instance.configure-privileged)").hint.unwrap();
        assert!(hint.contains("sudo") && hint.contains("lxhost-admin"), "{hint}");
    }

    #[test]
    fn a_missing_daemon_is_told_apart_from_a_failed_call() {
        let gone = zbus::Error::FDO(Box::new(zbus::fdo::Error::ServiceUnknown("x".into())));
        assert!(Failure::from(gone).hint.unwrap().contains("systemctl status lxhostd"));
        let denied = zbus::Error::FDO(Box::new(zbus::fdo::Error::InvalidArgs("bad".into())));
        assert_eq!(Failure::from(denied).code, 2);
    }
}
