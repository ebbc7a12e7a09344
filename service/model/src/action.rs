//! Polkit actions: the one list of what the daemon ever asks about.

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $id:literal;)*) => {
        /// An action of `org.lxhost1.policy`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $variant,)* }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Action] = &[$(Action::$variant,)*];
            /// The id Polkit knows it by.
            pub fn id(self) -> &'static str {
                match self { $(Action::$variant => $id,)* }
            }
        }
    };
}

actions! {
    /// Names, states and public properties.
    Info = "org.lxhost1.info";
    /// Configuration, logs, console log.
    InstanceInspect = "org.lxhost1.instance.inspect";
    /// Create, copy, import, rebuild.
    InstanceCreate = "org.lxhost1.instance.create";
    /// Delete an instance and its data.
    InstanceDelete = "org.lxhost1.instance.delete";
    /// Start, stop, restart, freeze, thaw, kill.
    InstanceOperate = "org.lxhost1.instance.operate";
    /// Configuration that cannot reach the host.
    InstanceConfigure = "org.lxhost1.instance.configure";
    /// Configuration that equals root on the host.
    InstanceConfigurePrivileged = "org.lxhost1.instance.configure-privileged";
    /// Run commands and shells.
    InstanceExec = "org.lxhost1.instance.exec";
    /// Attach to the console.
    InstanceConsole = "org.lxhost1.instance.console";
    /// Read and write files of the guest.
    InstanceFiles = "org.lxhost1.instance.files";
    /// Take, restore and delete snapshots.
    InstanceSnapshot = "org.lxhost1.instance.snapshot";
    /// Move, export, publish.
    InstanceMigrate = "org.lxhost1.instance.migrate";
    /// Import, delete and name images.
    ImageManage = "org.lxhost1.image.manage";
    /// Get an image from a remote.
    ImagePull = "org.lxhost1.image.pull";
    /// Take an image's files out.
    ImageExport = "org.lxhost1.image.export";
    /// Networks and leases.
    NetworkManage = "org.lxhost1.network.manage";
    /// ACLs, forwards, NAT.
    NetworkPolicy = "org.lxhost1.network.policy";
    /// Host interfaces in networks.
    NetworkAttachPhysical = "org.lxhost1.network.attach-physical";
    /// Pools.
    StorageManagePools = "org.lxhost1.storage.manage-pools";
    /// Volumes.
    StorageManageVolumes = "org.lxhost1.storage.manage-volumes";
    /// Profiles.
    ProfileManage = "org.lxhost1.profile.manage";
    /// Projects.
    ProjectManage = "org.lxhost1.project.manage";
    /// Cancel a job of somebody else.
    JobManageOthers = "org.lxhost1.job.manage-others";
    /// Settings of the daemon.
    DaemonConfigure = "org.lxhost1.daemon.configure";
    /// Log level, dumps.
    DaemonDebug = "org.lxhost1.daemon.debug";
}
