//! Installed services, for the engine's port: what the package brings and drivers need running.

use super::{ManagerProxy, UnitError, Units, named, proxy};
use async_trait::async_trait;
use lxhost_engine::ports;
use lxhost_model::{Error, Kind, Result};
use zbus::proxy::CacheProperties;
use zbus::wire::OwnedObjectPath;

const SIGHUP: i32 = 1;

/// As the callers of the port see it, with where to look further.
pub(super) fn for_port(error: &UnitError) -> Error {
    match error {
        UnitError::Missing { unit } => Error::new(Kind::Unsupported, format!("the unit {unit} is not installed on this host")),
        UnitError::Job { unit, result } => {
            Error::failed(format!("unit {unit}: its job ended as \"{result}\"; journalctl -u {unit} says why"))
        }
        other => Error::failed(other.to_string()),
    }
}

impl Units {
    /// State of a loaded unit; `None` when there is none of that name.
    pub(super) async fn state(&self, unit: &str) -> std::result::Result<Option<String>, UnitError> {
        let path = match self.manager.get_unit(unit).await.map_err(|error| named(unit, error)) {
            Ok(path) => path,
            Err(UnitError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let unit = proxy::UnitProxy::builder(&self.connection).path(path).cache_properties(CacheProperties::No).build().await?;
        Ok(Some(unit.active_state().await?))
    }

    /// Starts a job by `call`, after forgetting that the unit failed (its start limit counts), and waits.
    async fn run<'a, F>(&'a self, unit: &'a str, call: impl FnOnce(&'a ManagerProxy<'static>) -> F) -> Result<()>
    where
        F: Future<Output = zbus::Result<OwnedObjectPath>> + 'a,
    {
        // Both are asked at once, and PID 1 answers in turn. The first fails for a unit that is not loaded, which has
        // nothing to forget.
        let (_, job) = tokio::join!(self.manager.reset_failed_unit(unit), call(&self.manager));
        let job = job.map_err(|error| for_port(&named(unit, error)))?;
        self.wait_for(unit, &job).await.map_err(|error| for_port(&error))
    }
}

#[async_trait]
impl ports::Units for Units {
    async fn start_service(&self, unit: &str) -> Result<()> {
        self.run(unit, |manager| manager.start_unit(unit, "replace")).await
    }

    async fn restart_service(&self, unit: &str) -> Result<()> {
        self.run(unit, |manager| manager.restart_unit(unit, "replace")).await
    }

    async fn stop_service(&self, unit: &str) -> Result<()> {
        self.stop(unit).await.map_err(|error| for_port(&error))
    }

    async fn reload_service(&self, unit: &str) -> Result<()> {
        // A reload job forks `ExecReload=` and takes PID 1 0.1 s, which somebody waits for.
        match self.manager.kill_unit(unit, "main", SIGHUP).await.map_err(|error| named(unit, error)) {
            Ok(()) | Err(UnitError::Missing { .. }) => Ok(()),
            Err(error) => Err(for_port(&error)),
        }
    }

    async fn is_active(&self, unit: &str) -> Result<bool> {
        let state = self.state(unit).await.map_err(|error| for_port(&error))?;
        Ok(state.is_some_and(|state| matches!(state.as_str(), "active" | "reloading")))
    }
}
