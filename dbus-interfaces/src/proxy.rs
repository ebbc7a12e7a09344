//! Client proxies, one per interface. Methods that change something allow a Polkit dialog.
//!
//! Build them with `CacheProperties::No`: a cached proxy costs a match rule each.

mod trash;
mod volume;

pub use trash::*;
pub use volume::*;

use crate::wire::*;
use std::collections::HashMap;
use zbus::proxy;
use zbus::wire::{Fd, ObjectPath, OwnedFd, OwnedObjectPath};

/// Makes, lists and finds objects. `/org/lxhost1`.
#[proxy(interface = "org.lxhost1.Manager", default_service = "org.lxhost1", default_path = "/org/lxhost1")]
pub trait Manager {
    /// Object of an instance by name.
    fn get_instance(&self, project: &str, name: &str) -> zbus::Result<OwnedObjectPath>;
    /// Object of an image by alias, fingerprint or start of a fingerprint.
    fn get_image(&self, project: &str, alias_or_fingerprint: &str) -> zbus::Result<OwnedObjectPath>;
    /// Object of a network by name.
    fn get_network(&self, project: &str, name: &str) -> zbus::Result<OwnedObjectPath>;
    /// Object of a network ACL by name.
    #[zbus(name = "GetACL")]
    fn get_acl(&self, project: &str, name: &str) -> zbus::Result<OwnedObjectPath>;
    /// Object of a profile by name.
    fn get_profile(&self, project: &str, name: &str) -> zbus::Result<OwnedObjectPath>;
    /// Object of a pool by name.
    fn get_pool(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    /// Page of instances, ordered by name. Filter keys: `project` s, `type` s, `state` as, `name` s (glob).
    fn list_instances(&self, filter: &Options<'_>, cursor: &str, limit: u32) -> zbus::Result<(Vec<InstanceRow>, String)>;
    /// Page of images. Filter keys: `project` s.
    fn list_images(&self, filter: &Options<'_>, cursor: &str, limit: u32) -> zbus::Result<(Vec<ImageRow>, String)>;
    /// What a remote such as `debian` offers.
    fn list_remote_images(&self, remote: &str) -> zbus::Result<Vec<RemoteImageRow>>;
    /// Page of networks.
    fn list_networks(&self, filter: &Options<'_>, cursor: &str, limit: u32) -> zbus::Result<(Vec<NetworkRow>, String)>;
    /// Page of network ACLs.
    #[zbus(name = "ListACLs")]
    fn list_acls(&self, filter: &Options<'_>, cursor: &str, limit: u32) -> zbus::Result<(Vec<AclRow>, String)>;
    /// Page of profiles.
    fn list_profiles(&self, filter: &Options<'_>, cursor: &str, limit: u32) -> zbus::Result<(Vec<ProfileRow>, String)>;
    /// All pools.
    fn list_pools(&self) -> zbus::Result<Vec<PoolRow>>;
    /// Page of volumes. Filter: `project` s, `pool` s.
    fn list_volumes(&self, filter: &Options<'_>, cursor: &str, limit: u32) -> zbus::Result<(Vec<VolumeRow>, String)>;
    /// Page of jobs, newest last; those that ended up to a minute ago are there.
    fn list_jobs(&self, filter: &Options<'_>, cursor: &str, limit: u32) -> zbus::Result<(Vec<JobRow>, String)>;
    /// Live counters of many instances in one round trip; fields as in `Instance.GetState`.
    fn get_states(&self, instances: &[ObjectPath<'_>], fields: &[&str]) -> zbus::Result<Vec<(OwnedObjectPath, Values)>>;
    /// Makes an instance. `name` empty: one is generated. Source keys: `type` s (image|empty|copy), `image` s
    /// (alias, fingerprint or `remote:alias`), `instance` o, `snapshot` s, `instance-only` b. Spec keys: `type` s, `description` s, `profiles` as,
    /// `config` a{ss}, `devices` a{sa{ss}}, `pool` s, `ephemeral` b, `start` b. Option: `paths` ah, directories and
    /// files of this host among the devices, open for reading, as every caller but root has to show those that a call brings.
    /// Returns instance and job.
    #[zbus(allow_interactive_auth)]
    fn create_instance(
        &self,
        project: &str,
        name: &str,
        source: &Options<'_>,
        spec: &Options<'_>,
        options: &Options<'_>,
    ) -> zbus::Result<(OwnedObjectPath, OwnedObjectPath)>;
    /// Makes an instance, and its snapshots, from a backup in LXD's format, which `data` holds: a regular file open for
    /// reading. Options: `name` s, `pool` s, `profiles` as, `config` a{ss}; what is not named is as the backup says.
    /// Returns instance and job.
    #[zbus(allow_interactive_auth)]
    fn import_instance(
        &self,
        project: &str,
        data: Fd<'_>,
        options: &Options<'_>,
    ) -> zbus::Result<(OwnedObjectPath, OwnedObjectPath)>;
    /// Takes an image in. `format` is `auto`. Options: `rootfs` h (split images), `aliases` as, `properties` a{ss}.
    /// The job's output has `image` o and `fingerprint` s.
    #[zbus(allow_interactive_auth)]
    fn import_image(&self, project: &str, data: Fd<'_>, format: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Gets an image from a remote. Options: `aliases` as. The job's output has `image` o and `fingerprint` s.
    #[zbus(allow_interactive_auth)]
    fn pull_image(&self, project: &str, remote: &str, name: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Makes a network ACL of `user.*` keys and rules: dictionaries of `action`, `state`, `description`, `protocol`,
    /// `source`, `destination`, `source_port`, `destination_port`, `icmp_type`, `icmp_code`.
    #[zbus(name = "CreateACL", allow_interactive_auth)]
    fn create_acl(
        &self,
        project: &str,
        name: &str,
        config: &Config,
        ingress: &[Config],
        egress: &[Config],
        options: &Options<'_>,
    ) -> zbus::Result<OwnedObjectPath>;
    /// Makes a network. Options: `description` s, `rollback-usec` t (it is gone after that time unless confirmed). Returns
    /// network and job.
    #[zbus(allow_interactive_auth)]
    fn create_network(
        &self,
        project: &str,
        name: &str,
        kind: &str,
        config: &Config,
        options: &Options<'_>,
    ) -> zbus::Result<(OwnedObjectPath, OwnedObjectPath)>;
    /// Makes a pool; driver empty: what suits the host. Returns pool and job.
    #[zbus(allow_interactive_auth)]
    fn create_pool(
        &self,
        name: &str,
        driver: &str,
        config: &Config,
        options: &Options<'_>,
    ) -> zbus::Result<(OwnedObjectPath, OwnedObjectPath)>;
    /// Makes a profile. Options: `description` s, `paths` ah as for `CreateInstance`.
    #[zbus(allow_interactive_auth)]
    fn create_profile(
        &self,
        project: &str,
        name: &str,
        config: &Config,
        devices: &Devices,
        options: &Options<'_>,
    ) -> zbus::Result<OwnedObjectPath>;
    /// One verb (start, stop, restart, freeze, thaw, delete) on many instances, in the order of their priorities;
    /// no instances = all. Options are those of the verb, and `autostart` b (start: only those that shall start
    /// at boot; stop: host shutdown, remembers what ran).
    #[zbus(allow_interactive_auth)]
    fn bulk_operation(&self, verb: &str, instances: &[ObjectPath<'_>], options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// What lies on the disks and is in no record. Option: `sources` as (directories of pools to look into, too).
    #[zbus(allow_interactive_auth)]
    fn find_lost(&self, options: &Options<'_>) -> zbus::Result<Vec<LostRow>>;
    /// Takes in what `FindLost` finds and nothing stands in the way of; `notes` of the job say what that was. Option:
    /// `sources` as there.
    #[zbus(allow_interactive_auth)]
    fn recover(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Takes the snapshots that are due by `snapshots.schedule` and deletes those whose time is over, and what was in the
    /// trash for its time. A timer of the host calls it every minute. Options: `wait` b (until all of it is done).
    #[zbus(allow_interactive_auth)]
    fn tend(&self, options: &Options<'_>) -> zbus::Result<()>;
    /// Each action with `yes`, `no` or `auth` for the caller.
    fn get_permissions(&self) -> zbus::Result<HashMap<String, String>>;
    /// About daemon and host: `version`, `kernel`, `architecture`, `pools` as, `networks` as, `checks` aa{sv} (doctor: name, state ok|warn|fail, message, hint), …
    fn get_server_info(&self) -> zbus::Result<Values>;
    /// Something happened to an instance.
    #[zbus(signal)]
    fn instance_state_changed(
        &self,
        instance: ObjectPath<'_>,
        project: &str,
        name: &str,
        old: &str,
        new: &str,
        reason: &str,
    ) -> zbus::Result<()>;
    /// A job was opened.
    #[zbus(signal)]
    fn job_new(&self, id: u32, job: ObjectPath<'_>, verb: &str, objects: Vec<ObjectPath<'_>>) -> zbus::Result<()>;
    /// A job ended.
    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: ObjectPath<'_>, result: &str, error: &str) -> zbus::Result<()>;
    /// Version of the daemon.
    #[zbus(property)]
    fn version(&self) -> zbus::Result<String>;
}

/// An instance. `/org/lxhost1/instance/<id>`.
#[proxy(interface = "org.lxhost1.Instance", default_service = "org.lxhost1")]
pub trait Instance {
    /// Starts it. The job's output may have `notes` as.
    #[zbus(allow_interactive_auth)]
    fn start(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Stops it: asks, and kills when the time is over. Options: `mode` s (graceful|force), `timeout-usec` t.
    #[zbus(allow_interactive_auth)]
    fn stop(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Stops and starts it. Options as `stop`.
    #[zbus(allow_interactive_auth)]
    fn restart(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Freezes its processes.
    #[zbus(allow_interactive_auth)]
    fn freeze(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Lets them run again.
    #[zbus(allow_interactive_auth)]
    fn thaw(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Deletes it and its data. Options: `force` b (stop it first), `at-once` b (for good, past the trash of its pool).
    #[zbus(allow_interactive_auth)]
    fn delete(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Sends a signal to `leader` or `all`.
    #[zbus(allow_interactive_auth)]
    fn kill(&self, whom: &str, signal: i32, options: &Options<'_>) -> zbus::Result<()>;
    /// Writes it and its snapshots to `data` as a backup in LXD's format. Options: `compression` s (`zstd`, `gzip`, `xz`,
    /// `none`), `instance-only` b.
    #[zbus(allow_interactive_auth)]
    fn export(&self, data: Fd<'_>, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Makes an image of it. Options: `snapshot` s (of that one), `aliases` as, `reuse` b (take them from images that have
    /// them), `properties` a{ss} (over those of its image), `compression` s as in `Export`.
    #[zbus(allow_interactive_auth)]
    fn publish(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Renames it while stopped; the path stays.
    #[zbus(allow_interactive_auth)]
    fn rename(&self, name: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Moves it and its snapshots, while stopped, to another pool; the path stays.
    #[zbus(allow_interactive_auth, name = "Move")]
    fn move_to(&self, pool: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Copies it, running or not, with its snapshots; `name` empty: one is generated. Options: `snapshot` s (that one
    /// instead), `instance-only` b, `paths` ah, and those of a spec in `Manager.CreateInstance`, which win over what the original
    /// has. Returns instance and job.
    #[zbus(allow_interactive_auth)]
    fn copy(&self, name: &str, options: &Options<'_>) -> zbus::Result<(OwnedObjectPath, OwnedObjectPath)>;
    /// Makes it hold what `original` does once more, while it is stopped: snapshots that both have stay, others come and
    /// go. Its configuration stays. Options: `snapshot` s (that one instead), `instance-only` b.
    #[zbus(allow_interactive_auth)]
    fn refresh(&self, original: &ObjectPath<'_>, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Configuration, devices, profiles, generation. Option: `expanded` b.
    #[zbus(allow_interactive_auth)]
    fn get_config(&self, options: &Options<'_>) -> zbus::Result<(Config, Devices, Vec<String>, u64)>;
    /// Sets and unsets keys. Option: `expected-generation` t.
    #[zbus(allow_interactive_auth)]
    fn update_config(&self, set: &Config, unset: &[&str], options: &Options<'_>) -> zbus::Result<(u64, OwnedObjectPath)>;
    /// Replaces keys, devices and profiles, at once where it runs. Options: `description` s, `paths` ah as for
    /// `Manager.CreateInstance`.
    #[zbus(allow_interactive_auth)]
    fn replace_config(
        &self,
        config: &Config,
        devices: &Devices,
        profiles: &[&str],
        expected_generation: u64,
        options: &Options<'_>,
    ) -> zbus::Result<(u64, OwnedObjectPath)>;
    /// What its root takes, without what it shares: `used` t, bytes. Counts its files. And what it may take: `total` t, when
    /// it has a size.
    #[zbus(allow_interactive_auth)]
    fn get_usage(&self, options: &Options<'_>) -> zbus::Result<Values>;
    /// Live state. Fields (empty = all): `cpu`, `memory`, `pids`, `network`. Keys: `cpu` a{sv}{usage-nsec t}, `memory`
    /// a{sv}{current t, peak t}, `pids` t, `addresses` a(ss) (interface, address), `leader` u, `state` s, `substate` s.
    fn get_state(&self, fields: &[&str], options: &Options<'_>) -> zbus::Result<Values>;
    /// Name.
    #[zbus(property)]
    fn name(&self) -> zbus::Result<String>;
    /// State, such as `running`.
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;
    /// `booting`, `ready`, `stopping` while it runs, else empty.
    #[zbus(property)]
    fn sub_state(&self) -> zbus::Result<String>;
}

/// What happens inside an instance. Same object as `Instance`.
#[proxy(interface = "org.lxhost1.Guest", default_service = "org.lxhost1")]
pub trait Guest {
    /// Runs a command with the caller's file descriptors (`stdin`, `stdout`, `stderr`); one that is missing becomes a pipe
    /// whose far end is returned, or /dev/null when named in option `null` as. Options: `environment` a{ss}, `user` s,
    /// `group` s, `cwd` s, `detach` b.
    #[zbus(allow_interactive_auth)]
    fn exec(
        &self,
        argv: &[&str],
        fds: &HashMap<&str, Fd<'_>>,
        options: &Options<'_>,
    ) -> zbus::Result<(OwnedObjectPath, HashMap<String, OwnedFd>)>;
    /// Runs a command on a terminal of its own: session, master, path inside. Options as `exec`, and `rows` q, `cols` q, `term` s.
    #[zbus(allow_interactive_auth)]
    fn exec_pty(&self, argv: &[&str], options: &Options<'_>) -> zbus::Result<(OwnedObjectPath, OwnedFd, String)>;
    /// A login shell of `user` (empty: root) on a terminal.
    #[zbus(allow_interactive_auth)]
    fn open_shell(&self, user: &str, options: &Options<'_>) -> zbus::Result<(OwnedObjectPath, OwnedFd, String)>;
    /// A stream to the console; `kind` is `console`. Options: `rows` q, `cols` q.
    #[zbus(allow_interactive_auth)]
    fn open_console(&self, kind: &str, options: &Options<'_>) -> zbus::Result<(OwnedFd, String)>;
    /// Gives the console another size.
    #[zbus(allow_interactive_auth)]
    fn resize_console(&self, rows: u16, cols: u16, options: &Options<'_>) -> zbus::Result<()>;
    /// What the console printed, readable to its end.
    #[zbus(allow_interactive_auth)]
    fn get_console_log(&self, options: &Options<'_>) -> zbus::Result<OwnedFd>;
}

/// A command under way. `/org/lxhost1/exec/<n>`.
#[proxy(interface = "org.lxhost1.Exec", default_service = "org.lxhost1")]
pub trait Exec {
    /// Waits for its end: `exited`, `killed`, `dumped`, `failed`, `lost`, or `running` when time ran out (0 = no limit).
    fn wait(&self, timeout_usec: u64) -> zbus::Result<(String, i32)>;
    /// Sends a signal.
    fn signal(&self, signal: i32) -> zbus::Result<()>;
    /// Changes the terminal's size.
    fn resize(&self, rows: u16, cols: u16) -> zbus::Result<()>;
    /// Ends it: SIGHUP, then SIGKILL.
    fn close(&self) -> zbus::Result<()>;
}

/// The snapshots of an instance or of a custom volume, on its object.
#[proxy(interface = "org.lxhost1.Snapshots", default_service = "org.lxhost1")]
pub trait Snapshots {
    /// Page of snapshots, the oldest first.
    fn list(&self, cursor: &str, limit: u32) -> zbus::Result<(Vec<SnapshotRow>, String)>;
    /// One with what the instance was: `name` s, `description` s, `created` t, `expires` t, `architecture` s,
    /// `ephemeral` b, `profiles` as, `config` a{ss}, `devices` a{sa{ss}}. Of a volume: the first four, `content-type` s,
    /// `config` a{ss}.
    #[zbus(allow_interactive_auth)]
    fn get(&self, name: &str, options: &Options<'_>) -> zbus::Result<Values>;
    /// Takes one; `name` empty: as `snapshots.pattern` says. Options: `description` s, `reuse` b (it takes the place of
    /// one of that name), `expiry` s (how long it is kept instead of `snapshots.expiry`; empty: for ever). The job's
    /// output has `snapshot` s.
    #[zbus(allow_interactive_auth)]
    fn create(&self, name: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Makes the instance what it was; one that runs is killed and started again. A volume holds what it did, and keeps
    /// its keys; while instances run with it, that is refused.
    #[zbus(allow_interactive_auth)]
    fn restore(&self, name: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Deletes one. Option: `at-once` b, for good, past the trash of its pool.
    #[zbus(allow_interactive_auth)]
    fn delete(&self, name: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Gives one another name.
    #[zbus(allow_interactive_auth)]
    fn rename(&self, name: &str, new_name: &str, options: &Options<'_>) -> zbus::Result<()>;
    /// One was `created`, `renamed` or `deleted`.
    #[zbus(signal)]
    fn changed(&self, name: &str, what: &str) -> zbus::Result<()>;
}

/// An image. `/org/lxhost1/image/<first 12 digits>`.
#[proxy(interface = "org.lxhost1.Image", default_service = "org.lxhost1")]
pub trait Image {
    /// Writes its files: metadata or unified tarball to `data`, the root filesystem of a split image to option `rootfs` h.
    #[zbus(allow_interactive_auth)]
    fn export(&self, data: Fd<'_>, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Deletes it; instances made from it go on.
    #[zbus(allow_interactive_auth)]
    fn delete(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Gives it an alias.
    #[zbus(allow_interactive_auth)]
    fn add_alias(&self, alias: &str, options: &Options<'_>) -> zbus::Result<()>;
    /// Takes an alias away.
    #[zbus(allow_interactive_auth)]
    fn remove_alias(&self, alias: &str, options: &Options<'_>) -> zbus::Result<()>;
    /// All 64 digits.
    #[zbus(property)]
    fn fingerprint(&self) -> zbus::Result<String>;
    /// Aliases.
    #[zbus(property)]
    fn aliases(&self) -> zbus::Result<Vec<String>>;
    /// What its metadata says.
    #[zbus(property)]
    fn properties(&self) -> zbus::Result<HashMap<String, String>>;
    /// Whether its root filesystem is a file of its own.
    #[zbus(property)]
    fn split(&self) -> zbus::Result<bool>;
}

/// A profile. `/org/lxhost1/profile/<id>`.
#[proxy(interface = "org.lxhost1.Profile", default_service = "org.lxhost1")]
pub trait Profile {
    /// Configuration, devices, generation.
    #[zbus(allow_interactive_auth)]
    fn get_config(&self, options: &Options<'_>) -> zbus::Result<(Config, Devices, u64)>;
    /// Replaces keys and devices. Options: `description` s, `paths` ah as for `Manager.CreateInstance`.
    #[zbus(allow_interactive_auth)]
    fn replace_config(
        &self,
        config: &Config,
        devices: &Devices,
        expected_generation: u64,
        options: &Options<'_>,
    ) -> zbus::Result<u64>;
    /// Instances that use it.
    fn list_users(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
    /// Deletes it.
    #[zbus(allow_interactive_auth)]
    fn delete(&self, options: &Options<'_>) -> zbus::Result<()>;
    /// Description.
    #[zbus(property)]
    fn description(&self) -> zbus::Result<String>;
}

/// A network ACL. `/org/lxhost1/acl/<id>`.
#[proxy(interface = "org.lxhost1.ACL", default_service = "org.lxhost1")]
pub trait Acl {
    /// Configuration, rules for what goes to instances, rules for what comes from them, generation.
    #[zbus(allow_interactive_auth)]
    fn get_config(&self, options: &Options<'_>) -> zbus::Result<(Config, Vec<Config>, Vec<Config>, u64)>;
    /// Replaces keys and rules, at once where a network carries it. Option: `description` s.
    #[zbus(allow_interactive_auth)]
    fn replace_config(
        &self,
        config: &Config,
        ingress: &[Config],
        egress: &[Config],
        expected_generation: u64,
        options: &Options<'_>,
    ) -> zbus::Result<OwnedObjectPath>;
    /// Gives it another name; one that is used is refused.
    #[zbus(allow_interactive_auth)]
    fn rename(&self, name: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Networks that carry it.
    fn list_users(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
    /// Description.
    #[zbus(property)]
    fn description(&self) -> zbus::Result<String>;
    /// Deletes it; one that is used is refused. Option: `at-once` b, for good, past the trash of its pool.
    #[zbus(allow_interactive_auth)]
    fn delete(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
}

/// A network. `/org/lxhost1/network/<id>`.
#[proxy(interface = "org.lxhost1.Network", default_service = "org.lxhost1")]
pub trait Network {
    /// Configuration and generation.
    #[zbus(allow_interactive_auth)]
    fn get_config(&self, options: &Options<'_>) -> zbus::Result<(Config, u64)>;
    /// Replaces its keys, on the host too; addresses left out are chosen anew. Options: `description` s, `rollback-usec` t:
    /// the change is undone after that time unless confirmed, and no other is taken meanwhile.
    #[zbus(allow_interactive_auth)]
    fn replace_config(&self, config: &Config, expected_generation: u64, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Name.
    #[zbus(property)]
    fn name(&self) -> zbus::Result<String>;
    /// Description.
    #[zbus(property)]
    fn description(&self) -> zbus::Result<String>;
    /// How it stands on the host: `up` b, `interface` s, `hwaddr` s, `mtu` u, `addresses` as, `received-bytes` t,
    /// `received-packets` t, `sent-bytes` t, `sent-packets` t, `ports` as, `used-by` as, `nat` as, `outside` as,
    /// `default-route` b, `warnings` as.
    fn get_state(&self, options: &Options<'_>) -> zbus::Result<Values>;
    /// Examines it on this host: rows with `name` s, `state` s (ok|warn|fail), `message` s, `hint` s (what to do).
    #[zbus(allow_interactive_auth)]
    fn diagnose(&self, options: &Options<'_>) -> zbus::Result<Vec<Values>>;
    /// Renames it, while nobody uses it; its interface has another name then. Option: `rollback-usec` t.
    #[zbus(allow_interactive_auth)]
    fn rename(&self, name: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Keeps the change that would be undone.
    #[zbus(allow_interactive_auth)]
    fn confirm(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Undoes at once the change that would be undone later.
    #[zbus(allow_interactive_auth)]
    fn rollback(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// When a change that nobody has confirmed is undone; 0 when none waits.
    #[zbus(property)]
    fn rollback_at(&self) -> zbus::Result<u64>;
    /// Forwards, and the network's generation.
    #[zbus(allow_interactive_auth)]
    fn list_forwards(&self, options: &Options<'_>) -> zbus::Result<(Vec<ForwardRow>, u64)>;
    /// Has what comes to an address of the host go to instances: keys `target_address` and `user.*`, and ports:
    /// dictionaries of `protocol`, `listen_port`, `target_address`, `target_port`, `description`. Options: `description` s,
    /// `rollback-usec` t, as for `ReplaceConfig`.
    #[zbus(allow_interactive_auth)]
    fn create_forward(
        &self,
        listen: &str,
        config: &Config,
        ports: &[Config],
        options: &Options<'_>,
    ) -> zbus::Result<OwnedObjectPath>;
    /// Replaces a forward's keys and ports. Options: `description` s, `rollback-usec` t.
    #[zbus(allow_interactive_auth)]
    fn replace_forward(
        &self,
        listen: &str,
        config: &Config,
        ports: &[Config],
        expected_generation: u64,
        options: &Options<'_>,
    ) -> zbus::Result<OwnedObjectPath>;
    /// Deletes a forward; connections there are stay. Option: `rollback-usec` t.
    #[zbus(allow_interactive_auth)]
    fn delete_forward(&self, listen: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Load balancers, and the network's generation.
    #[zbus(allow_interactive_auth)]
    fn list_load_balancers(&self, options: &Options<'_>) -> zbus::Result<(Vec<LoadBalancerRow>, u64)>;
    /// Has what comes to an address of the host go to instances in turn: `user.*` keys; backends: dictionaries of `name`,
    /// `target_address`, `target_port`, `description`; and ports: dictionaries of `protocol`, `listen_port`,
    /// `target_backend` (names with commas), `description`. Options: `description` s, `rollback-usec` t.
    #[zbus(allow_interactive_auth)]
    fn create_load_balancer(
        &self,
        listen: &str,
        config: &Config,
        backends: &[Config],
        ports: &[Config],
        options: &Options<'_>,
    ) -> zbus::Result<OwnedObjectPath>;
    /// Replaces a load balancer's keys, backends and ports. Options: `description` s, `rollback-usec` t.
    #[zbus(allow_interactive_auth)]
    fn replace_load_balancer(
        &self,
        listen: &str,
        config: &Config,
        backends: &[Config],
        ports: &[Config],
        expected_generation: u64,
        options: &Options<'_>,
    ) -> zbus::Result<OwnedObjectPath>;
    /// Deletes a load balancer; connections there are stay. Option: `rollback-usec` t.
    #[zbus(allow_interactive_auth)]
    fn delete_load_balancer(&self, listen: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    /// Leases there are now.
    fn list_leases(&self) -> zbus::Result<Vec<LeaseRow>>;
    /// Its DHCP server gave, renewed or dropped a lease: `added`, `renewed` or `removed`.
    #[zbus(signal)]
    fn lease_changed(&self, mac: &str, address: &str, what: &str) -> zbus::Result<()>;
    /// Deletes it. Option: `rollback-usec` t; then it stays, down, until that is confirmed.
    #[zbus(allow_interactive_auth)]
    fn delete(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
}

/// A pool. `/org/lxhost1/pool/<id>`.
#[proxy(interface = "org.lxhost1.Pool", default_service = "org.lxhost1")]
pub trait Pool {
    /// Configuration and generation.
    #[zbus(allow_interactive_auth)]
    fn get_config(&self, options: &Options<'_>) -> zbus::Result<(Config, u64)>;
    /// Replaces its `user.*` keys. Option: `description` s.
    #[zbus(allow_interactive_auth)]
    fn replace_config(&self, config: &Config, expected_generation: u64, options: &Options<'_>) -> zbus::Result<u64>;
    /// Description.
    #[zbus(property)]
    fn description(&self) -> zbus::Result<String>;
    /// Total and free bytes.
    fn get_usage(&self) -> zbus::Result<(u64, u64)>;
    /// Object of a volume by name.
    fn get_volume(&self, project: &str, name: &str) -> zbus::Result<OwnedObjectPath>;
    /// Makes a volume. Options: `description` s, `content-type` s (`filesystem`, `block`).
    #[zbus(allow_interactive_auth)]
    fn create_volume(
        &self,
        project: &str,
        name: &str,
        config: &Config,
        options: &Options<'_>,
    ) -> zbus::Result<(OwnedObjectPath, OwnedObjectPath)>;
    /// Makes a volume, and its snapshots, from a backup in LXD's format, which `data` holds: a regular file open for
    /// reading. Option: `name` s; left out: the one it had. Returns volume and job.
    #[zbus(allow_interactive_auth)]
    fn import_volume(
        &self,
        project: &str,
        data: Fd<'_>,
        options: &Options<'_>,
    ) -> zbus::Result<(OwnedObjectPath, OwnedObjectPath)>;
    /// Deletes it.
    #[zbus(allow_interactive_auth)]
    fn delete(&self, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
}

/// A job. `/org/lxhost1/job/<n>`; stays for a minute after its end.
#[proxy(interface = "org.lxhost1.Job", default_service = "org.lxhost1")]
pub trait Job {
    /// Waits for its end (0 = no limit).
    fn wait(&self, timeout_usec: u64) -> zbus::Result<JobEnd>;
    /// Cancels it; one of another user needs `job.manage-others`.
    #[zbus(allow_interactive_auth)]
    fn cancel(&self, options: &Options<'_>) -> zbus::Result<()>;
    /// What is being done.
    #[zbus(property)]
    fn phase(&self) -> zbus::Result<String>;
    /// 0.0 to 1.0; negative = unknown.
    #[zbus(property)]
    fn progress(&self) -> zbus::Result<f64>;
    /// `queued`, `running`, `canceling`, `done`.
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;
    /// Verb.
    #[zbus(property)]
    fn verb(&self) -> zbus::Result<String>;
}
