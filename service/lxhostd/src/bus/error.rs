//! Errors of the engine as D-Bus errors, by the table of the model.

use lxhost_engine::Error;
use zbus::message::{Header, Message};
use zbus::names::ErrorName;

/// An error reply.
#[derive(Debug)]
pub(crate) struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure(error)
    }
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        Failure(Error::failed(error.to_string()))
    }
}

impl zbus::DBusError for Failure {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&self.0.message)
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_static_str_unchecked(self.0.kind.dbus_name())
    }

    fn description(&self) -> Option<&str> {
        Some(&self.0.message)
    }
}
