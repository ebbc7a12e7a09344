//! What monitor and PID 1 say, in the words and kinds of the API.

use lxhost_contract::Refusal;
use lxhost_model::{Error, Kind};
use rustix::io::Errno;

use crate::monitor::MonitorError;
use crate::units::UnitError;

/// A launch that failed.
pub(super) fn launch_error(machine: &str, error: MonitorError) -> Error {
    let kind = match &error {
        MonitorError::Launch { errno: Errno::NOSPC, .. } => Kind::NoSpace,
        MonitorError::Launch { errno: Errno::DQUOT, .. } => Kind::QuotaExceeded,
        MonitorError::Launch { errno: Errno::OPNOTSUPP, .. } => Kind::Unsupported,
        _ => Kind::Failed,
    };
    Error::new(kind, format!("instance {machine}: {error}"))
}

/// A unit that was not made.
pub(super) fn unit_error(machine: &str, error: UnitError) -> Error {
    let kind = match &error {
        UnitError::Exists { .. } => Kind::AlreadyExists,
        _ => Kind::Failed,
    };
    Error::new(kind, format!("instance {machine}: {error}"))
}

/// A request that was not carried out.
pub(super) fn request_error(machine: &str, error: MonitorError) -> Error {
    let MonitorError::Refused { reason, subject, errno } = &error else {
        let kind = if matches!(error, MonitorError::Gone) { Kind::NotRunning } else { Kind::Failed };
        return Error::new(kind, format!("instance {machine}: {error}"));
    };
    let (kind, what) = match reason {
        Refusal::Frozen => (Kind::InvalidState, "is frozen".to_owned()),
        Refusal::NotRunning => (Kind::NotRunning, "does not run".to_owned()),
        Refusal::NoSuchUser => (Kind::InvalidArgs, format!("there is no user {subject} inside")),
        Refusal::NoSuchGroup => (Kind::InvalidArgs, format!("there is no group {subject} inside")),
        Refusal::NoSuchDirectory => (Kind::InvalidArgs, format!("there is no directory {subject} inside")),
        Refusal::CommandNotFound => (Kind::NoSuchCommand, format!("{subject}: command not found")),
        Refusal::PermissionDenied => (Kind::NotExecutable, format!("{subject}: {errno}")),
        Refusal::NoSuchSession => (Kind::NoSuchExec, format!("there is no command {subject}")),
        Refusal::Duplicate => (Kind::AlreadyExists, format!("command {subject} exists already")),
        Refusal::TooMany => (Kind::TooManyOperations, format!("too many {subject}")),
        Refusal::Invalid => (Kind::InvalidArgs, subject.clone()),
        Refusal::Unsupported => (Kind::Unsupported, "its monitor is older than the daemon and cannot do this".to_owned()),
        Refusal::Failed if *errno == Errno::OPNOTSUPP => (Kind::Unsupported, format!("{subject}: {errno}")),
        Refusal::Failed => (Kind::Failed, format!("{subject}: {errno}")),
    };
    Error::new(kind, format!("instance {machine}: {what}"))
}
