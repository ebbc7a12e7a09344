//! What the engine needs of the world: one trait per neighbour, implemented for the real host in
//! `store`, `drivers` and `host`, and in memory by `sim`.
//!
//! Every method is idempotent where it says so: after a crash the same step runs again, or its
//! undo runs although the step never did.

pub mod authority;
pub mod backup;
pub mod definitions;
pub mod files;
pub mod filesystems;
pub mod host;
pub mod image;
pub mod launcher;
pub mod network;
pub mod nic;
pub mod proxy;
mod record;
pub mod resolver;
pub mod sandbox;
pub mod storage;
pub mod store;
pub mod table;
pub mod units;
pub mod zones;

pub use authority::{Authority, Caller, Details};
pub use backup::Backups;
pub use definitions::Definitions;
pub use files::{FileAccess, FileEntry, FileOwner, Files};
pub use filesystems::{Filesystems, MountPlan, Mounts, Reach};
pub use host::{Check, Host};
pub use image::{ImageFiles, ImageFilesStore, ImageSource, ImportedImage, Progress, SourceImage};
pub use launcher::{
    Counters, DiskSource, DiskSpec, Exec, ExecResult, LaunchSpec, Launcher, LauncherEvent, Limits, MountSpec, Ready, RootSpec,
    Running, Streams, Whom,
};
pub use network::{Lease, NetworkChange, NetworkDriver, NetworkKinds, NetworkRecords, NetworkState};
pub use nic::{HostEnd, Inside, NicDriver, NicKind, NicKinds, NicPlan, NicSpec, Port};
pub use proxy::{Proxies, ProxyPlan, ProxyTarget, RelaySpec, RelayStart, Relays};
pub use resolver::Resolver;
pub use sandbox::{SERVED, Sandbox, SandboxExit, SandboxSpec};
pub use storage::{Defined, Definition, Held, Lying, Origin, PoolDriver, PoolKinds, Usage};
pub(crate) use store::same;
pub use store::{Row, RowKey, State, Store, Write};
pub use table::Table;
pub use units::Units;
pub use zones::Zones;
