//! Services that the package brings and drivers need running beside the daemon (a bridge's
//! dnsmasq): told to PID 1, never forked by the daemon. On a real host: `host/units`, over D-Bus.

use async_trait::async_trait;
use lxhost_model::Result;

/// PID 1, as far as installed units go. Names are full (`lxhost-dnsmasq@lxbr0.service`). Every
/// method that starts or stops waits for its job to end; all are idempotent.
#[async_trait]
pub trait Units: Send + Sync {
    /// Starts a unit unless it runs; one that failed before is tried again (`ResetFailed`).
    ///
    /// # Errors
    /// `Failed`, naming the unit and the job's result; `Unsupported` when no such unit is installed.
    async fn start_service(&self, unit: &str) -> Result<()>;

    /// Stops a unit and starts it again, or starts it.
    ///
    /// # Errors
    /// As `start_service`.
    async fn restart_service(&self, unit: &str) -> Result<()>;

    /// Stops a unit. One that is not there has stopped already.
    async fn stop_service(&self, unit: &str) -> Result<()>;

    /// Asks a running unit to read its files again, by SIGHUP to its main process; nothing when it does
    /// not run. Done when the signal is sent.
    async fn reload_service(&self, unit: &str) -> Result<()>;

    /// Whether the unit is active.
    async fn is_active(&self, unit: &str) -> Result<bool>;
}
