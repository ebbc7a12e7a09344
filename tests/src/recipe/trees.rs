//! The recipes in use: the throw-away host and the same host with Incus in it. Pure data.

use super::Recipe;

/// What a Debian 13 server has that the package needs or a test looks with.
const HOST: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "systemd-container",
    "systemd-resolved",
    "libpam-systemd",
    "libnss-mymachines",
    "libnss-resolve",
    "dbus",
    "polkitd",
    "pkexec",
    "dnsmasq-base",
    "nftables",
    "squashfs-tools",
    "mmdebstrap",
    "apt",
    "debian-archive-keyring",
    "xz-utils",
    "zstd",
    "libseccomp2",
    "iproute2",
    "iputils-ping",
    "procps",
    "kmod",
    "busybox-static",
    "btrfs-progs",
    "e2fsprogs",
    "quota",
    "bash-completion",
    "strace",
    "less",
];

/// The address that stands for the mirror; forwarded to the relay's socket.
const ADDRESS_UNIT: &str = "\
[Unit]
Description=Address of the mirror relay
Before=lab-mirror.socket
DefaultDependencies=no

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ip address replace 192.0.2.1/32 dev lo

[Install]
WantedBy=sysinit.target
";

const SOCKET_UNIT: &str = "\
[Unit]
Description=Debian mirror, relayed by the machine

[Socket]
ListenStream=192.0.2.1:80
FreeBind=yes

[Install]
WantedBy=sockets.target
";

const FORWARD_UNIT: &str = "\
[Unit]
Description=Debian mirror, relayed by the machine

[Service]
ExecStart=/usr/lib/systemd/systemd-socket-proxyd --exit-idle-time=1min /lab/mirror.sock
";

/// What no test looks at and each boot would wait for. Of the mounts there are many because PID 1 looks at no more than
/// five changes of mounts a second: one more, and the boot takes a second longer.
const MASKED: &[&str] = &[
    "systemctl",
    "mask",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "run-lock.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "modprobe@configfs.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "systemd-remount-fs.service",
    "systemd-tmpfiles-setup-dev-early.service",
    "e2scrub_reap.service",
    // Nobody logs in on the console, and these would wake up in the middle of a test.
    "console-getty.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "systemd-firstboot.service",
];

impl Recipe {
    /// A Debian 13 host: systemd, D-Bus, Polkit, machined, resolved, and two ordinary users,
    /// `alice` and `bob`.
    #[must_use]
    pub fn host() -> Self {
        Self::new("host", "trixie", HOST)
            .file("etc/systemd/system/lab-address.service", 0o644, ADDRESS_UNIT)
            .file("etc/systemd/system/lab-mirror.socket", 0o644, SOCKET_UNIT)
            .file("etc/systemd/system/lab-mirror.service", 0o644, FORWARD_UNIT)
            .file("etc/systemd/journald.conf.d/lab.conf", 0o644, "[Journal]\nStorage=persistent\nRateLimitBurst=0\n")
            .command(&["systemctl", "enable", "lab-address.service", "lab-mirror.socket"])
            .command(MASKED)
            // It is started by D-Bus when somebody wants it.
            .command(&["rm", "-f", "/usr/lib/systemd/system/multi-user.target.wants/systemd-logind.service"])
            // What a boot after an upgrade does has been done.
            .command(&["/usr/lib/systemd/systemd-update-done"])
            .command(&["useradd", "--create-home", "--shell", "/bin/bash", "alice"])
            .command(&["useradd", "--create-home", "--shell", "/bin/bash", "bob"])
    }

    /// The same host with Incus of Debian 13, for the bench.
    #[must_use]
    pub fn host_with_incus() -> Self {
        Self::host().with("host-incus", &["incus"])
    }
}
