//! What a test may need of its host beyond systemd and a shell. A need is there when trying it works,
//! not when somebody says so. Depends on `command`. Declared by tests, asked by the runner.

use std::time::Duration;

use anyhow::Result;

use super::Host;

/// Something that not every host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// Control groups with the controllers cpu, memory and pids, handed to units by systemd.
    Cgroup,
    /// VLAN devices.
    Vlan,
    /// A kernel that enforces AppArmor profiles.
    AppArmor,
    /// Device-mapper, with thin volumes.
    DeviceMapper,
    /// An ext4 that counts what projects take.
    Quota,
    /// The module of ZFS and its tools. Full hosts have it once somebody has had the module built (`make zfs`), which takes
    /// minutes.
    Zfs,
    /// A kernel of its own, that a power cut takes down too.
    Kernel,
    /// The machine's own speed, for what is done by the thousand or unpacks much. An emulated host has it never.
    Speed,
}

impl Need {
    /// All that are tried in a host.
    pub const ALL: [Self; 7] =
        [Self::Cgroup, Self::Vlan, Self::AppArmor, Self::DeviceMapper, Self::Quota, Self::Zfs, Self::Kernel];
    /// What no kind of host has to have: without it a test is skipped wherever it was to run.
    pub const OPTIONAL: [Self; 2] = [Self::Zfs, Self::Speed];

    /// The word for it in commands and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Vlan => "vlan",
            Self::AppArmor => "apparmor",
            Self::DeviceMapper => "dm",
            Self::Quota => "quota",
            Self::Zfs => "zfs",
            Self::Kernel => "kernel",
            Self::Speed => "speed",
        }
    }

    /// What is tried in the host; it leaves nothing.
    fn probe(self) -> &'static str {
        match self {
            Self::Cgroup => {
                "systemd-run --quiet --scope -p TasksMax=77 -p MemoryMax=64M -p CPUQuota=50% sh -ec \
                 'cd /sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup); grep -qx 77 pids.max; grep -qx 67108864 memory.max; test -e cpu.max'"
            }
            Self::Vlan => {
                "ip link add probe0 type veth peer name probe1; \
                 ip link add link probe0 name probe0.5 type vlan id 5 && found=yes; ip link del probe0; test \"$found\""
            }
            Self::AppArmor => {
                "printf 'profile lab-probe { file, deny /etc/hostname r, }' | apparmor_parser -r; \
                 ! aa-exec -p lab-probe -- cat /etc/hostname 2>/dev/null && aa-exec -p lab-probe -- cat /etc/passwd >/dev/null"
            }
            Self::DeviceMapper => {
                "modprobe dm_thin_pool; dmsetup create probe --table '0 8 zero'; dmsetup remove probe; dmsetup targets | grep -q ^thin"
            }
            Self::Quota => {
                "truncate -s 16M /run/probe.img; mkfs.ext4 -q -O quota,project -E quotatype=prjquota /run/probe.img; mkdir -p /run/probe; \
                 mount -o loop,prjquota /run/probe.img /run/probe && found=yes && umount /run/probe; \
                 rm -f /run/probe.img; rmdir /run/probe; test \"$found\""
            }
            Self::Zfs => "modprobe zfs && zpool list",
            Self::Speed => "true",
            Self::Kernel => "! systemd-detect-virt --quiet --container && test -w /proc/sysrq-trigger",
        }
    }

    /// Tries it in a host; says why it is not there.
    ///
    /// # Errors
    /// When the host does not answer.
    pub fn missing(self, host: &Host) -> Result<Option<String>> {
        let output = host.command(["sh", "-ec", self.probe()]).timeout(Duration::from_secs(20)).output()?;
        if output.code == Some(0) {
            return Ok(None);
        }
        let said = output.stderr_text();
        let said = said.lines().last().unwrap_or("trying it fails");
        Ok(Some(format!("the {} host has no {}: {said}", host.kind().name(), self.name())))
    }
}
