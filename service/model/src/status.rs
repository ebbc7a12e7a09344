//! Life of an instance: one table says which status follows which trigger. Nothing else decides.

use std::fmt;

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $type { $($(#[$vdoc])* $variant,)* }

        impl $type {
            /// Every value.
            pub const ALL: &'static [$type] = &[$($type::$variant,)*];
            /// The lower-case word of the API.
            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $word,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What an instance is doing.
    Status {
        /// Its root is being made.
        Creating = "creating",
        /// Nothing of it runs.
        Stopped = "stopped",
        /// It is being started.
        Starting = "starting",
        /// Its init runs.
        Running = "running",
        /// Its processes are being frozen.
        Freezing = "freezing",
        /// Its processes exist and get no time.
        Frozen = "frozen",
        /// It is being stopped.
        Stopping = "stopping",
        /// It and its data are being removed.
        Deleting = "deleting",
        /// It needs somebody's attention; only `delete` and `start` are left.
        Error = "error",
    }
}

words! {
    /// What can happen to an instance.
    Trigger {
        /// Creation finished.
        Created = "created",
        /// Somebody asked to start it.
        Start = "start",
        /// Its init runs and was verified.
        Started = "started",
        /// The start was undone.
        StartFailed = "start-failed",
        /// Somebody asked to freeze it.
        Freeze = "freeze",
        /// All its processes are frozen.
        FreezeDone = "freeze-done",
        /// Its processes run again.
        Thawed = "thawed",
        /// Somebody asked to stop it.
        Stop = "stop",
        /// The stop was given up; it still runs.
        StopFailed = "stop-failed",
        /// Its init is gone, by itself or by us.
        Exited = "exited",
        /// Somebody asked to delete it.
        Delete = "delete",
        /// Something broke that we could not undo.
        Broken = "broken",
    }
}

impl Status {
    /// The status that follows `trigger`, or `None` when the trigger is not allowed now.
    pub fn next(self, trigger: Trigger) -> Option<Status> {
        use Status::*;
        match trigger {
            Trigger::Created => (self == Creating).then_some(Stopped),
            Trigger::Start => matches!(self, Stopped | Error).then_some(Starting),
            Trigger::Started => (self == Starting).then_some(Running),
            Trigger::StartFailed => (self == Starting).then_some(Stopped),
            Trigger::Freeze => (self == Running).then_some(Freezing),
            Trigger::FreezeDone => (self == Freezing).then_some(Frozen),
            Trigger::Thawed => matches!(self, Freezing | Frozen).then_some(Running),
            Trigger::Stop => matches!(self, Running | Frozen | Freezing).then_some(Stopping),
            Trigger::StopFailed => (self == Stopping).then_some(Running),
            Trigger::Exited => matches!(self, Starting | Running | Freezing | Frozen | Stopping).then_some(Stopped),
            Trigger::Delete => matches!(self, Creating | Stopped | Error | Deleting).then_some(Deleting),
            Trigger::Broken => (self != Deleting).then_some(Error),
        }
    }

    /// Whether processes of the instance may exist.
    pub fn is_live(self) -> bool {
        matches!(self, Status::Starting | Status::Running | Status::Freezing | Status::Frozen | Status::Stopping)
    }

    /// Whether a command can be run in it now.
    pub fn can_exec(self) -> bool {
        matches!(self, Status::Running | Status::Stopping)
    }
}

impl std::str::FromStr for Status {
    type Err = crate::Error;
    fn from_str(s: &str) -> Result<Self, crate::Error> {
        let unknown = || crate::Error::new(crate::Kind::InvalidArgs, format!("unknown state {}", crate::name::quoted(s)));
        Status::ALL.iter().copied().find(|status| status.as_str() == s).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_from_creation_to_deletion_follows_the_table() {
        let life = [
            (Trigger::Created, Status::Stopped),
            (Trigger::Start, Status::Starting),
            (Trigger::Started, Status::Running),
            (Trigger::Freeze, Status::Freezing),
            (Trigger::FreezeDone, Status::Frozen),
            (Trigger::Thawed, Status::Running),
            (Trigger::Stop, Status::Stopping),
            (Trigger::Exited, Status::Stopped),
            (Trigger::Delete, Status::Deleting),
        ];
        let mut now = Status::Creating;
        for (trigger, then) in life {
            now = now.next(trigger).unwrap();
            assert_eq!(now, then);
        }
    }

    #[test]
    fn what_runs_cannot_be_deleted_or_started_again() {
        for status in Status::ALL.iter().filter(|s| s.is_live()) {
            assert_eq!(status.next(Trigger::Delete), None, "{status}");
            assert_eq!(status.next(Trigger::Start), None, "{status}");
            assert_eq!(status.next(Trigger::Exited), Some(Status::Stopped), "{status}");
        }
    }

    #[test]
    fn every_status_can_be_left() {
        for status in Status::ALL.iter().filter(|s| **s != Status::Deleting) {
            assert!(Trigger::ALL.iter().any(|t| status.next(*t).is_some_and(|next| next != *status)), "{status}");
        }
    }
}
