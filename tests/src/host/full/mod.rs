//! The full host: Debian 13 with a kernel of its own in an emulated machine, resumed from a saved state
//! in about a second, with the package installed and the daemon running. Depends on QEMU of the cache
//! and on the agent inside. Called by `Host::boot`.

mod accelerator;
mod cpio;
mod emulator;
mod image;
mod port;
mod power;
mod qcow;
mod qmp;
mod saved;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::json;

use accelerator::Accelerator;
use emulator::{Disk, Emulator, Start};

use crate::cache::{self, Cache};
use crate::host::network::WIRE;
use crate::host::{HostSpec, State};
use crate::recipe::Qemu;

/// What a running host may write.
const ROOM: u64 = 1 << 30;

/// A host in an emulator. Dropping it ends it and removes everything of it.
#[derive(Debug)]
pub struct Full {
    /// None while the power is off and its emulator killed.
    emulator: Mutex<Option<Arc<Emulator>>>,
    spec: HostSpec,
    on: AtomicBool,
    directory: PathBuf,
    /// Kernel, ramdisk and disk.
    files: PathBuf,
    accelerator: Accelerator,
    qemu: Qemu,
    cache: Cache,
}

impl Full {
    /// Resumes a host, from a state that is made first if there is none.
    ///
    /// # Errors
    /// When the machine lacks a tool, a right or room, or the host does not come up; the message has
    /// the end of its console.
    pub(super) fn boot(cache: &Cache, spec: &HostSpec) -> Result<Self> {
        let qemu = Qemu::of(cache)?;
        let accelerator = Accelerator::of(cache, &qemu, &spec.tree)?;
        let files = saved::saved(cache, &qemu, &accelerator, spec)?;
        let (_, directory) = super::directory(cache)?;
        std::fs::create_dir_all(&directory)?;
        let host = Self {
            emulator: Mutex::new(None),
            spec: spec.clone(),
            on: AtomicBool::new(true),
            directory,
            files,
            accelerator,
            qemu,
            cache: cache.clone(),
        };
        // What fails takes the directory with it.
        host.resume().context("resuming a full host")?;
        Ok(host)
    }

    fn resume(&self) -> Result<()> {
        cache::room(&self.directory, ROOM, "a full host")?;
        if self.spec.durable {
            qcow::create(&self.directory.join(emulator::DISK), &self.files.join("root.img"))?;
        }
        let emulator = self.start(true)?;
        saved::capabilities(&emulator)?;
        let state = self.files.join("state");
        emulator.qmp.execute("migrate-incoming", &json!({ "uri": format!("file:{}", state.display()) }))?;
        emulator.qmp.migrated(saved::STATE_LIMIT)?;
        emulator.qmp.execute("cont", &json!({}))?;
        emulator.port.greeted(saved::STATE_LIMIT)?;
        self.settle()?;
        self.first()?;
        self.join()
    }

    /// Starts an emulator for it.
    fn start(&self, resumes: bool) -> Result<Arc<Emulator>> {
        let start = Start {
            files: &self.files,
            disk: if self.spec.durable { Disk::Kept } else { Disk::Away },
            accelerator: &self.accelerator,
            resumes,
            visible: self.spec.visible.as_deref(),
            network: self.spec.network,
        };
        let emulator = Arc::new(Emulator::start(&self.cache, &self.qemu, &self.directory, &start)?);
        *self.emulator.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&emulator));
        Ok(emulator)
    }

    fn emulator(&self) -> Result<Arc<Emulator>> {
        self.emulator.lock().unwrap_or_else(PoisonError::into_inner).clone().context("the host is off")
    }

    /// What a host needs after every resume and boot: the time, its name, what it shares, a state directory. By busybox,
    /// as linking a program takes longer than what it does here where every instruction is emulated.
    fn settle(&self) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mount = "busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576,cache=none";
        let line = format!(
            "busybox date -s @{now} >/dev/null; busybox hostname {}; {mount} share /lab; {mount},ro visible /srv/lab; busybox mkdir -p {}",
            self.spec.name, self.spec.state_at
        );
        self.emulator()?.say(&line, Duration::from_secs(60)).map(drop)
    }

    /// What a host needs once: its state directory on another filesystem, if it is to be.
    fn first(&self) -> Result<()> {
        let at = &self.spec.state_at;
        let kind = match self.spec.state {
            State::Plain => return Ok(()),
            State::Ext4 => "ext4",
            State::Btrfs => "btrfs",
            State::Xfs => "xfs",
        };
        let line = format!(
            "systemctl stop lxhostd.service 2>/dev/null || true; mkdir -p {at}; truncate -s 4G /var/lab-state.img; \
             mkfs.{kind} -q /var/lab-state.img; echo '/var/lab-state.img {at} {kind} loop,nofail 0 0' >>/etc/fstab; \
             mount {at}; systemctl daemon-reload; systemctl is-enabled -q lxhostd.service 2>/dev/null && systemctl start lxhostd.service || true"
        );
        self.emulator()?.say(&line, Duration::from_secs(120)).map(drop)
    }
}

impl Full {
    /// Plugs it into its network, if it has one, as somebody whom nobody else is: the others are resumed
    /// from the same state.
    fn join(&self) -> Result<()> {
        if self.spec.network.is_none() {
            return Ok(());
        }
        let emulator = self.emulator()?;
        let digits = cache::key("", self.spec.name.as_bytes());
        let mac = format!("52:54:00:{}:{}:{}", &digits[1..3], &digits[3..5], &digits[5..7]);
        let wire = json!({ "type": "socket", "id": "wire", "mcast": "230.0.0.77:7777", "localaddr": "127.0.0.1" });
        emulator.qmp.execute("netdev_add", &wire)?;
        let card = json!({ "driver": "virtio-net-pci", "netdev": "wire", "bus": "outlet", "mac": mac, "romfile": "" });
        emulator.qmp.execute("device_add", &card)?;
        // PID 1 starts another journald, which nobody has to wait for. The name that udev gives a card would come after ours.
        let line = format!(
            "busybox tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id; busybox kill $(busybox pidof systemd-journald); \
             until busybox grep -q {mac} /sys/class/net/*/address; do busybox sleep 0.1; done; udevadm settle --timeout=30; \
             card=$(busybox grep -l {mac} /sys/class/net/*/address); card=${{card%/address}}; card=${{card##*/}}; \
             busybox ip link set $card down; busybox ip link set $card name {WIRE}"
        );
        emulator.say(&line, Duration::from_secs(60)).map(drop)
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        if let Some(emulator) = self.emulator.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            emulator.kill();
        }
        if let Err(error) = cache::remove(&self.directory) {
            eprintln!("a host left something: {error:#}");
        }
    }
}
