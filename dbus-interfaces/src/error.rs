//! Errors of a call, back into the kinds of the model.

use lxhost_model::{Error, Kind};

/// What `error` says, as an error of the model: our own names by the table, everything else
/// (no daemon, no bus, a bug) as `Failed`.
pub fn error_kind(error: &zbus::Error) -> Error {
    match error {
        zbus::Error::MethodError(name, text, _) => {
            let kind = Kind::from_dbus_name(name.as_str()).unwrap_or(match name.as_str() {
                "org.freedesktop.DBus.Error.NoReply" | "org.freedesktop.DBus.Error.Timeout" => Kind::Timeout,
                _ => Kind::Failed,
            });
            let message = text.clone().unwrap_or_else(|| name.to_string());
            Error::new(kind, message)
        }
        zbus::Error::FDO(inner) => fdo(inner),
        other => Error::failed(other.to_string()),
    }
}

fn fdo(error: &zbus::fdo::Error) -> Error {
    use zbus::fdo;
    match error {
        fdo::Error::AccessDenied(text) => Error::new(Kind::AccessDenied, text.clone()),
        fdo::Error::InteractiveAuthorizationRequired(text) => Error::new(Kind::InteractiveAuthorizationRequired, text.clone()),
        fdo::Error::InvalidArgs(text) => Error::new(Kind::InvalidArgs, text.clone()),
        fdo::Error::LimitsExceeded(text) => Error::new(Kind::LimitsExceeded, text.clone()),
        fdo::Error::ZBus(inner) => error_kind(inner),
        other => Error::failed(other.to_string()),
    }
}
