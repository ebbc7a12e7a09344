//! Types as they travel. Rows are structs with a fixed signature; what may grow is a dictionary.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use zbus::wire::{OwnedObjectPath, OwnedVariant, Type, Variant};

/// Options of a call (`a{sv}`), as a client writes them. An unknown key is an error.
pub type Options<'a> = HashMap<&'a str, Variant<'a>>;
/// A dictionary of values (`a{sv}`), as it is read.
pub type Values = HashMap<String, OwnedVariant>;
/// Configuration (`a{ss}`).
pub type Config = BTreeMap<String, String>;
/// Devices (`a{sa{ss}}`).
pub type Devices = BTreeMap<String, Config>;

/// Row of `ListInstances`: `(ossssttas)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct InstanceRow {
    /// Object.
    pub path: OwnedObjectPath,
    /// Project.
    pub project: String,
    /// Name.
    pub name: String,
    /// `container` or `vm`.
    pub kind: String,
    /// State, such as `running`.
    pub state: String,
    /// When it got that state, microseconds since the epoch.
    pub state_usec: u64,
    /// Generation of its record.
    pub generation: u64,
    /// Addresses inside, each `address@interface`, IPv4 first; loopback and link-local left out.
    pub addresses: Vec<String>,
}

/// Row of `ListImages`: `(ossasstts)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ImageRow {
    /// Object.
    pub path: OwnedObjectPath,
    /// Project.
    pub project: String,
    /// All 64 digits.
    pub fingerprint: String,
    /// Aliases.
    pub aliases: Vec<String>,
    /// Architecture.
    pub architecture: String,
    /// Bytes.
    pub size: u64,
    /// When it came here, microseconds since the epoch.
    pub uploaded: u64,
    /// One line about it.
    pub description: String,
}

/// Row of `ListNetworks`: `(ossssbas)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct NetworkRow {
    /// Object.
    pub path: OwnedObjectPath,
    /// Project.
    pub project: String,
    /// Name.
    pub name: String,
    /// Driver.
    pub kind: String,
    /// `up`, `down`.
    pub state: String,
    /// Whether lxhost made it.
    pub managed: bool,
    /// Its subnets in CIDR form, IPv4 first.
    pub subnets: Vec<String>,
}

/// Row of `ListACLs`: `(osssu)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct AclRow {
    /// Object.
    pub path: OwnedObjectPath,
    /// Project.
    pub project: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Networks that carry it.
    pub used_by: u32,
}

/// Row of `ListProfiles`: `(osssu)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ProfileRow {
    /// Object.
    pub path: OwnedObjectPath,
    /// Project.
    pub project: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Instances that use it.
    pub used_by: u32,
}

/// Row of `ListPools`: `(osssu)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct PoolRow {
    /// Object.
    pub path: OwnedObjectPath,
    /// Name.
    pub name: String,
    /// Driver.
    pub driver: String,
    /// Directory or device it lies on.
    pub source: String,
    /// Instances on it.
    pub used_by: u32,
}

/// Row of `ListVolumes`: `(ossssssa(os))`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct VolumeRow {
    /// Object.
    pub path: OwnedObjectPath,
    /// Project.
    pub project: String,
    /// Pool.
    pub pool: String,
    /// Name.
    pub name: String,
    /// `filesystem`.
    pub content_type: String,
    /// Description.
    pub description: String,
    /// Instances and profiles that have it among their devices: object and name.
    pub used_by: Vec<(OwnedObjectPath, String)>,
}

/// Row of `FindLost`: `(ssss)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct LostRow {
    /// `pool`, `acl`, `network`, `profile`, `image`, `volume`, `instance`, `snapshot` or `trash`.
    pub kind: String,
    /// Name; `INSTANCE/SNAPSHOT` or `VOLUME/SNAPSHOT` for a snapshot.
    pub name: String,
    /// Directory of a pool, or the pool that it lies on; empty for what has no disk.
    pub place: String,
    /// Why it cannot be taken in; empty when it can.
    pub obstacle: String,
}

/// Row of `ListJobs`: `(uossstd)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
pub struct JobRow {
    /// Number.
    pub id: u32,
    /// Object.
    pub path: OwnedObjectPath,
    /// Verb, such as `instance.start`.
    pub verb: String,
    /// `queued`, `running`, `canceling`, `done`.
    pub state: String,
    /// What is being done.
    pub phase: String,
    /// When it was opened, microseconds since the epoch.
    pub created: u64,
    /// 0.0 to 1.0; negative = unknown.
    pub progress: f64,
}

/// Row of `ListRemoteImages`: `(sasss)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct RemoteImageRow {
    /// The alias it is best known by.
    pub alias: String,
    /// Other aliases.
    pub also: Vec<String>,
    /// Architecture.
    pub architecture: String,
    /// One line about it.
    pub description: String,
}

/// Row of `ListLeases`: `(ssst)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct LeaseRow {
    /// Hardware address.
    pub mac: String,
    /// Address.
    pub address: String,
    /// Host name.
    pub hostname: String,
    /// End in microseconds since the epoch; 0 = static.
    pub expires: u64,
}

/// Row of `Snapshots.List`: `(stts)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct SnapshotRow {
    /// Name.
    pub name: String,
    /// When it was taken, microseconds since the epoch.
    pub created: u64,
    /// When it may be deleted; 0 = never.
    pub expires: u64,
    /// Description.
    pub description: String,
}

/// Row of `Files.ListDirectory`: `(ssuuutts)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct FileRow {
    /// Name; what is not UTF-8 is replaced by U+FFFD.
    pub name: String,
    /// `file`, `directory`, `symlink`, `pipe`, `socket`, `character-device` or `block-device`.
    pub kind: String,
    /// Permission bits.
    pub mode: u32,
    /// User, as the guest has it.
    pub uid: u32,
    /// Group, as the guest has it.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// When it was written to, microseconds since the epoch.
    pub modified: u64,
    /// Where a link leads; else empty.
    pub target: String,
}

/// Row of `Trash.List`: `(sssssttu)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct TrashRow {
    /// The id it had.
    pub id: String,
    /// `instance`, `snapshot`, `volume` or `volume-snapshot`.
    pub kind: String,
    /// Project.
    pub project: String,
    /// Pool that its data lies on.
    pub pool: String,
    /// Name it had; `INSTANCE/SNAPSHOT` or `VOLUME/SNAPSHOT` for a snapshot.
    pub name: String,
    /// When it was deleted, microseconds since the epoch.
    pub deleted: u64,
    /// When it is gone for good.
    pub expires: u64,
    /// Snapshots that were deleted with it.
    pub snapshots: u32,
}

/// Row of `ListForwards`: `(ssa{ss}aa{ss})`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ForwardRow {
    /// Address of the host that it listens on.
    pub listen: String,
    /// Description.
    pub description: String,
    /// `target_address`, for what no entry is about, and `user.*` keys.
    pub config: Config,
    /// Entries of ports.
    pub ports: Vec<Config>,
}

/// Row of `ListLoadBalancers`: `(ssa{ss}aa{ss}aa{ss})`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct LoadBalancerRow {
    /// Address of the host that it listens on.
    pub listen: String,
    /// Description.
    pub description: String,
    /// `user.*` keys.
    pub config: Config,
    /// Instances that take turns.
    pub backends: Vec<Config>,
    /// Entries of ports.
    pub ports: Vec<Config>,
}

/// Answer of `Job.Wait`: `(sssa{sv})`.
#[derive(Debug, Serialize, Deserialize, Type)]
pub struct JobEnd {
    /// `done`, `failed`, `canceled`, `timeout`; `running` when the wait ran out of time.
    pub result: String,
    /// D-Bus error name, or empty.
    pub error: String,
    /// One line, or empty.
    pub message: String,
    /// What it made: `instance` o, `image` o, `warnings` as, `notes` as, …
    pub output: Values,
}
