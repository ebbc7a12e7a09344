//! Where log lines go: the journal with our fields, or standard error where there is no journal. The
//! level can be changed while the daemon runs (`systemctl service-log-level`).

use crate::bus::{LogLevel, syslog};
use std::sync::{Arc, RwLock};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

/// Starts logging at `level`.
///
/// # Errors
/// A line for people when the level is unknown.
pub(crate) fn start(level: &str) -> Result<LogLevel, String> {
    let filter: LevelFilter = level.parse().map_err(|_| format!("unknown log level {level:?}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let (output, target) = output();
    tracing_subscriber::registry().with(output.with_filter(filter)).init();
    let set = move |level: &str| {
        let level: LevelFilter = level.parse().map_err(|_| "unknown log level".to_owned())?;
        handle.modify(|filter| *filter = level).map_err(|e| e.to_string())
    };
    Ok(LogLevel { set: Arc::new(set), target, level: Arc::new(RwLock::new(syslog(level).to_owned())) })
}

fn output() -> (Box<dyn Layer<Registry> + Send + Sync>, &'static str) {
    // Started by hand, people want to see what happens.
    let service = std::env::var_os("JOURNAL_STREAM").is_some();
    match tracing_journald::layer() {
        // Our fields are spelt as they shall be found: LXHOST_INSTANCE=, LXHOST_JOB=.
        Ok(journal) if service => {
            (journal.with_field_prefix(None).with_syslog_identifier("lxhostd".to_owned()).boxed(), "journal")
        }
        _ => (tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).boxed(), "console"),
    }
}
