//! `org.freedesktop.LogControl1`, so that `systemctl service-log-level lxhostd debug` works.

use super::error::Failure;
use super::{Bus, invalid};
use lxhost_engine::Question;
use lxhost_engine::ports::Caller;
use lxhost_model::Action;
use std::sync::Arc;
use zbus::message::Header;

/// Changes the level of the running daemon's log; the argument is a `tracing` level.
pub(crate) type Setter = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// The daemon's log, as it can be changed.
#[derive(Clone)]
pub(crate) struct LogLevel {
    /// Applies a level.
    pub(crate) set: Setter,
    /// Where lines go: `journal` or `console`.
    pub(crate) target: &'static str,
    /// The level now, in syslog's words.
    pub(crate) level: Arc<std::sync::RwLock<String>>,
}

pub(super) struct LogControl {
    pub(super) bus: Bus,
    pub(super) log: LogLevel,
}

/// Syslog's words for levels, and those of `tracing`.
const LEVELS: &[(&str, &str)] = &[
    ("emerg", "error"),
    ("alert", "error"),
    ("crit", "error"),
    ("err", "error"),
    ("warning", "warn"),
    ("notice", "info"),
    ("info", "info"),
    ("debug", "debug"),
];

/// Syslog's word for a level of `tracing`.
pub(crate) fn syslog(tracing: &str) -> &'static str {
    let least = |(_, level): &&(&str, &str)| level.eq_ignore_ascii_case(tracing);
    LEVELS.iter().rev().find(least).map_or("debug", |(word, _)| *word)
}

#[zbus::interface(name = "org.freedesktop.LogControl1")]
impl LogControl {
    #[zbus(property)]
    fn log_level(&self) -> String {
        self.log.level.read().map(|level| level.clone()).unwrap_or_default()
    }

    #[zbus(property)]
    async fn set_log_level(&self, #[zbus(header)] header: Option<Header<'_>>, level: String) -> Result<(), Failure> {
        let header = header.ok_or_else(|| invalid("the message has no header"))?;
        // A property is set while the whole tree is locked: a dialog would hold up everybody.
        let call = self.bus.caller(&header).await?;
        let caller = Caller { interactive: false, ..Caller::clone(&call) };
        self.bus.engine.allow(&caller, Question { action: Action::DaemonDebug, details: vec![] }).await?;
        let (word, tracing) = LEVELS.iter().find(|(word, _)| *word == level).ok_or_else(|| invalid("unknown log level"))?;
        (self.log.set)(tracing).map_err(invalid)?;
        if let Ok(mut now) = self.log.level.write() {
            (*word).clone_into(&mut now);
        }
        Ok(())
    }

    #[zbus(property)]
    fn log_target(&self) -> String {
        self.log.target.to_owned()
    }

    #[zbus(property)]
    fn syslog_identifier(&self) -> String {
        "lxhostd".to_owned()
    }
}
