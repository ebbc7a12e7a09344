//! The scope of an instance: every limit, and how it ends.

use std::path::{Path, PathBuf};

use zbus::wire::Variant;

use super::{Property, UnitError, Units};

/// Names of instances' scopes.
pub(super) const PREFIX: &str = "lxhost-";
pub(super) const SUFFIX: &str = ".scope";

/// SIGURG: nothing to those who do not ask for it, and PID 1 sends it to every process of the scope. The monitor
/// takes it for the wish that its container stop, and tells the init alone.
const STOP_IS_ASKED: i32 = 23;

/// What a scope is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeSpec {
    /// `lxhost-<name>.scope`.
    pub unit: String,
    /// For people.
    pub description: String,
    /// The one process to put in.
    pub pid: u32,
    /// Seconds until PID 1 kills what an orderly stop has left.
    pub stop_timeout: u32,
    /// `MemoryMax=`, bytes.
    pub memory: Option<u64>,
    /// `TasksMax=`.
    pub tasks: Option<u64>,
    /// `CPUQuotaPerSecUSec=`.
    pub cpu_quota: Option<u64>,
}

/// Name of an instance's scope.
pub fn scope_of(machine: &str) -> String {
    format!("{PREFIX}{machine}{SUFFIX}")
}

/// Directory of a scope of `machine.slice`.
pub fn cgroup_of_scope(unit: &str) -> PathBuf {
    Path::new("/sys/fs/cgroup/machine.slice").join(unit)
}

impl Units {
    /// Makes a scope and returns when its process is in it.
    ///
    /// With `Controller=` PID 1 leaves a stop to us, for as long as this connection lasts; later it sends the signal
    /// that the monitor takes for us. `Before=lxhost-guests.service` orders that unit's
    /// stop, at shutdown of the host, before the end of the scope, whatever has become of the daemon.
    ///
    /// # Errors
    /// `Exists`, `Job`, `Gone`, `Bus`.
    pub async fn start_scope(&self, spec: &ScopeSpec) -> Result<(), UnitError> {
        let mut properties: Vec<Property<'_>> = vec![
            ("Description", Variant::from(spec.description.as_str())),
            ("Slice", Variant::from("machine.slice")),
            ("PIDs", Variant::from(vec![spec.pid])),
            ("Delegate", Variant::from(true)),
            ("CollectMode", Variant::from("inactive-or-failed")),
            ("KillSignal", Variant::from(STOP_IS_ASKED)),
            ("TimeoutStopUSec", Variant::from(u64::from(spec.stop_timeout) * 1_000_000)),
            ("Controller", Variant::from(self.bus_name())),
            ("Before", Variant::from(vec!["lxhost-guests.service"])),
            ("After", Variant::from(vec!["lxhostd.service"])),
        ];
        properties.extend(limits(spec));
        self.start_transient(&spec.unit, &properties).await
    }

    /// Changes the limits of a scope that runs.
    ///
    /// # Errors
    /// `Missing`, `Bus`.
    pub async fn set_limits(&self, spec: &ScopeSpec) -> Result<(), UnitError> {
        self.set_properties(&spec.unit, &limits(spec)).await
    }
}

/// No limit is the number that systemd takes for infinity.
fn limits(spec: &ScopeSpec) -> Vec<Property<'static>> {
    [("MemoryMax", spec.memory), ("TasksMax", spec.tasks), ("CPUQuotaPerSecUSec", spec.cpu_quota)]
        .into_iter()
        .map(|(name, value)| (name, Variant::from(value.unwrap_or(u64::MAX))))
        .collect()
}
