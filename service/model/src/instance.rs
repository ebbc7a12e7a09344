//! The record of an instance, and its effective configuration after profiles.

use crate::config::Config;
use crate::device::Devices;
use crate::name::{InstanceName, PoolName, ProfileName, ProjectName};
use crate::{Fingerprint, IdRange, ObjectId, Profile, Status, Timestamp};

/// What kind of guest it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceType {
    /// Shares the host's kernel.
    Container,
    /// Has a kernel of its own.
    Vm,
}

impl InstanceType {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            InstanceType::Container => "container",
            InstanceType::Vm => "vm",
        }
    }
}

/// How the last run of an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Exit {
    /// Why it ended.
    pub reason: ExitReason,
    /// Exit status of its init, or the signal that ended it.
    pub status: i32,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitReason {
    /// The guest powered off or halted, or its plain program ended.
    Poweroff,
    /// The guest asked for a reboot.
    Reboot,
    /// Its init ended with an error or was killed from inside.
    Crash,
    /// It was killed from outside.
    Killed,
    /// It was gone when the daemon came back and left no word.
    Lost,
}

impl ExitReason {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            ExitReason::Poweroff => "poweroff",
            ExitReason::Reboot => "reboot",
            ExitReason::Crash => "crash",
            ExitReason::Killed => "killed",
            ExitReason::Lost => "lost",
        }
    }
}

/// An instance as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Instance {
    /// Immutable identity; also its machine id.
    pub id: ObjectId,
    /// Project it belongs to.
    pub project: ProjectName,
    /// Name, unique within the project.
    pub name: InstanceName,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// Container or virtual machine.
    #[serde(rename = "type")]
    pub kind: InstanceType,
    /// Architecture, as `uname -m` says it.
    pub architecture: String,
    /// Pool its root lies on.
    pub pool: PoolName,
    /// Image it was made from; the image may be gone by now.
    pub image: Option<Fingerprint>,
    /// What the image said about itself, shown by `info`.
    #[serde(default)]
    pub image_properties: Config,
    /// Profiles in order of application.
    pub profiles: Vec<ProfileName>,
    /// Its own keys, which win over profiles.
    pub config: Config,
    /// Its own devices, which win over profiles.
    pub devices: Devices,
    /// Keys the daemon keeps for itself (MAC addresses and the like); never set by callers.
    #[serde(default)]
    pub volatile: Config,
    /// Deleted when it stops.
    pub ephemeral: bool,
    /// What it is doing.
    pub status: Status,
    /// Since when.
    #[serde(default)]
    pub status_since: Timestamp,
    /// Host ids it owns.
    pub ids: IdRange,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last started; 0 = never.
    pub last_used: Timestamp,
    /// How its last run ended.
    pub last_exit: Option<Exit>,
    /// Grows with every change of the record.
    pub generation: u64,
}

/// Configuration with profiles applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded {
    /// Merged keys.
    pub config: Config,
    /// Merged devices without those of type `none`.
    pub devices: Devices,
}

impl Instance {
    /// The name other programs of the host know it by (machined, units, DNS): the instance's name
    /// in project `default`, `name.project` elsewhere.
    pub fn machine_name(&self) -> String {
        match self.project.as_str() {
            "default" => self.name.to_string(),
            project => format!("{}.{project}", self.name),
        }
    }

    /// Name of its scope unit.
    pub fn unit(&self) -> String {
        format!("lxhost-{}.scope", self.machine_name())
    }

    /// Applies `profiles`, in the order given, then the instance's own keys and devices.
    pub fn expand<'a>(&self, profiles: impl IntoIterator<Item = &'a Profile>) -> Expanded {
        let mut config = Config::new();
        let mut devices = Devices::new();
        for profile in profiles {
            config.extend(profile.config.clone());
            devices.extend(profile.devices.clone());
        }
        config.extend(self.config.clone());
        devices.extend(self.devices.clone());
        devices.retain(|_, device| device.kind() != "none");
        Expanded { config, devices }
    }
}

impl Expanded {
    /// Whether anything in it equals root on the host.
    pub fn is_privileged(&self) -> bool {
        let by_key = crate::config::INSTANCE.iter().any(|key| key.privileged && self.config.contains_key(key.name));
        by_key || self.devices.values().any(crate::device::Device::reaches_host)
    }
}
