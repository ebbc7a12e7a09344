//! The tree of the full host: the throw-away host with Debian's generic kernel and the tools that need
//! one, trimmed so that software emulation boots it in about ten seconds. Pure data. What is masked here
//! was measured: nothing of it is what an administrator would miss on a server in a rack.

use super::Recipe;

const PACKAGES: &[&str] =
    &["linux-image-amd64", "udev", "apparmor", "apparmor-utils", "dmsetup", "lvm2", "thin-provisioning-tools"];

/// Where the agent is; see `tests/agent`.
pub(crate) const AGENT: &str = "usr/local/libexec/lab-agent";

const AGENT_UNIT: &str = "\
[Unit]
Description=Runs the commands of the test
DefaultDependencies=no
After=sysinit.target dbus.socket
Wants=dbus.service

[Service]
ExecStart=/usr/local/libexec/lab-agent
KillMode=process
Restart=always
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
";

/// The whole coldplug takes seconds; what is not here is found when it is plugged in.
const COLDPLUG: &str = "\
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=all --action=add --subsystem-match=net --subsystem-match=block --subsystem-match=mem --subsystem-match=misc
";

const MANAGER: &str = "\
[Manager]
DefaultTimeoutStartSec=300s
DefaultDeviceTimeoutSec=300s
ShowStatus=no
";

/// Modules that udev would load for hardware that no test uses.
const BLACKLIST: &str = "\
blacklist kvm_amd
blacklist kvm_intel
blacklist iTCO_wdt
blacklist psmouse
blacklist pcspkr
blacklist serio_raw
blacklist evdev
blacklist button
blacklist aesni_intel
blacklist ghash_clmulni_intel
blacklist sha512_ssse3
blacklist sha256_ssse3
blacklist sha1_ssse3
blacklist lpc_ich
blacklist qemu_fw_cfg
";

/// `apparmor.service` alone compiles a hundred profiles, which takes 25 s; tests load their own.
const MASKED: &[&str] = &[
    "systemctl",
    "mask",
    "apparmor.service",
    "getty.target",
    "systemd-tmpfiles-clean.timer",
    "systemd-random-seed.service",
    "systemd-pstore.service",
    "systemd-update-utmp.service",
    "systemd-timesyncd.service",
    "systemd-rfkill.service",
    "systemd-rfkill.socket",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-update-done.service",
    "ldconfig.service",
    "systemd-sysusers.service",
    "systemd-boot-random-seed.service",
    "systemd-pcrmachine.service",
    "systemd-pcrphase.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-tpm2-setup.service",
    "systemd-tpm2-setup-early.service",
    "systemd-fsck-root.service",
    "systemd-binfmt.service",
    "proc-sys-fs-binfmt_misc.automount",
    "lvm2-monitor.service",
    "lvm2-lvmpolld.socket",
    "blk-availability.service",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-hibernate-clear.service",
    "systemd-battery-check.service",
    "modprobe@dm_mod.service",
    "sys-kernel-config.mount",
    "systemd-udev-load-credentials.service",
    "systemd-initctl.socket",
    "systemd-creds.socket",
    "systemd-sysext.socket",
    "systemd-importd.socket",
    "systemd-pcrextend.socket",
    "systemd-pcrlock.socket",
    "systemd-journald-audit.socket",
    "systemd-mountfsd.socket",
    "systemd-nsresourced.socket",
];

/// Generators for what the host has not; each is a process at every boot and reload.
const GENERATORS: &str = "\
mkdir -p /etc/systemd/system-generators; cd /etc/systemd/system-generators; \
for name in getty gpt-auto cryptsetup hibernate-resume integritysetup veritysetup rc-local run system-update bless-boot sysv debug \
ssh tpm2 import factory-reset; do ln -sf /dev/null systemd-$name-generator; done";

/// Modules are decompressed, and those of real hardware left out.
const MODULES: &str = "\
cd /usr/lib/modules/*; release=${PWD##*/}; cd kernel; \
rm -rf sound drivers/media drivers/infiniband drivers/staging drivers/iio drivers/net/wireless drivers/net/ethernet \
drivers/gpu/drm/amd drivers/gpu/drm/i915 drivers/gpu/drm/xe drivers/gpu/drm/nouveau drivers/gpu/drm/radeon drivers/isdn; \
find . -name '*.ko.xz' -exec unxz -f {} +; depmod $release";

impl Recipe {
    /// The Debian 13 host with its own kernel.
    #[must_use]
    pub fn full_host() -> Self {
        Self::host()
            .with("host-full", PACKAGES)
            .file("etc/systemd/system/lab-agent.service", 0o644, AGENT_UNIT)
            .file("etc/systemd/system/systemd-udev-trigger.service.d/lab.conf", 0o644, COLDPLUG)
            .file("etc/systemd/system.conf.d/lab.conf", 0o644, MANAGER)
            .file("etc/modprobe.d/lab.conf", 0o644, BLACKLIST)
            .file("etc/fstab", 0o644, "")
            .command(&["sh", "-ec", MODULES])
            .command(&["sh", "-ec", GENERATORS])
            .command(MASKED)
            .command(&["systemctl", "enable", "lab-agent.service"])
            .command(&["systemctl", "set-default", "multi-user.target"])
            .command(&[
                "sh",
                "-ec",
                "mkdir -p /lab /srv/lab; rm -f /boot/initrd.img*; rm -rf /usr/share/doc /usr/share/man /usr/share/locale",
            ])
            .command(&["apt-get", "clean"])
    }
}
