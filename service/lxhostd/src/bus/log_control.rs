//! `org.freedesktop.LogControl1`, so that `systemctl service-log-level lxhostd debug` works.

use super::error::Failure;
use super::{Bus, invalid};
use lxhost_engine::Question;
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

#[zbus::interface(name = "org.freedesktop.LogControl1")]
impl LogControl {
    #[zbus(property)]
    fn log_level(&self) -> String {
        self.log.level.read().map(|level| level.clone()).unwrap_or_default()
    }

    #[zbus(property)]
    async fn set_log_level(&self, #[zbus(header)] header: Option<Header<'_>>, level: String) -> Result<(), Failure> {
        let header = header.ok_or_else(|| invalid("the message has no header"))?;
        let caller = self.bus.caller(&header).await?;
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
