//! Error kinds of the API: one table from kind to D-Bus name and to exit code of `lxctl`.
//!
//! A message is one English line that names the object; the kind is what programs look at.

use std::fmt;

/// Prefix of our own D-Bus error names.
pub const DBUS_PREFIX: &str = "org.lxhost1.Error.";

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $name:literal, $exit:literal;)*) => {
        /// What went wrong, as a program sees it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)*];

            /// Full D-Bus error name.
            pub fn dbus_name(self) -> &'static str {
                match self { $(Kind::$kind => $name,)* }
            }

            /// Exit status of `lxctl` when a command fails with this kind.
            pub fn exit_code(self) -> u8 {
                match self { $(Kind::$kind => $exit,)* }
            }
        }
    };
}

kinds! {
    /// Anything that has no kind of its own.
    Failed => "org.lxhost1.Error.Failed", 1;
    /// No instance of that name or id.
    NoSuchInstance => "org.lxhost1.Error.NoSuchInstance", 3;
    /// No image of that alias or fingerprint.
    NoSuchImage => "org.lxhost1.Error.NoSuchImage", 3;
    /// No network of that name.
    NoSuchNetwork => "org.lxhost1.Error.NoSuchNetwork", 3;
    /// No network ACL of that name.
    NoSuchAcl => "org.lxhost1.Error.NoSuchAcl", 3;
    /// No forward of that listen address.
    NoSuchForward => "org.lxhost1.Error.NoSuchForward", 3;
    /// No load balancer of that listen address.
    NoSuchLoadBalancer => "org.lxhost1.Error.NoSuchLoadBalancer", 3;
    /// No pool of that name.
    NoSuchPool => "org.lxhost1.Error.NoSuchPool", 3;
    /// No volume of that name.
    NoSuchVolume => "org.lxhost1.Error.NoSuchVolume", 3;
    /// Nothing of that name or id is in the trash.
    NoSuchTrash => "org.lxhost1.Error.NoSuchTrash", 3;
    /// No profile of that name.
    NoSuchProfile => "org.lxhost1.Error.NoSuchProfile", 3;
    /// No snapshot of that name.
    NoSuchSnapshot => "org.lxhost1.Error.NoSuchSnapshot", 3;
    /// No device of that name.
    NoSuchDevice => "org.lxhost1.Error.NoSuchDevice", 3;
    /// The job is unknown or ended more than a minute ago.
    NoSuchJob => "org.lxhost1.Error.NoSuchJob", 3;
    /// The exec session is unknown or was collected.
    NoSuchExec => "org.lxhost1.Error.NoSuchExec", 3;
    /// Nothing at that path in a volume.
    NoSuchFile => "org.lxhost1.Error.NoSuchFile", 3;
    /// The guest has no such command; the exit status is a shell's.
    NoSuchCommand => "org.lxhost1.Error.NoSuchCommand", 127;
    /// The guest's command is there and cannot be run; the exit status is a shell's.
    NotExecutable => "org.lxhost1.Error.NotExecutable", 126;
    /// No project of that name.
    NoSuchProject => "org.lxhost1.Error.NoSuchProject", 3;
    /// The name is taken.
    AlreadyExists => "org.lxhost1.Error.AlreadyExists", 4;
    /// The name breaks the rules for its noun.
    InvalidName => "org.lxhost1.Error.InvalidName", 2;
    /// A configuration key or value is unknown or malformed.
    InvalidConfig => "org.lxhost1.Error.InvalidConfig", 2;
    /// An option of the call is not known.
    UnknownOption => "org.lxhost1.Error.UnknownOption", 2;
    /// The object's status does not allow the verb.
    InvalidState => "org.lxhost1.Error.InvalidState", 5;
    /// The instance has to run for this.
    NotRunning => "org.lxhost1.Error.NotRunning", 5;
    /// Another job holds the object.
    Busy => "org.lxhost1.Error.Busy", 5;
    /// The object changed since the caller read it.
    GenerationMismatch => "org.lxhost1.Error.GenerationMismatch", 5;
    /// Something still uses the object.
    InUse => "org.lxhost1.Error.InUse", 5;
    /// The request contradicts something else on this host.
    Conflict => "org.lxhost1.Error.Conflict", 5;
    /// Policy of the daemon or project forbids it.
    Restricted => "org.lxhost1.Error.Restricted", 6;
    /// A quota is used up.
    QuotaExceeded => "org.lxhost1.Error.QuotaExceeded", 7;
    /// The disk is full.
    NoSpace => "org.lxhost1.Error.NoSpace", 7;
    /// This host, driver or kernel cannot do it.
    Unsupported => "org.lxhost1.Error.Unsupported", 8;
    /// The guest does not answer.
    GuestUnavailable => "org.lxhost1.Error.GuestUnavailable", 9;
    /// Data from outside failed verification.
    Untrusted => "org.lxhost1.Error.Untrusted", 10;
    /// Time ran out.
    Timeout => "org.lxhost1.Error.Timeout", 11;
    /// Somebody cancelled the job.
    Canceled => "org.lxhost1.Error.Canceled", 12;
    /// The daemon stopped in the middle.
    Interrupted => "org.lxhost1.Error.Interrupted", 12;
    /// Too many operations at once.
    TooManyOperations => "org.lxhost1.Error.TooManyOperations", 13;
    /// The daemon is stopping.
    ShuttingDown => "org.lxhost1.Error.ShuttingDown", 13;
    /// Polkit said no.
    AccessDenied => "org.freedesktop.DBus.Error.AccessDenied", 6;
    /// Polkit would ask, but the caller forbade dialogs or has no agent.
    InteractiveAuthorizationRequired => "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", 6;
    /// Arguments do not parse.
    InvalidArgs => "org.freedesktop.DBus.Error.InvalidArgs", 2;
    /// Per-sender limits are used up.
    LimitsExceeded => "org.freedesktop.DBus.Error.LimitsExceeded", 13;
}

impl Kind {
    /// The kind behind a D-Bus error name; `None` for names of other services.
    pub fn from_dbus_name(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.dbus_name() == name)
    }
}

/// An error of the API: a kind, and one line for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Error {
    /// What programs look at.
    pub kind: Kind,
    /// One English line that names the object.
    pub message: String,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into() }
    }

    /// An error without a kind of its own.
    pub fn failed(message: impl Into<String>) -> Self {
        Error::new(Kind::Failed, message)
    }

    /// The same error with `what` in front: "what: message".
    pub fn context(self, what: impl fmt::Display) -> Self {
        Error { kind: self.kind, message: format!("{what}: {}", self.message) }
    }

    /// An error of the operating system met while doing `what`; a full disk gets its own kind.
    pub fn io(what: impl fmt::Display, source: &std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull => Kind::NoSpace,
            std::io::ErrorKind::QuotaExceeded => Kind::QuotaExceeded,
            std::io::ErrorKind::TimedOut => Kind::Timeout,
            _ => Kind::Failed,
        };
        Error::new(kind, format!("{what}: {source}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_name_and_a_failing_exit_code() {
        for (i, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(Kind::from_dbus_name(kind.dbus_name()), Some(*kind));
            assert!(kind.exit_code() > 0);
            assert!(Kind::ALL[..i].iter().all(|other| other.dbus_name() != kind.dbus_name()));
        }
    }

    #[test]
    fn a_full_disk_is_no_space() {
        let error = Error::io("write c1", &std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(error.kind, Kind::NoSpace);
        assert!(error.message.starts_with("write c1: "));
    }
}
